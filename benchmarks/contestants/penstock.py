"""The product itself: a real service, from the request ``execute`` to its answer (the data can be queried then).

With ``native`` the clock goes on until the native DuckDB table answers instead of the Parquet. Reading the CSV,
every process start of the run and the commit are inside the clock; starting the service is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import facts, measure, orders, server

NAME = "orders"


def found(service: server.Service) -> dict[str, Any]:
    """The profile that the service stored, named as the other contestants name theirs."""
    profile = service.call("GET", f"/pipeline/{NAME}/profile")["profiles"][0]
    values: dict[str, Any] = {"rows": profile["row_count"]}
    for column in profile["columns"]:
        name = column["name"]
        values |= {f"{name}|{key}": column[key] for key in ("missing", "distinct", "mean", "std") if key in column}
        if "quantiles" in column:
            values[f"{name}|quantiles"] = [column["quantiles"][str(q)] for q in orders.QUANTILES]
        if "top" in column:
            values[f"{name}|top"] = [(entry["value"], entry["count"]) for entry in column["top"]]
    names, matrix = profile["correlation"]["columns"], profile["correlation"]["matrix"]
    for i, a in enumerate(names):
        values |= {f"{a}~{b}|corr": matrix[i][j] for j, b in enumerate(names) if j > i}
    return values


def contend(
    source: Path, *, native: bool, settings: Mapping[str, str] | None = None
) -> tuple[measure.Cost, dict[str, Any], dict[str, Any]]:
    """(cost, what was found, facts of the result). The peak is what the run says of its process."""
    with server.running(source.parent, settings) as service:
        service.call("POST", "/pipeline/create", orders.pipeline(NAME, source.name, native=native))
        with measure.Watch(service.pid) as seen:
            run = service.execute(NAME)
            if native:
                service.settle(NAME)
        cost = measure.Cost(seen.wall, seen.cpu, (run["peak_memory_bytes"] or 0) / measure.MIB)
        return cost, found(service), service.sql(facts.QUERY)[0]
