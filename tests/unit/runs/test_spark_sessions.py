"""Sessions whose server does not answer: that is tried again a few times, and logged."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.engine.spark import sessions
from service.kit import errors
from service.model.run import Run
from service.processes import forkserver
from service.processes.spares import Spares
from service.runs import spark_sessions
from service.runs.spark_sessions import Line, SparkSessions


@pytest.fixture
def dead() -> Iterator[str]:
    """The address of nobody."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # a port that is taken, and where nobody listens
        yield f"sc://127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_sessions, "_DELAYS", (0.0, 0.0, 0.0))
    forkserver.prepare(("service.jobs.entry",))


def run(run_id: str) -> Run:
    return Run(run_id=run_id, pipeline="p", revision=1, status="interrupted", attempt=2)


def test_a_server_that_does_not_answer_is_tried_again(dead: str) -> None:
    async def ended() -> tuple[Line | None, list[Any]]:
        ending = SparkSessions(dead, Spares())
        with capture_logs() as logs:
            first = await ending.end("run_1", 1)
            await asyncio.gather(*ending._tasks)
        return first, list(logs)

    first, logs = asyncio.run(ended())
    assert first is not None
    assert (first.level, first.event) == ("warning", "spark.not_interrupted")
    assert "no Spark server answers" in first.fields["message"]
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("warning", "spark.not_interrupted"), ("error", "spark.left"),
    ]  # fmt: skip
    assert logs[-1]["run_ids"] == ["run_1"]


def test_no_more_is_tried_when_the_service_stops(dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark_sessions, "_DELAYS", (3600.0, 3600.0))

    async def closed() -> list[Any]:
        ending = SparkSessions(dead, Spares())
        with capture_logs() as logs:
            ending.end_taken([run("run_1"), run("run_2")])
            await asyncio.sleep(0)
            await ending.close()
        return list(logs)

    assert [(line["event"], line["run_ids"]) for line in asyncio.run(closed())] == [
        ("spark.not_interrupted", ["run_1", "run_2"])
    ]


def test_each_attempt_has_a_session_of_its_own() -> None:
    address = sessions._address("sc://spark:15002/;token=abc;user_id=me;session_id=mine", "run_1", 2)
    assert address == f"sc://spark:15002/;token=abc;user_id=penstock;session_id={sessions.session_id('run_1', 2)}"
    assert sessions.session_id("run_1", 1) != sessions.session_id("run_1", 2)
    assert sessions._address("sc://spark:15002/", "run_1", 2).startswith("sc://spark:15002/;user_id=penstock;")


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("x\nModuleNotFoundError: No module named 'service'", errors.Permanent, "the Python module service"),
        ("the first line\nmore", errors.Transient, "failed: the first line$"),
        (
            '<_Rendezvous of RPC that ended with:\n\tstatus = UNAVAILABLE\n\tdetails = "Socket closed"\n\tmore = "x"',
            errors.Transient, "failed: Socket closed$",
        ),
        (
            "[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.12 than that in driver: 3.11, PySpark",
            errors.Permanent, "have Python 3.12, not 3.11",
        ),
    ],
)  # fmt: skip
def test_errors_of_the_client_are_ours(text: str, kind: type[errors.PenstockError], said: str) -> None:
    with pytest.raises(kind, match=said), sessions.translated():
        raise RuntimeError(text)
