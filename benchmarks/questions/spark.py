"""Does the Spark engine complete a job that the Polars engine, with the memory of one worker, does not?

The orders job by both engines, whose runs may use ``--memory`` (give 512MiB, the least), at a tenth of the rows and at
all of them. The cluster is that of ``PENSTOCK_SPARK_URL``, else a Sail server. What a run with four times the memory
stores is compared with what the others store, before any time is shown. The peak is that of the run's own process.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from benchmarks import cluster, limited_run, measure, orders
from benchmarks.cluster import Cluster
from benchmarks.options import Options
from benchmarks.table import figure, markdown

COMPARES_FIRST = True
ONLY_BY_NAME = True
DEFAULT_ROWS = 10_000_000
MORE = 4
"""Times the memory of the others has the run whose rows are the truth."""
HEAD = ("rows", "engine", "may use MiB", "peak MiB", "wall s", "CPU s of the service")
_SUMS = (
    "count(*)::DOUBLE, sum(order_id)::DOUBLE, sum(length(notes))::DOUBLE, round(sum(unit_price), 3), "
    "round(sum(weight_kg), 3), sum(created_at_year)::DOUBLE, sum(category_books)::DOUBLE"
)


def ask(options: Options) -> dict[str, Any]:
    """By rows and engine: the cost of the run, or why it did not complete, and what differed."""
    table: dict[str, Any] = {}
    with cluster.running() as spark:
        for rows in (options.rows // 10, options.rows):
            source = orders.write_csv(options.folder / f"orders-{rows}.csv", rows)
            more = dataclasses.replace(options, memory=options.memory * MORE)
            truth: list[Any] | None = None
            for name, engine, chosen in (
                ("polars, more", "polars", more), ("polars", "polars", options), ("spark", "spark", options)
            ):  # fmt: skip
                entry = table[f"{rows} {name}"] = {"rows": rows, "limit": chosen.memory, "differs": []}
                try:
                    cost, found = _run(source, engine, chosen, spark)
                except measure.Failed as error:
                    entry["error"] = str(error)
                    continue
                truth = truth or found
                entry["differs"] = [] if found == truth else [f"{found} and not {truth}"]
                entry |= {"wall": cost.wall, "cpu": cost.cpu, "peak_mib": cost.peak_mib}
        executors = spark.peak_mib
    failed = {name: e["error"] for name, e in table.items() if "error" in e and not name.endswith(" polars")}
    return {"rows": options.rows, "contestants": table, "executors_mib": executors, "failed": failed}


def _run(source: Path, engine: str, options: Options, spark: Cluster) -> tuple[measure.Cost, list[Any]]:
    document = orders.pipeline("orders", source.name, native=False)
    document["execution"] = {"engine": engine, "timeout_seconds": 7200}
    return limited_run.measured(document, options, _SUMS, {"PENSTOCK_SPARK_URL": spark.url})


def show(answer: dict[str, Any]) -> str:
    """The answer for people."""
    rows, below = [], []
    for name, entry in answer["contestants"].items():
        values = (entry["limit"] / measure.MIB, *map(entry.get, ("peak_mib", "wall", "cpu")))
        cells = [figure(value, places) for value, places in zip(values, (0, 0, 1, 1), strict=True)]
        rows.append([f"{entry['rows']:,}", name.partition(" ")[2], *cells])
        below += [f"{name} did not complete: {entry['error'].splitlines()[-1]}"] if "error" in entry else []
        below += [f"{name} differs, no time: {problem}" for problem in entry["differs"]]
    if answer["executors_mib"]:
        below.append(f"all executors together had {answer['executors_mib']:,.0f} MiB")
    return "\n".join([markdown(HEAD, rows), "", *below])
