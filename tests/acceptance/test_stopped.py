"""Processes that are stopped, killed or lost from outside: deadlines hold, and the cause that a user reads is true."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import documents
from tests.acceptance.hostile_runs import EXTENSION, create, ended, start
from tests.acceptance.served import PASSWORD, PATIENCE, Served, children_of, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = {
        "PENSTOCK_ADMIN_PASSWORD": PASSWORD,
        "PENSTOCK_RUN_MEMORY_LIMIT": "768MiB",
        "PENSTOCK_RATE_LIMIT_PER_MINUTE": "100000",
        "PENSTOCK_HEARTBEAT_SECONDS": "1",
        "PENSTOCK_SECRET_CANARY": "nobody may see this",
    }
    folder = tmp_path_factory.mktemp("stopped")
    with serving(folder / "data", path=f"{documents.ROOT}:{EXTENSION}", **settings) as served:
        served.login()
        create(served, "healthy", "nothing")
        create(served, "forever", "loop")
        yield served


def forkserver(served: Served) -> int | None:
    """The process that has the children of the service."""
    for pid in children_of(served.process.pid):
        with contextlib.suppress(OSError):  # it has ended
            above = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
            if int(above) == served.process.pid and b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return None


def environment_of_another(served: Served, before: int) -> bytes:
    """The environment of the forkserver, when it is another one than ``before``; that may be replaced, too."""
    pid = forkserver(served)
    if pid in (None, before):
        return b""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def stop_forkserver(served: Served) -> None:
    deadline = time.monotonic() + PATIENCE
    while (pid := forkserver(served)) is None:  # an earlier test ended it, and the next one is about to start
        assert time.monotonic() < deadline
    os.kill(pid, signal.SIGSTOP)


def worker(served: Served) -> int:
    """The process of the run that is going: it loops, so that it uses the most time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        used = {}
        for pid in children_of(forkserver(served) or 0):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            used[pid] = int(fields[11])
        if used and max(used.values()) > 20:
            return max(used, key=lambda pid: used[pid])
    raise AssertionError("no run is going")


def looping(served: Served) -> tuple[str, int]:
    run_id = start(served, "forever")
    return run_id, worker(served)


def test_a_worker_that_is_stopped_ends(served: Served) -> None:
    run_id, pid = looping(served)
    os.kill(pid, signal.SIGSTOP)
    run = ended(served, run_id)  # nobody has to end it
    assert (run["status"], run["error"]["code"]) == ("interrupted", "RUN_CRASHED")
    assert "SIGSTOP" in run["error"]["message"]


def test_a_worker_that_a_person_kills_did_not_run_out_of_memory(served: Served) -> None:
    run_id, pid = looping(served)
    os.kill(pid, signal.SIGKILL)
    run = ended(served, run_id)
    assert (run["status"], run["error"]["code"]) == ("interrupted", "RUN_CRASHED")
    assert "from outside (SIGKILL)" in run["error"]["message"]
    assert run["peak_memory_bytes"] > 1 << 20


@pytest.mark.parametrize(("how", "code"), [("abort", "RUN_CRASHED"), ("polars", "RUN_OUT_OF_MEMORY")])
def test_an_abort_is_want_of_memory_only_where_it_was(served: Served, how: str, code: str) -> None:
    create(served, how, how)
    run = ended(served, start(served, how))
    assert run["error"]["code"] == code, run["error"]


def test_a_query_worker_that_a_person_kills_did_not_run_out_of_memory(served: Served) -> None:
    slow = {"sql": "SELECT count(*) FROM range(100000) a, range(100000) b WHERE a.range + b.range = -1"}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(served.http.post, "/query", json=slow, timeout=60)
        os.kill(worker(served), signal.SIGKILL)
        answer = asked.result()
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert "killed from outside" in answer.json()["error"]["message"]
    assert served.json("POST", "/query", json={"sql": "SELECT 1 AS one"})["data"] == [{"one": 1}]


@pytest.mark.parametrize("how", ["memory", "polars"])
def test_a_run_and_a_request_without_memory_name_their_own_limits(served: Served, how: str) -> None:
    """Real allocations until RLIMIT_DATA refuses one, in Python and in Rust."""
    document = {"name": f"greedy-{how}", "collectors": [{"type": "hostile", "how": how}]}
    refused = served.http.post("/pipeline/preview", json=document, timeout=60)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "REQUEST_OUT_OF_MEMORY"), refused.text
    assert "memory of the machine" in refused.json()["error"]["message"]
    served.json("POST", "/pipeline/create", status=201, json=document)
    error = ended(served, start(served, f"greedy-{how}"))["error"]
    assert error["code"] == "RUN_OUT_OF_MEMORY", error
    assert "768 MiB" in error["message"]


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_forkserver_that_does_not_answer_is_replaced(served: Served, number: signal.Signals) -> None:
    before = forkserver(served)
    assert before is not None
    os.kill(before, number)
    for path in ("/pipeline/healthy/status", "/pipeline", "/pipeline/healthy/runs"):
        assert served.http.get(path).status_code == 200
    deadline = time.monotonic() + PATIENCE
    while True:  # workers that waited may answer as long as they live; readiness looks for the forkserver itself
        assert served.http.get(f"{served.address}/health/ready").status_code in (200, 503)
        answer = served.http.post("/query", json={"sql": "SELECT 1 AS one"})
        assert answer.status_code in (200, 503), answer.text
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) > 0
        elif environment := environment_of_another(served, before):
            break
        assert time.monotonic() < deadline
    assert b"CANARY" not in environment
    assert b"_RJEM_MALLOC_CONF" in environment
    assert b"DUCKDB_JE_MALLOC_CONF=retain:false" in environment
    assert ended(served, start(served, "healthy"))["status"] == "completed"


def test_a_run_that_is_lost_with_the_forkserver_ends(served: Served) -> None:
    run_id, _ = looping(served)
    stop_forkserver(served)
    assert served.http.get(f"{served.address}/health/ready").status_code in (200, 503)
    cancelled: dict[str, Any] = served.json("POST", f"/runs/{run_id}/cancel", status=202)
    assert ended(served, run_id)["status"] in ("cancelled", "failed"), cancelled


def test_a_stopped_service_ends_with_a_stopped_forkserver(served: Served) -> None:
    """The last test of this file: it ends the service."""
    stop_forkserver(served)
    served.process.send_signal(signal.SIGTERM)
    assert served.ended() == 0
