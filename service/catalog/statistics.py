"""The statistics of a pipeline: what its runs did, computed by SQL over the run history."""

from __future__ import annotations

from typing import Any

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Store
from service.model.run import Run

_SQL = load_sql("statistics")


def of_pipeline(store: Store, pipeline_id: str) -> dict[str, Any]:
    """The figures of ``GET /pipeline/{name}/stats``. Durations are in seconds, sizes in bytes. Blocks."""
    key = {"pipeline_id": pipeline_id}
    figures = dict(store.row(_SQL["runs"], key) or {})
    figures |= store.row(_SQL["storage"], key) or {}
    last, failed = (_run(store, name, pipeline_id) for name in ("last", "last_error"))
    figures["last_execution"] = last and {
        "run_id": last.run_id,
        "start_time": last.start_time,
        "end_time": last.end_time,
        "duration": last.duration,
        "status": last.status,
        "rows_processed": last.rows_stored,
        "error": last.error,
        "peak_memory_bytes": last.peak_memory_bytes,
        "steps": last.steps,
    }
    figures["last_error"] = failed.error if failed is not None else None
    return figures


def _run(store: Store, statement: str, pipeline_id: str) -> Run | None:
    row = store.row(_SQL[statement], {"pipeline_id": pipeline_id})
    return msgspec.json.decode(row["value"], type=Run) if row is not None else None
