"""The events and logs of a run are the same from every process, byte for byte, whoever executed it."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from service.catalog import catalog_copy
from tests.acceptance.gated_source import Source
from tests.acceptance.installation import Installation, create, execute
from tests.acceptance.served import PASSWORD, PATIENCE, Served, serving
from tests.postgresql import Cluster

pytestmark = pytest.mark.services


def events(served: Served, run: str, after: int | None = None, until: bytes = b"") -> bytes:
    """The stream of events as it is sent, without its comments; up to its end, or to what has ``until`` in it."""
    headers = {} if after is None else {"last-event-id": str(after)}
    found = b""
    with served.http.stream("GET", f"/runs/{run}/events", headers=headers, timeout=PATIENCE) as answer:
        assert answer.status_code == 200
        for part in answer.iter_bytes():
            found += part.replace(b": still here\n\n", b"")
            if until and until in found and found.endswith(b"\n\n"):
                break
    return found


def ids(stream: bytes) -> list[int]:
    return [int(line[4:]) for line in stream.splitlines() if line.startswith(b"id: ")]


def log(served: Served, run: str) -> bytes:
    answer = served.http.get(f"/runs/{run}/logs")
    assert answer.status_code == 200
    return answer.content


def test_every_process_sends_the_same_events_and_logs(start: Installation, source: Source) -> None:
    source.open.clear()
    api, other, worker = start("api", 0), start("other", 0), start("worker", 1)
    create(api, "slow", source)
    run = execute(api, "slow")["run_id"]
    source.wait_for_a_request()
    seen = events(api, run, until=b"run.started")  # while it is going
    source.open.set()
    whole = events(worker, run)
    assert ids(whole) == list(range(1, len(ids(whole)) + 1))
    assert whole.startswith(seen)
    assert whole.index(b'"status":"queued"') < whole.index(b'"status":"running"') < whole.index(b"event: end")
    for served in (api, other):
        assert events(served, run) == whole
    middle = ids(whole)[len(ids(whole)) // 2]
    for served in (api, other, worker):
        rest = events(served, run, after=middle)
        assert whole.endswith(rest)
        assert ids(rest) == list(range(middle + 1, ids(whole)[-1] + 1))
        assert events(served, run, after=ids(whole)[-1]) == b""
    lines = log(worker, run)
    assert b"run.published" in lines
    assert log(api, run) == log(other, run) == lines
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.ended()
    assert (events(api, run), log(api, run)) == (whole, lines)


def test_a_follower_goes_on_elsewhere_when_the_owner_is_killed(start: Installation, source: Source) -> None:
    source.open.clear()
    api, lost = start("api", 0), start("lost", 1)
    create(api, "slow", source, attempts=2)
    run = execute(api, "slow")["run_id"]
    source.wait_for_a_request()
    before = events(lost, run, until=b'"step":"collectors[0]"')
    os.kill(lost.process.pid, signal.SIGKILL)
    lost.ended()
    other = start("other", 1)
    source.open.set()
    rest = events(api, run, after=ids(before)[-1])
    whole = events(other, run)
    assert before + rest == whole == events(api, run)
    assert ids(whole) == list(range(1, len(ids(whole)) + 1))
    assert b"the process that worked on the run is lost" in rest
    assert rest.count(b"event: end") == 1
    assert log(api, run) == log(other, run)


def test_who_cancels_shows_the_end_at_once(start: Installation, source: Source) -> None:
    source.open.clear()
    api, worker = start("api", 0), start("worker", 1)
    create(api, "slow", source)
    run = execute(api, "slow")["run_id"]
    source.wait_for_a_request()
    api.json("POST", f"/runs/{run}/cancel", status=202)
    whole = events(api, run)
    assert whole.endswith(events(worker, run, after=ids(whole)[-2]))
    assert b'"status":"cancelled"' in whole
    worker.until_logged(lambda line: line["event"] == "run.superseded" and line["run_id"] == run)
    source.open.set()
    assert events(worker, run) == whole == events(api, run)


def test_an_installation_that_moves_takes_its_events_along(cluster: Cluster, source: Source, tmp_path: Path) -> None:
    data, back = tmp_path / "data", tmp_path / "back"
    settings = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1"}
    with serving(data, **settings) as served:
        served.login()
        create(served, "slow", source)
        run = execute(served, "slow")["run_id"]
        whole, lines = events(served, run), log(served, run)
    with cluster.database() as url:
        catalog_copy.copy(str(data), url)
        (data / "catalog.duckdb").unlink()
        with serving(data, **settings, PENSTOCK_CATALOG_URL=url) as served:
            served.login()
            assert not [*(data / "logs").iterdir()]
            assert (events(served, run), log(served, run)) == (whole, lines)
            second = execute(served, "slow")["run_id"]
            after = events(served, second)
            assert not [*(data / "logs").iterdir()]
        catalog_copy.copy(url, str(back))
        catalog_copy.give_back(str(back))
    shutil.rmtree(back / "warehouse")
    (data / "warehouse").rename(back / "warehouse")
    with serving(back, **settings) as served:
        served.login()
        assert (events(served, run), events(served, second)) == (whole, after)


def test_a_process_tells_what_others_change(start: Installation, source: Source) -> None:
    api, other, _ = start("api", 0), start("other", 0), start("worker", 1)
    overview = api.json("GET", "/overview")
    with other.http.stream("GET", "/events", headers={"last-event-id": overview["last_event_id"]}) as answer:
        parts = answer.iter_bytes()
        found = next(parts)
        assert b"event: begin" in found  # it may have missed something: another process gave the position
        create(api, "told", source)
        run = execute(api, "told")["run_id"]
        wanted = [b'"changed":["pipeline"', run.encode(), b'"versions"', b'"status":"completed"']
        while not all(one in found for one in wanted):
            found += next(parts)
