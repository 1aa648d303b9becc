"""What others see of a process: from its first run on, while it lives, until it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.catalog.history import History
from service.catalog.leases import Lease
from service.catalog.store import Store
from service.files.layout import Layout
from service.kit import errors
from service.kit.clock import FixedClock
from service.kit.settings import Settings
from service.query.integrity import Integrity
from service.runs.job_resources import JobResources
from service.runs.membership import Membership
from tests import stores
from tests.registry import REGISTRY

pytestmark = stores.BOTH


def member(store: Store, clock: FixedClock, folder: Path, settings: Settings) -> Membership:
    layout = Layout(folder)
    history = History(store, lease=Lease(store, clock, 15))
    return Membership(JobResources(settings, layout, history, REGISTRY, clock, {}, Integrity(layout)))


def test_processes_of_one_installation_see_each_other(
    tmp_path: Path, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stores.new()
    monkeypatch.setattr(store, "shared", True)
    api = member(store, clock, tmp_path, Settings(max_concurrent_runs=0))
    worker = member(store, clock, tmp_path, Settings(max_concurrent_runs=2, worker_labels=("gpu",)))
    assert api.all() == []
    api.begin("serve")
    clock.advance(1)
    worker.begin("worker")
    for one in (api, worker):
        shown = [(p.kind, p.labels, p.concurrency, p.draining) for p in one.all()]
        assert shown == [("serve", (), 0, False), ("worker", ("gpu",), 2, False)]
    assert api.lacking("gpu") is None
    assert "has the label 'tpu'; start 'penstock worker --label tpu'" in str(api.lacking("tpu"))
    assert (api.misfit("gpu"), api.lacking(None)) == (None, None)
    clock.advance(15)
    store.write(worker.renew)
    worker.drain()
    assert "'gpu'" in str(api.lacking("gpu"))
    assert "executes runs without a label" in str(api.lacking(None))
    assert [(p.kind, p.draining) for p in api.all()] == [("worker", True)]
    worker.end()
    store.write(worker.renew)  # too late
    assert api.all() == []


def test_a_process_ends_though_the_catalog_does_not_answer(
    tmp_path: Path, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stores.new()
    monkeypatch.setattr(store, "shared", True)
    worker = member(store, clock, tmp_path, Settings())
    worker.begin("worker")

    def away(*_: object, **__: object) -> None:
        raise errors.Unavailable("PostgreSQL does not answer", code="CATALOG_UNAVAILABLE")

    monkeypatch.setattr(store, "write", away)
    worker.drain()
    worker.end()
    assert worker.own.draining


def test_a_process_alone_writes_nothing_and_sees_itself(tmp_path: Path, clock: FixedClock) -> None:
    store = stores.new()
    alone = member(store, clock, tmp_path, Settings(max_concurrent_runs=2))
    alone.begin("serve")
    store.write(alone.renew)
    assert [(p.kind, p.concurrency) for p in alone.all()] == [("serve", 2)]
    assert store.rows("SELECT id FROM processes") == []
    alone.end()
    assert "set PENSTOCK_WORKER_LABELS=gpu" in str(alone.misfit("gpu"))
    gpu = member(store, clock, tmp_path, Settings(worker_labels=("gpu",), only_labelled=True))
    assert (gpu.misfit("gpu"), alone.misfit(None)) == (None, None)
    assert "PENSTOCK_ONLY_LABELLED" in str(gpu.misfit(None))
