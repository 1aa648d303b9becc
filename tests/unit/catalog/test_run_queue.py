"""Runs are claimed in their order, once, when they are due; and whoever ends one closes it to its owner."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from service.catalog.history import History
from service.catalog.leases import Lease
from service.kit.clock import FixedClock
from service.model import lifecycle
from service.model.run import Run
from service.runs import attempt_records, leases
from tests import stores

pytestmark = stores.BOTH


def queued(clock: FixedClock, number: int) -> Run:
    return Run(
        run_id=f"run_{number}", pipeline=f"p{number}", revision=1, status="queued", queued_at=clock.now(),
        max_attempts=2,
    )  # fmt: skip


def test_each_run_is_claimed_once_oldest_first(clock: FixedClock) -> None:
    store = stores.new()
    hosts = [History(store, lease=Lease(store, clock, 15)) for _ in range(3)]
    for number in range(6):
        hosts[0].add_run(f"id{number}", queued(clock, number))

    def claim(number: int) -> str:
        found = hosts[number % 3].queue.claim(clock.now(), attempt_records.begun)
        assert found is not None
        pipeline_id, run, fence = found
        assert (run.status, run.attempt, fence, pipeline_id) == ("running", 1, 1, f"id{run.run_id[-1]}")
        return run.run_id

    assert [claim(0), claim(1)] == ["run_0", "run_1"]
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(claim, range(4))) == ["run_2", "run_3", "run_4", "run_5"]
    assert hosts[0].queue.claim(clock.now(), attempt_records.begun) is None
    owned = [host.queue.owned() for host in hosts]
    assert sum(map(len, owned)) == 6
    assert set().union(*owned) == {f"run_{number}" for number in range(6)}


def test_a_run_that_waits_is_claimed_when_its_time_has_come(clock: FixedClock) -> None:
    store = stores.new()
    history = History(store, lease=Lease(store, clock, 15))
    history.add_run("id", queued(clock, 0))
    found = history.queue.claim(clock.now(), attempt_records.begun)
    assert found is not None
    error = lifecycle.superseded("run_0").as_body()
    history.change_run(attempt_records.waiting(found[1], clock.now(), error, 30.0), found[2])
    for seconds, due in ((29, False), (2, True)):
        clock.advance(seconds)
        again = history.queue.claim(clock.now(), attempt_records.begun)
        assert (again is not None) == due
    assert again is not None
    assert (again[1].attempt, again[2]) == (2, 2)


def test_who_ends_a_run_of_another_process_closes_it_to_its_owner(clock: FixedClock) -> None:
    store = stores.new()
    owner, other = (History(store, lease=Lease(store, clock, 15)) for _ in range(2))
    owner.add_run("id", queued(clock, 0))
    found = owner.queue.claim(clock.now(), attempt_records.begun)
    assert found is not None
    _, run, fence = found
    clock.advance(3)
    for _ in range(2):  # the second time it has ended
        other.queue.end("run_0", lambda known: attempt_records.cancelled(known, clock.now()))
    ended = other.run("run_0")
    assert (ended.status, ended.duration, ended.attempts[0].end_time) == ("cancelled", 3.0, clock.now())
    assert owner.queue.owned() == set()
    with pytest.raises(lifecycle.Superseded):
        owner.change_run(attempt_records.waiting(run, clock.now(), lifecycle.superseded("x").as_body(), 0.0), fence)


def test_a_run_whose_claim_was_never_answered_goes_back_to_the_queue(clock: FixedClock) -> None:
    store = stores.new()
    owner, other = (History(store, lease=Lease(store, clock, 15)) for _ in range(2))
    owner.add_run("id", queued(clock, 0))
    owner.queue.claim(clock.now(), attempt_records.begun)
    leases.give_up(other, clock.now(), {"run_0"})  # it is not his
    assert owner.queue.owned() == {"run_0"}
    leases.give_up(owner, clock.now(), {"run_0"})
    assert owner.run("run_0").status == "retrying"
    clock.advance(2)
    found = other.queue.claim(clock.now(), attempt_records.begun)
    assert found is not None
    assert (found[1].attempt, found[2]) == (2, 3)


def test_only_the_present_attempt_shows_how_far_a_run_is(clock: FixedClock) -> None:
    store = stores.new()
    history = History(store, lease=Lease(store, clock, 15))
    history.add_run("id", queued(clock, 0))
    found = history.queue.claim(clock.now(), attempt_records.begun)
    assert found is not None
    _, run, fence = found
    for token, progress in ((fence - 1, 0.0), (fence, 40.0)):
        history.queue.show([(msgspec.structs.replace(run, progress=40.0), token)])
        assert history.run("run_0").progress == progress
    history.queue.end("run_0", lambda known: attempt_records.cancelled(known, clock.now()))
    history.queue.show([(run, fence + 1)])
    assert history.run("run_0").status == "cancelled"


def test_a_run_with_a_label_is_claimed_by_a_process_that_has_it(clock: FixedClock) -> None:
    store = stores.new()
    history = History(store, lease=Lease(store, clock, 15))
    for number, label in enumerate(("gpu", None, "eu", None)):
        history.add_run(f"id{number}", msgspec.structs.replace(queued(clock, number), label=label))

    def claimed(*labels: str, only_labelled: bool = False) -> str | None:
        found = history.queue.claim(clock.now(), attempt_records.begun, labels, only_labelled=only_labelled)
        return found[1].run_id if found is not None else None

    assert claimed("us", only_labelled=True) is None
    assert claimed() == "run_1"
    assert claimed("eu", only_labelled=True) == "run_2"
    assert claimed("gpu", "eu") == "run_0"
    assert claimed("gpu", "eu") == "run_3"
    assert claimed("gpu", "eu") is None


def test_what_a_run_waits_for_is_stored_until_its_attempt_begins(clock: FixedClock) -> None:
    store = stores.new()
    history = History(store, lease=Lease(store, clock, 15))
    for number in range(2):
        history.add_run(f"id{number}", queued(clock, number))
    history.queue.claim(clock.now(), attempt_records.begun)
    history.queue.note_waiting({"run_0": "a process", "run_1": "a process", "run_2": "a process"})
    assert [history.run(f"run_{number}").waiting_for for number in range(2)] == [None, "a process"]
    assert history.queue.claim(clock.now(), attempt_records.begun) is not None
    assert history.run("run_1").waiting_for is None
