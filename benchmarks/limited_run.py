"""A run of Penstock that may use only some memory, and a query of what it has stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks import measure, server
from benchmarks.options import Options


def settings(options: Options) -> dict[str, str]:
    """The service's environment: one run at a time, and what it may use."""
    return {"PENSTOCK_RUN_MEMORY_LIMIT": str(options.memory), "PENSTOCK_MAX_CONCURRENT_RUNS": "1"}


def measured(
    document: dict[str, Any], options: Options, expressions: str, more: Mapping[str, str] | None = None
) -> tuple[measure.Cost, list[Any]]:
    """The cost of a run of the pipeline ``document``, and what the expressions are over its table, of one row.

    ``more`` are more variables of the service's environment.
    """
    name = document["name"]
    with server.running(options.folder, settings(options) | dict(more or {})) as service:
        service.call("POST", "/pipeline/create", document)
        with measure.Watch(service.pid) as seen:
            run = service.execute(name)
        (row,) = service.sql(f"SELECT {expressions} FROM {name}")
        return measure.Cost(seen.wall, seen.cpu, run["peak_memory_bytes"] / measure.MIB), list(row.values())
