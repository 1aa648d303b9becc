"""The events and the log of runs over the death of a real service, and listeners that go or stay too long."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.acceptance.gated_source import a_source
from tests.acceptance.served import CSV, PASSWORD, PATIENCE, Served, serving, upload_and_create

SETTINGS = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1"}
Heard = list[tuple[int, str, dict[str, Any]]]


def heard(lines: Iterator[str], *, until: str = "") -> Heard:
    """The events of a stream, up to its end, or up to the first log line with this event."""
    found, fields = [], {}
    for line in lines:
        if line:
            key, _, value = line.partition(": ")
            fields[key] = value
        elif "id" in fields:
            found.append((int(fields["id"]), fields["event"], msgspec.json.decode(fields["data"], type=dict)))
            fields = {}
            if until and found[-1][2].get("event") == until:
                break
    return found


def events(served: Served, run_id: str, after: int | None = None, until: str = "") -> Heard:
    headers = {} if after is None else {"last-event-id": str(after)}
    with served.http.stream("GET", f"/runs/{run_id}/events", headers=headers) as answer:
        assert answer.status_code == 200
        return heard(answer.iter_lines(), until=until)


def test_events_and_logs_outlive_the_service(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with a_source() as source:
        source.open.clear()
        with serving(data, **SETTINGS) as served:
            served.login()
            upload_and_create(served)
            ended = served.json("POST", "/pipeline/cities/execute?wait=30")["run_id"]
            complete = events(served, ended)
            assert [number for number, _, _ in complete] == list(range(1, len(complete) + 1))
            assert complete[-1][1] == "end"
            _check_progress(complete)
            collector = {"type": "api", "endpoint": source.address}
            served.json("POST", "/pipeline/create", status=201, json={"name": "slow", "collectors": [collector]})
            going = served.json("POST", "/pipeline/slow/execute?wait=0", status=202)["run_id"]
            source.wait_for_a_request()
            before = events(served, going, until="run.started")
            os.kill(served.process.pid, signal.SIGKILL)
            served.ended()
        journal = data / "logs" / f"{going}.ndjson"
        with journal.open("ab") as file:
            file.write(b'{"id":99,"kind":"log","data":{"torn')  # as a machine that fails leaves it
        with serving(data, **SETTINGS) as served:
            served.login()
            assert events(served, ended) == complete
            assert events(served, ended, after=complete[-3][0]) == complete[-2:]
            assert events(served, ended, after=complete[-1][0]) == []
            rest = events(served, going, after=before[-1][0])
            assert [kind for _, kind, _ in rest][-2:] == ["status", "end"]
            assert rest[-1][2]["status"] == "interrupted"
            every = events(served, going)
            assert every == [*before, *rest]
            assert [number for number, _, _ in every] == list(range(1, len(every) + 1))
            lines = served.http.get(f"/runs/{going}/logs").text.splitlines()
            assert [msgspec.json.decode(line) for line in lines] == [data for _, kind, data in every if kind == "log"]


def _check_progress(complete: Heard) -> None:
    percent = [data["progress"] for _, kind, data in complete if kind in ("status", "progress")]
    assert percent == sorted(percent)
    assert (max(percent[:-1]) < 100, percent[-1]) == (True, 100)
    steps = complete[-1][2]["steps"]
    assert [(s["step"], s["phase"], s["fraction"]) for s in steps] == [
        ("collectors[0]", "collecting", 1), ("storage[0]", "storing", 1), ("storage[1]", "storing", 1)
    ]  # fmt: skip
    assert all(s["started"] <= s["ended"] and s["duration"] > 0 for s in steps)
    collected, stored, _ = steps
    assert (collected["rows_out"], stored["rows_in"], stored["rows_out"]) == (3, 3, 3)
    assert collected["bytes_read"] == collected["bytes_total"] == len(CSV)
    assert stored["bytes_written"] > 0
    assert collected["rows_per_second"] > 0


@pytest.mark.slow
def test_a_run_that_goes_on_after_a_restart_goes_on_in_its_journal(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with a_source() as source:
        source.open.clear()
        with serving(data, **SETTINGS) as served:
            served.login()
            document = {
                "name": "slow", "collectors": [{"type": "api", "endpoint": source.address}],
                "execution": {"max_attempts": 2, "retry_delay_seconds": 0},
            }  # fmt: skip
            served.json("POST", "/pipeline/create", status=201, json=document)
            run_id = served.json("POST", "/pipeline/slow/execute?wait=0", status=202)["run_id"]
            source.wait_for_a_request()
            before = events(served, run_id, until="run.started")
            os.kill(served.process.pid, signal.SIGKILL)
            served.ended()
        source.open.set()
        with serving(data, **SETTINGS) as served:
            served.login()
            rest = events(served, run_id, after=before[-1][0])
            assert rest[-1][2]["status"] == "completed"
            assert (rest[-1][2]["attempt"], rest[-1][2]["progress"]) == (2, 100)
            numbers = [number for number, _, _ in [*before, *rest]]
            assert numbers == list(range(1, len(numbers) + 1))
            assert events(served, run_id) == [*before, *rest]


@pytest.mark.slow
def test_listeners_do_not_delay_the_end_of_the_service(tmp_path: Path) -> None:
    with a_source() as source:
        source.open.clear()
        with serving(tmp_path / "data", **SETTINGS) as served, contextlib.ExitStack() as listening:
            served.login()
            collector = {"type": "api", "endpoint": source.address}
            served.json("POST", "/pipeline/create", status=201, json={"name": "slow", "collectors": [collector]})
            run_id = served.json("POST", "/pipeline/slow/execute?wait=0", status=202)["run_id"]
            source.wait_for_a_request()
            answers = [listening.enter_context(_listening(served, run_id)) for _ in range(10)]
            lines = [answer.iter_lines() for answer in answers]
            assert all(heard(each, until="run.started") for each in lines)
            began = time.monotonic()
            served.process.send_signal(signal.SIGTERM)
            assert served.ended() == 0
            assert time.monotonic() - began < PATIENCE / 2
            assert all(heard(each)[-1][1] == "end" for each in lines)


@contextlib.contextmanager
def _listening(served: Served, run_id: str) -> Iterator[httpx.Response]:
    with (
        httpx.Client(base_url=served.http.base_url, headers=served.http.headers, timeout=PATIENCE) as client,
        client.stream("GET", f"/runs/{run_id}/events") as answer,
    ):
        yield answer
