"""Hints come from any process at its commit, also after the server restarted, and nothing depends on them."""

from __future__ import annotations

import queue
from functools import partial

import pytest

from service.catalog import run_events
from service.catalog.history import History
from service.catalog.postgresql.server import Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.catalog.store import ALL
from service.kit.clock import FixedClock
from service.model.run import Run
from tests.postgresql import Cluster

pytestmark = pytest.mark.services

PATIENCE = 60.0


def test_changes_of_another_process_are_hinted(cluster: Cluster, url: str, clock: FixedClock) -> None:
    here, elsewhere = PostgreSQLStore(Server(url, patience=60)), PostgreSQLStore(Server(url, patience=60))
    found: queue.SimpleQueue[str] = queue.SimpleQueue()

    def until(hint: str) -> None:
        while found.get(timeout=PATIENCE) != hint:
            pass

    history = History(elsewhere)
    with here.hints(found.put):
        until(ALL)  # it listens
        for number in range(2):
            run_id = f"run_{number}"
            run = Run(run_id=run_id, pipeline=run_id, revision=1, status="queued", queued_at=clock.now())
            history.add_run(run_id, run)
            until("")
            elsewhere.append(partial(run_events.append, run_id=run_id, events=[("log", b"{}")]))
            until(run_id)
            if number == 0:
                cluster.stop("immediate")
                cluster.start()
                until(ALL)  # it listens again
    here.close()
    elsewhere.close()
