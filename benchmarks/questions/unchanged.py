"""What does it cost to notice that a run changed nothing?

A CSV is stored again and again without a change. A version is equal to the one before if the SHA-256 of its files is,
which is computed for ``verify`` in any case; so that is the whole cost. After each run the files are hashed in a fresh
process, and its CPU is put beside that of the run: a share of at most 2 % is the aim.
"""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks import measure, orders, server
from benchmarks.options import Options

MOST = 0.02
"""The share of the run's CPU that hashing may take."""


def ask(options: Options) -> dict[str, Any]:
    """Medians of the CPU and wall seconds of an unchanged run and of its hash, for Parquet and with a DuckDB table."""
    source = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
    table: dict[str, Any] = {}
    with server.running(source.parent) as service:
        for name, storage in {"parquet": [], "duckdb": [{"type": "duckdb"}]}.items():
            document = {
                "name": name, "collectors": [{"type": "csv", "file_path": source.name}],
                "storage": [{"type": "parquet"}, *storage],
            }  # fmt: skip
            service.call("POST", "/pipeline/create", document)
            service.execute(name)
            service.settle(name)
            rounds = [_round(service, name) for _ in range(options.repeat)]
            table[name] = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
    return {"rows": options.rows, "contestants": table, "failed": [n for n, e in table.items() if e["share"] > MOST]}


def _round(service: server.Service, name: str) -> dict[str, float]:
    with measure.Watch(service.pid) as seen:
        run = service.execute(name)
    if not run["unchanged"]:
        raise measure.Failed(f"the run of {name} made version {run['version']} of the same rows")
    folder = service.data / "warehouse" / name / f"v{run['version']:06d}"
    hashed = measure.said("benchmarks.contestants.file_hashes", [str(folder)])
    return {"cpu": seen.cpu, "wall": seen.wall, "hash_cpu": hashed["cpu"], "share": hashed["cpu"] / seen.cpu}


def show(answer: dict[str, Any]) -> str:
    """The answer as a table for people."""
    lines = [f"{answer['rows']:,} rows", f"{'':10}{'CPU s':>8}{'wall s':>8}{'hash CPU':>10}{'share':>8}"]
    for name, e in answer["contestants"].items():
        lines.append(f"{name:10}{e['cpu']:8.2f}{e['wall']:8.2f}{e['hash_cpu']:10.4f}{e['share']:8.2%}")
    return "\n".join(lines)
