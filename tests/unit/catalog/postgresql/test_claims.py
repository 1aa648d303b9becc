"""Processes that claim runs at the same moment get different ones, and none of them waits for another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from service.catalog.history import History
from service.catalog.leases import Lease
from service.catalog.postgresql.server import Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.kit.clock import FixedClock
from service.model.run import Run
from service.runs import attempt_records

pytestmark = pytest.mark.services


def test_a_claim_passes_over_what_another_process_is_claiming(url: str, clock: FixedClock) -> None:
    stores = [PostgreSQLStore(Server(url), shared=True) for _ in range(2)]
    first, second = (History(store, lease=Lease(store, clock, 15)) for store in stores)
    for number in range(2):
        run = Run(run_id=f"run_{number}", pipeline=f"p{number}", revision=1, status="queued", queued_at=clock.now())
        first.add_run(f"id{number}", run)
    claiming, go_on = threading.Event(), threading.Event()

    def slowly(run: Run, now: datetime) -> Run:
        claiming.set()
        assert go_on.wait(30)
        return attempt_records.begun(run, now)

    with ThreadPoolExecutor(1) as pool:
        claimed = pool.submit(first.queue.claim, clock.now(), slowly)
        assert claiming.wait(30)
        found = second.queue.claim(clock.now(), attempt_records.begun)
        assert second.queue.claim(clock.now(), attempt_records.begun) is None
        go_on.set()
        other = claimed.result(30)
    assert found is not None
    assert other is not None
    assert (other[1].run_id, found[1].run_id) == ("run_0", "run_1")
    assert [history.queue.owned() for history in (first, second)] == [{"run_0"}, {"run_1"}]
    for store in stores:
        store.close()
