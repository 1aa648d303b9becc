"""What changed between two looks, found by comparing."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from service.catalog import changes
from service.catalog.history import History
from service.catalog.ownership import Ownership
from service.catalog.pipelines import Pipelines
from service.catalog.schedules import Schedules
from service.catalog.store import Store
from service.kit.clock import FixedClock
from service.model.rights import Rights
from service.model.run import Run
from service.model.version import Version
from tests import stores

pytestmark = stores.BOTH
CLOCK = FixedClock()
ADMIN = Rights(username="root", role="admin")


@pytest.fixture
def store() -> Store:
    return stores.new()


class Looks:
    """Each look tells what changed since the one before."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._before = changes.state(store)

    def parts(self) -> dict[str, list[str]]:
        before, self._before = self._before, changes.state(self._store)
        return {change.pipeline: [*change.changed] for change in changes.between(before, self._before)}


def test_each_kind_of_change(store: Store) -> None:
    pipelines, history = Pipelines(store, CLOCK), History(store)
    looks = Looks(store)
    pipelines.create("other", "other", {}, "cli")
    orders = pipelines.create("orders", "orders", {"schedule": {"cron": "0 * * * *", "timezone": "UTC"}}, "cli")
    assert looks.parts().keys() == {"orders", "other"}
    assert looks.parts() == {}
    queued = Run(run_id="run_1", pipeline="orders", revision=1, status="queued", queued_at=CLOCK.now())
    history.add_run(orders.id, queued)
    assert looks.parts() == {"orders": ["runs"]}
    begun = msgspec.structs.replace(queued, status="running", start_time=CLOCK.now())
    history.begin_attempt(begun)
    assert looks.parts() == {"orders": ["runs"]}
    ended = msgspec.structs.replace(begun, status="completed", version=1, end_time=CLOCK.now() + timedelta(seconds=1))
    history.publish(orders.id, ended, Version(
        pipeline="orders", version=1, run_id="run_1", revision=1, table="orders", rows=5, bytes=5, columns=[],
        files=[], sources=[], created=CLOCK.now(),
    ))  # fmt: skip
    assert looks.parts() == {"orders": ["runs", "versions"]}
    Schedules(store, CLOCK).pause("orders")
    assert looks.parts() == {"orders": ["schedule"]}
    Ownership(store).change("orders", ADMIN, {"visibility": "private"})
    assert looks.parts() == {"orders": ["pipeline"]}
    pipelines.delete("orders")
    assert looks.parts() == {"orders": ["pipeline"]}


def test_what_did_not_change_has_the_same_stamp(store: Store) -> None:
    Pipelines(store, CLOCK).create("orders", "orders", {}, "cli")
    before = changes.stamp(store)
    assert changes.stamp(store) == before
    Pipelines(store, CLOCK).create("customers", "customers", {}, "cli")
    assert changes.stamp(store) != before
