"""Two starts of the service over one catalog: a run has one owner, and whoever lost it stores nothing more."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from service.catalog.history import History
from service.catalog.leases import Lease
from service.kit import errors
from service.kit.clock import FixedClock
from service.model import lifecycle
from service.model.lifecycle import Status
from service.model.run import Run
from service.runs import attempt_records, leases
from service.runs.leases import Renewal
from tests import stores

pytestmark = stores.BOTH

SECONDS = 15.0


class Two:
    """A catalog that two services write, ``first`` and ``second``, and a clock that the test moves."""

    def __init__(self) -> None:
        self.clock, self.store = FixedClock(), stores.new()
        self.first, self.second = (
            History(self.store, lease=Lease(self.store, self.clock, SECONDS)) for _ in range(2)
        )  # fmt: skip

    def begin(self, run_id: str = "run_1", max_attempts: int = 1) -> Run:
        """A run whose first attempt the first service begins."""
        now = self.clock.now()
        queued = Run(
            run_id=run_id, pipeline="p", revision=1, status="queued", queued_at=now, max_attempts=max_attempts
        )  # fmt: skip
        begun = attempt_records.begun(queued, now)
        self.first.add_run("pl", begun)
        return begun

    def take_over(self, *, alone: bool = False) -> list[tuple[str, str]]:
        """The runs that the second service takes over."""
        taken = leases.take_over(self.second, self.clock.now(), alone=alone)
        assert all(self.second.run(run.run_id) == run for run in taken)
        return [(run.run_id, run.status) for run in taken]

    def lease(self, run_id: str = "run_1") -> tuple[str | None, float | None]:
        """Whose the run is, and for how many seconds from now."""
        row = self.store.row("SELECT owner, leased_until FROM runs WHERE run_id = $run_id", {"run_id": run_id})
        assert row is not None
        until, now = row["leased_until"], self.clock.now().replace(tzinfo=None)
        return row["owner"], until and (until - now).total_seconds()


@pytest.fixture
def two() -> Two:
    return Two()


def test_a_run_is_leased_from_the_transaction_in_which_it_begins_to_its_end(two: Two) -> None:
    run = two.begin(max_attempts=2)
    assert two.lease() == (two.first.lease.owner, SECONDS)
    waiting = attempt_records.waiting(run, two.clock.now(), errors.Permanent("x").as_body(), 0.0)
    two.first.change_run(waiting, 1)
    assert two.lease() == (None, None)
    two.clock.advance(100)
    begun = attempt_records.begun(waiting, two.clock.now())
    token = two.second.begin_attempt(begun)
    assert two.lease() == (two.second.lease.owner, SECONDS)
    two.second.change_run(msgspec.structs.replace(begun, status="failed"), token)
    assert two.lease() == (None, None)


def test_only_leases_older_than_a_third_are_renewed(two: Two) -> None:
    two.begin("run_old")
    two.clock.advance(5.1)
    two.begin("run_new")
    two.first.change_run(msgspec.structs.replace(two.begin("run_over"), status="failed"))
    assert two.first.lease.renew() == ["run_old"]
    assert two.lease("run_old") == (two.first.lease.owner, SECONDS)
    assert two.lease("run_over") == (None, None)
    assert two.first.lease.renew() == []
    two.clock.advance(5.1)
    assert sorted(two.first.lease.renew()) == ["run_new", "run_old"]
    assert two.second.lease.renew() == []


def test_a_renewal_leaves_what_is_kept_in_memory(two: Two, catalog_kind: str) -> None:
    run = two.begin()
    assert two.first.newest_run("pl") == run
    two.clock.advance(6)
    assert two.first.lease.renew() == ["run_1"]
    assert two.first.has_newest_run("pl") == (catalog_kind == "duckdb")


def test_a_run_is_lost_when_its_lease_has_run_out(two: Two) -> None:
    two.begin()
    two.begin("run_2", max_attempts=2)
    two.clock.advance(10)
    assert two.take_over() == []
    two.first.lease.renew()
    two.clock.advance(SECONDS)
    assert two.take_over() == []
    two.clock.advance(0.1)
    assert two.take_over() == [("run_1", "interrupted"), ("run_2", "retrying")]
    assert two.take_over() == []
    assert two.first.lease.renew() == []


def test_a_start_that_has_the_catalog_alone_waits_for_no_lease(two: Two) -> None:
    two.begin()
    assert two.take_over(alone=True) == [("run_1", "interrupted")]


def test_a_start_leaves_its_own_runs(two: Two) -> None:
    two.begin()
    two.clock.advance(100)
    for alone in (True, False):
        assert leases.take_over(two.first, two.clock.now(), alone=alone) == []


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "interrupted", "retrying"])
def test_an_attempt_whose_lease_was_taken_stores_nothing(two: Two, status: Status) -> None:
    """Also before the next attempt has begun, and while it is in progress."""
    run = two.begin(max_attempts=3)
    late = msgspec.structs.replace(run, status=status)
    two.clock.advance(SECONDS + 1)
    assert two.take_over() == [("run_1", "retrying")]
    taken = two.second.run("run_1")
    with pytest.raises(lifecycle.Superseded):
        two.first.change_run(late, 1)
    assert two.second.run("run_1") == taken
    begun = attempt_records.begun(taken, two.clock.now())
    token = two.second.begin_attempt(begun)
    with pytest.raises(lifecycle.Superseded):
        two.first.change_run(late, 1)
    two.second.change_run(msgspec.structs.replace(begun, status="completed"), token)


def test_a_service_that_slept_past_its_lease_still_owns_what_nobody_took(two: Two) -> None:
    run = two.begin()
    two.clock.advance(1000)
    assert two.first.lease.renew() == ["run_1"]
    assert two.take_over() == []
    two.clock.advance(1000)
    two.first.change_run(msgspec.structs.replace(run, status="completed"), 1)
    assert two.first.run("run_1").status == "completed"


def test_renewals_go_on_after_one_that_failed(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    renewed: list[Any] = []
    real = two.first.lease.renew

    def renew(_: Any) -> list[str]:
        renewed.append(None)
        if len(renewed) == 1:
            raise OSError("the disk is full")
        renewed[-1] = real()
        return real()

    monkeypatch.setattr(two.first.lease, "renew", renew)

    async def act() -> None:
        renewal = Renewal(two.first.lease, two.clock)
        renewal.start()
        for _ in range(3):
            while two.clock.sleeps != SECONDS / 3:  # noqa: ASYNC110 - a test may watch
                await asyncio.sleep(0.001)
            two.clock.advance(SECONDS / 3)
        while two.clock.sleeps != SECONDS / 3:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await renewal.close()

    two.begin()
    asyncio.run(act())
    assert renewed == [None, ["run_1"], []]
    assert two.lease() == (two.first.lease.owner, SECONDS * 2 / 3)
