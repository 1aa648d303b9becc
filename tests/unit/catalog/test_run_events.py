"""Events of runs as rows: their ids have no gap and no double, whoever writes and whatever is repeated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from service.catalog.expired_runs import Expired, ExpiredRuns
from service.catalog.history import History
from service.catalog.leases import Lease
from service.catalog.run_events import Addition, RunEvents, Unwritten
from service.catalog.store import Transaction
from service.kit.clock import FixedClock
from service.model.run import Run
from service.runs import attempt_records, leases, shared_runs
from tests import stores

pytestmark = stores.BOTH

LINES: list[Unwritten] = [("log", b'{"n":%d}' % number) for number in range(5)]


class Shared:
    """A catalog, a run that a process works on, and another process."""

    def __init__(self, clock: FixedClock) -> None:
        self.store = stores.new()
        self.store.remote = True
        self.owner, self.other = (History(self.store, lease=Lease(self.store, clock, 15)) for _ in range(2))
        run = Run(run_id="run_0", pipeline="p", revision=1, status="queued", queued_at=clock.now(), max_attempts=2)
        self.owner.add_run("id", run, [shared_runs.note_queued])
        found = self.owner.queue.claim(clock.now(), attempt_records.begun)
        assert found is not None
        _, self.run, self.fence = found
        self.rows = RunEvents(self.store)

    def add(self, *events: Unwritten, last: int | None = 1, fence: int | None = None) -> Addition:
        addition = Addition("run_0", fence or self.fence, last, events)
        self.rows.add([addition])
        return addition

    def shown(self) -> list[tuple[int, str, Any]]:
        events = [event for page in self.rows.pages("run_0") for event in page]
        assert [event.id for event in events] == list(range(1, len(events) + 1))
        return [(event.id, event.kind, msgspec.json.decode(event.data)) for event in events]

    def kinds(self) -> str:
        return " ".join(kind for _, kind, _ in self.shown())


@pytest.fixture
def shared(clock: FixedClock, catalog_kind: str) -> Shared:
    return Shared(clock)


def test_events_of_many_runs_get_ids_that_count_on(shared: Shared) -> None:
    assert shared.add(*LINES[:2]).last == 3
    assert shared.add(*LINES[2:], last=3).last == 6
    unknown = Addition("run_x", None, None, LINES)
    shared.rows.add([unknown])
    assert unknown.dropped == 5  # of a run that was deleted
    assert shared.kinds() == "status" + " log" * 5
    assert [data for _, kind, data in shared.shown() if kind == "log"] == [{"n": n} for n in range(5)]
    assert next(shared.rows.log_lines("run_0")) == [data for _, data in LINES]
    assert [event.id for event in shared.rows.page("run_0", 4)] == [5, 6]


def test_a_repeated_addition_is_not_written_twice(shared: Shared) -> None:
    """The commit of the first try was not answered; meanwhile there are more events to write."""
    shared.add(*LINES[:3])
    assert shared.add(*LINES).last == 6
    assert shared.kinds() == "status" + " log" * 5


def test_who_has_lost_its_run_writes_log_lines_only(shared: Shared, clock: FixedClock) -> None:
    shared.add(*LINES[:1])
    shared.other.queue.end("run_0", lambda run: attempt_records.cancelled(run, clock.now()))
    assert shared.kinds() == "status log log status end"
    assert shared.shown()[2][2]["message"] == "another process was asked to end the run"
    addition = shared.add(("progress", b"{}"), *LINES[1:2], ("status", b"{}"), ("end", b"{}"), last=2)
    assert (addition.dropped, addition.last) == (1, 6)
    assert shared.kinds() == "status log log status end log"


def test_the_events_of_the_next_attempt_follow_those_of_the_lost_one(shared: Shared, clock: FixedClock) -> None:
    shared.add(*LINES[:1])
    clock.advance(60)
    leases.take_over(shared.other, clock.now(), alone=False)
    found = shared.other.queue.claim(clock.now() + timedelta(seconds=2), attempt_records.begun)
    assert found is not None
    shared.add(*LINES[1:2], fence=found[2], last=None)
    assert shared.kinds() == "status log log status log"
    assert [data.get("status") for _, kind, data in shared.shown() if kind == "status"] == ["queued", "retrying"]
    assert "is lost" in shared.shown()[2][2]["message"]


def test_the_end_is_written_once_whoever_finds_it_missing(shared: Shared, clock: FixedClock) -> None:
    shared.rows.finish("run_0")
    assert shared.rows.end("run_0") == 0  # it has not ended
    ended = msgspec.structs.replace(shared.run, status="failed", end_time=clock.now())
    shared.owner.change_run(ended, shared.fence)
    assert shared.rows.ends(["run_0", "run_x"])["run_0"].ended is not None
    for _ in range(2):
        shared.rows.finish("run_0")
    assert (shared.kinds(), shared.rows.end("run_0")) == ("status status end", 3)
    assert shared.add(("progress", b"{}"), ("end", b"{}")).dropped == 1  # its owner comes late


def test_append_may_be_called_again_after_its_commit(shared: Shared) -> None:
    def fails(work: Callable[[Transaction], Any]) -> Any:
        kept(work)
        raise ConnectionError("the answer was lost")

    kept, shared.rows._store.append = shared.rows._store.append, fails  # type: ignore[method-assign]
    addition = Addition("run_0", shared.fence, None, LINES[:2])
    with pytest.raises(ConnectionError):
        shared.rows.add([addition])
    assert addition.last == 1
    shared.rows._store.append = kept  # type: ignore[method-assign]
    shared.rows.add([addition])
    assert shared.kinds() == "status log log"


def test_retention_deletes_the_events_with_the_run(shared: Shared) -> None:
    shared.add(*LINES)
    ExpiredRuns(shared.store).delete([Expired("run_0", "p", 1)])
    assert shared.store.rows("SELECT * FROM run_events") == []
    assert shared.add(*LINES).dropped == 5


def test_the_end_is_shown_when_the_catalog_has_it(shared: Shared, clock: FixedClock) -> None:
    """Until then it may refuse it, since another process has the run."""
    events = [*LINES[:1], ("status", b'{"s":1}'), ("end", b'{"s":1}'), *LINES[1:2]]
    addition = shared.add(*events)
    assert (addition.done, addition.last, shared.kinds()) == (1, 2, "status log")
    ended = msgspec.structs.replace(shared.run, status="failed", end_time=clock.now())
    shared.owner.change_run(ended, shared.fence)
    assert shared.add(*events[1:], last=addition.last).done == 3
    assert shared.kinds() == "status log status end log"


def test_who_follows_a_run_that_waits_sees_once_what_it_waits_for(clock: FixedClock) -> None:
    store = stores.new()
    store.remote = True
    one, two = (History(store, lease=Lease(store, clock, 15)) for _ in range(2))
    run = Run(run_id="run_0", pipeline="p", revision=1, status="queued", queued_at=clock.now(), max_attempts=2)
    one.add_run("id", run, [shared_runs.note_queued])
    for history in (one, two):  # each process looks
        history.queue.note_waiting({"run_0": "a label"})
    two.queue.note_waiting({"run_0": None})
    events = [event for page in RunEvents(store).pages("run_0") for event in page]
    shown = [(event.kind, msgspec.json.decode(event.data)["waiting_for"]) for event in events]
    assert shown == [("status", None), ("status", "a label"), ("status", None)]
