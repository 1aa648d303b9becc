"""The gauges of a service: what runs, waits and is stored at present, read when somebody asks for the metrics."""

from __future__ import annotations

import collections
import functools
import shutil
from collections.abc import Mapping

from service.catalog.store import Store
from service.catalog.warehouse_totals import WarehouseTotals
from service.files.layout import Layout
from service.kit import errors
from service.model.lifecycle import WAITING
from service.query.engine import Engine
from service.runs.condition import Condition
from service.runs.supervisor import Supervisor
from service.runs.task_runner import TaskRunner
from service.telemetry.metrics import Labels, Metrics


def add(
    metrics: Metrics, supervisor: Supervisor, engine: Engine, tasks: TaskRunner, store: Store, layout: Layout,
    condition: Condition,
) -> None:  # fmt: skip
    """Add the gauges of these parts of a service to ``metrics``."""

    queue = supervisor.history.queue

    def queues() -> Mapping[Labels, float]:
        shared = queue.length() if queue.shared else None  # of all processes: any of them may have the next free place
        return {
            ("runs",): sum(status in WAITING for status in supervisor.statuses) if shared is None else shared,
            ("tasks",): tasks.waiting,
            **{(queue,): count for queue, count in engine.waiting.items()},
        }

    def workers() -> Mapping[Labels, float]:
        kinds = {"query": engine.workers, "run": supervisor.workers, "apply": tasks.workers}
        return {(kind, state): count for kind, found in kinds.items() for state, count in found.items()}

    metrics.gauge(
        "penstock_runs", "Runs that have not ended, by status.",
        lambda: {(status,): count for status, count in collections.Counter(supervisor.statuses).items()}, ("status",),
    )  # fmt: skip
    metrics.gauge(
        "penstock_queue_length", "Runs and requests that wait for a place.", queues, ("queue",), blocks=queue.shared
    )
    metrics.gauge(
        "penstock_workers", "Child processes that are at work (busy), or kept for more work (kept).", workers,
        ("kind", "state"),
    )  # fmt: skip
    metrics.gauge(
        "penstock_catalog_healthy", "1, or 0 after an error of the catalog that needs a restart.", lambda: store.healthy
    )
    metrics.gauge(
        "penstock_damaged_versions", "Versions whose files are known to be damaged.",
        lambda: len(condition.integrity.damaged()), blocks=True,
    )  # fmt: skip
    metrics.gauge(
        "penstock_disk_free_bytes", "Bytes that may still be written to the disk of the data directory.",
        lambda: _disk(layout, "free"), blocks=True,
    )  # fmt: skip
    metrics.gauge(
        "penstock_disk_size_bytes", "Size of the disk of the data directory.",
        lambda: _disk(layout, "total"), blocks=True,
    )  # fmt: skip
    totals, read = WarehouseTotals(store), functools.partial(metrics.gauge, blocks=True)
    read("penstock_pipelines", "Pipelines.", lambda: _total(totals, "pipelines"))
    read("penstock_stored_versions", "Versions of the warehouse.", lambda: _total(totals, "versions"))
    read("penstock_stored_rows", "Rows of all versions.", lambda: _total(totals, "rows"))
    read("penstock_stored_bytes", "Bytes of all versions; shared parts count in each.", lambda: _total(totals, "bytes"))


def _disk(layout: Layout, name: str) -> Mapping[Labels, float]:
    try:
        return {(): getattr(shutil.disk_usage(layout.root), name)}
    except OSError:  # it was unmounted
        return {}


def _total(totals: WarehouseTotals, name: str) -> Mapping[Labels, float]:
    try:
        return {(): totals.read()[name]}
    except errors.PenstockError:  # the catalog cannot be read now
        return {}
