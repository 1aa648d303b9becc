"""What does the orders job take on a cluster, and is its version the one that a single process makes?

The same pipeline executed by Polars in the run's process, by a Sail server, and by Spark with two workers of one core;
the last one where ``PENSTOCK_TEST_SPARK_PYTHON`` names the Python of its executors (``.ci/spark_cluster`` makes such an
environment). Results are compared with those of Polars, facts and bytes of the files, before times are. The peak is
that of the run's process, executors excluded. The best of the repetitions counts.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import facts, measure, orders, server
from benchmarks.contestants import penstock
from benchmarks.options import Options
from benchmarks.questions.end_to_end import Outcome, compared
from benchmarks.table import figure, markdown
from tests import sail, spark_cluster

COMPARES_FIRST = True
ONLY_BY_NAME = True
ENGINES = {"polars": "Polars, one process", "sail": "Sail, one process", "spark": "Spark, two workers"}
HEAD = ("engine", "wall s", "× Polars", "run's process MiB")


@contextmanager
def cluster(name: str) -> Iterator[dict[str, str]]:
    """The settings of a service that executes there."""
    with tempfile.TemporaryDirectory(prefix="penstock-cluster-") as place:
        if name == "polars":
            yield {}
        elif name == "sail":
            with sail.server(Path(place)) as url:
                yield {"PENSTOCK_SPARK_URL": url}
        else:
            with spark_cluster.running(Path(place)) as found:
                yield {"PENSTOCK_SPARK_URL": found.url}


def contend(name: str, source: Path) -> tuple[Outcome, dict[str, str]]:
    """What a run came to, and the checksums of its files."""
    engine = "polars" if name == "polars" else "spark"
    document = orders.pipeline(penstock.NAME, source.name, native=False) | {"execution": {"engine": engine}}
    with cluster(name) as settings, server.running(source.parent, settings) as service:
        service.call("POST", "/pipeline/create", document)
        with measure.Watch(service.pid) as seen:
            run = service.execute(penstock.NAME)
        cost = measure.Cost(seen.wall, seen.cpu, run["peak_memory_bytes"] / measure.MIB)
        version = max((service.data / "warehouse" / penstock.NAME).glob("v*"))
        sums = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in version.glob("part-*.parquet")}
        return Outcome(cost, penstock.found(service), service.sql(facts.QUERY)[0]), sums


def ask(options: Options) -> dict[str, Any]:
    """By engine: cost, and what differed from Polars."""
    source = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
    table: dict[str, Any] = {name: {"differs": []} for name in ENGINES}
    failed: dict[str, str] = {}
    if spark_cluster.PYTHON not in os.environ:
        failed["spark"] = f"{spark_cluster.PYTHON} names no Python for executors"
    truth: tuple[Outcome, dict[str, str]] | None = None
    for _ in range(options.repeat):
        for name, entry in table.items():
            if name in failed or entry["differs"] or (options.contestants and name not in options.contestants):
                continue
            try:
                outcome, sums = contend(name, source)
            except measure.Failed as error:
                failed[name] = str(error)
                continue
            truth = truth or (outcome, sums)
            entry["compared"], entry["differs"] = compared(truth[0], outcome)
            entry["differs"] += [f"the bytes of {file}" for file in truth[1] if sums.get(file) != truth[1][file]]
            if not entry["differs"] and outcome.cost.wall < entry.get("wall", 1e18):
                entry |= {"wall": outcome.cost.wall, "peak_mib": outcome.cost.peak_mib, "files": len(sums)}
    return {"rows": options.rows, "best_of": options.repeat, "contestants": table, "failed": failed}


def show(answer: dict[str, Any]) -> str:
    """The answer for people."""
    table, rows, below = answer["contestants"], [], []
    local = table["polars"].get("wall")
    for name, entry in table.items():
        if "wall" in entry:
            ratio = entry["wall"] / local if local else None
            cells = [
                figure(value, places) for value, places in ((entry["wall"], 1), (ratio, 1), (entry["peak_mib"], 0))
            ]
            rows.append([ENGINES[name], *cells])
            below.append(
                f"{name}: {entry['compared']} facts and the bytes of {entry['files']} files are those of Polars"
            )
        below += [f"{name} differs, no time: {problem}" for problem in entry["differs"][:8]]
    below += [f"{name} did not complete: {text.splitlines()[-1]}" for name, text in answer["failed"].items()]
    return "\n".join([f"{answer['rows']:,} rows", "", markdown(HEAD, rows), "", *below])
