"""The worker that applies a version: what it answers and when it ends, over a channel that is a list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from service.engine import fit_record
from service.jobs import application
from service.jobs.application import ApplyAnswer, ApplyRequest, ApplySetup
from service.jobs.apply_worker import ApplyWorker
from service.jobs.messages import Grants, LogLine
from service.jobs.tasks import task
from service.jobs.tasks.apply import Applier
from service.jobs.tasks.task import TaskError
from service.query.child import traces
from tests.registry import pipeline_document
from tests.unit.jobs.walking import cleaner, made

SOURCE = pl.DataFrame({"id": [1, 2], "v": [1.0, None]})
STEPS = [cleaner(fill_na={"v": {"strategy": "max"}})]
RECORD = {"id": 7, "v": None}


class Channel:
    """Gives requests, and takes answers."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.sent: list[Any] = []

    def receive(self) -> bytes | None:
        return self.requests.pop(0) if self.requests else None

    def send(self, message: bytes) -> None:
        self.sent.append(task.decode(message))


@pytest.fixture
def channel() -> Channel:
    return Channel()


def worker(channel: Channel, folder: Path, **changes: Any) -> ApplyWorker:
    version = made(SOURCE, *STEPS)
    path = folder / "tape.json"
    path.write_bytes(fit_record.encode(version.fit_record))
    scratch = folder / "scratch"
    scratch.mkdir()
    setup = ApplySetup(
        grants=Grants(folder=str(scratch), memory_bytes=1 << 30), document=pipeline_document(processors=STEPS),
        version=1, fit_record=str(path),
    )  # fmt: skip
    return ApplyWorker(channel, msgspec.structs.replace(setup, **changes))  # type: ignore[arg-type]


def ask(channel: Channel, worker: ApplyWorker, *records: Any) -> tuple[Any, bool]:
    """The answer, and whether another request may follow."""
    request = ApplyRequest(records=msgspec.json.encode(list(records)))
    channel.requests.append(task.encode(request))
    goes_on = worker.answers_next()
    return channel.sent[-1], goes_on


def test_it_answers_until_it_has_answered_often(channel: Channel, tmp_path: Path) -> None:
    applying = worker(channel, tmp_path, requests=2)
    first, goes_on = ask(channel, applying, RECORD)
    assert isinstance(first, ApplyAnswer)
    assert msgspec.json.decode(first.content)["data"] == [{"id": 7, "v": 1.0}]
    assert (first.free, goes_on) == (True, True)
    last, goes_on = ask(channel, applying, RECORD)
    assert (last.content, last.free, goes_on) == (first.content, False, False)
    assert not applying.answers_next(), "the service has ended"


def test_it_ends_where_something_is_left(channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    applying = worker(channel, tmp_path)
    (tmp_path / "scratch" / "left").write_text("secret")
    answer, goes_on = ask(channel, applying, RECORD)
    assert (answer.free, goes_on) == (False, False)
    (tmp_path / "scratch" / "left").unlink()
    assert ask(channel, applying, RECORD)[1]
    monkeypatch.setattr(traces, "_data_bytes", lambda: 1 << 40)
    assert ask(channel, applying, RECORD)[1] is False


def test_errors_name_the_record_and_the_step(channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    applying = worker(channel, tmp_path)
    wrong, goes_on = ask(channel, applying, {**RECORD, "id": "x"})
    assert isinstance(wrong, TaskError)
    assert (wrong.error.details["field"], "step" in wrong.error.details) == ("records[0].id", False)
    assert (wrong.free, goes_on) == (True, True)

    def broken(*_: Any) -> Any:
        raise pl.exceptions.PanicException("boom")

    monkeypatch.setattr(Applier, "answer", broken)
    bug, goes_on = ask(channel, applying, RECORD)
    assert (bug.error.code, bug.free, goes_on) == ("STEP_FAILED", False, False)
    assert any(isinstance(line, LogLine) and line.fields["event"] == "apply.bug" for line in channel.sent)

    def exhausted(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(Applier, "answer", exhausted)
    assert ask(channel, applying, RECORD)[0].error.code == "REQUEST_OUT_OF_MEMORY"


def test_a_version_that_cannot_be_applied_is_told(channel: Channel, tmp_path: Path) -> None:
    other = pipeline_document(processors=[cleaner(fill_na={"v": {"strategy": "min"}})])
    applying = worker(channel, tmp_path, document=other)
    answer, goes_on = ask(channel, applying, RECORD)
    assert "execute the pipeline again" in answer.error.message
    assert (answer.error.details["step"], goes_on) == ("processors[0]", False)
    assert application.decode_request(task.encode(ApplyRequest(records=b"[]"))).index is None
