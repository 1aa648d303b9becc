"""A process is known from its first row until it leaves, or shows no life for the time of a lease."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from service.catalog.history import History
from service.catalog.leases import Lease
from service.kit.clock import FixedClock
from service.model.run import Run
from service.model.service_process import ServiceProcess
from tests import stores

pytestmark = stores.BOTH


def process(clock: FixedClock, name: str, **more: Any) -> ServiceProcess:
    return ServiceProcess(
        id=name, kind="worker", host="h", pid=1, release="0.1.0", concurrency=2, started=clock.now(),
        last_seen=clock.now(), **more,
    )  # fmt: skip


def test_a_process_lives_until_it_leaves_or_its_lease_is_over(clock: FixedClock) -> None:
    store = stores.new()
    history = History(store, lease=Lease(store, clock, 15))
    first = process(clock, "a", labels=("gpu",))
    history.processes.write(first)
    clock.advance(1)
    history.processes.write(process(clock, "b"))
    assert [found.id for found in history.processes.living(clock.now())] == ["a", "b"]
    clock.advance(14.5)
    history.lease.renew(lambda t: history.processes.note(t, msgspec.structs.replace(first, last_seen=clock.now())))
    clock.advance(1)
    (found,) = history.processes.living(clock.now())
    assert found == msgspec.structs.replace(first, last_seen=clock.now() - timedelta(seconds=1))
    history.processes.remove("a", clock.now())
    assert history.processes.living(clock.now()) == []
    assert len(store.rows("SELECT id FROM processes")) == 1
    clock.advance(24 * 3600)
    history.processes.remove("a", clock.now())  # whoever ends takes those away that were killed long ago
    assert store.rows("SELECT id FROM processes") == []


def test_a_process_shows_how_many_runs_it_executes(clock: FixedClock) -> None:
    store = stores.new()
    history = History(store, lease=Lease(store, clock, 15))
    history.processes.write(process(clock, history.lease.owner))
    for number, status in enumerate(("running", "queued", "running")):
        run = Run(run_id=f"run_{number}", pipeline="p", revision=1, status=status, queued_at=clock.now())  # type: ignore[arg-type]
        history.add_run("p", run)
    assert [found.running for found in history.processes.living(clock.now())] == [2]


@pytest.mark.parametrize(
    ("more", "plain", "gpu"),
    [
        ({}, True, False),
        ({"labels": ("gpu",)}, True, True),
        ({"labels": ("gpu",), "only_labelled": True}, False, True),
        ({"labels": ("gpu",), "draining": True}, False, False),
    ],
)
def test_a_process_takes_runs_by_their_labels(clock: FixedClock, more: dict[str, Any], plain: bool, gpu: bool) -> None:
    found = process(clock, "a", **more)
    assert (found.takes(None), found.takes("gpu"), found.takes("other")) == (plain, gpu, False)
    assert not msgspec.structs.replace(found, concurrency=0).takes("gpu")
