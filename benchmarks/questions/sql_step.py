"""Does a ``sql`` step cost more than DuckDB reading the same Parquet?

Both forms answer in turns, each in a process of its own; the least seconds count. ``--rows`` is 10 million for the
figures in the decision records. Results must have as many rows.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.contestants import sql_step
from benchmarks.options import Options

_MODULE = "benchmarks.contestants.sql_step"
_KINDS = ("wall", "cpu", "peak_mib")


def ask(options: Options) -> dict[str, Any]:
    """Costs by query and form, and ours as multiples of DuckDB's."""
    source = sql_step.write_source(options.folder / f"sql-{options.rows}.parquet", options.rows)
    table = {}
    with tempfile.TemporaryDirectory(prefix="sql-", dir=options.folder) as folder:
        for query in sql_step.QUERIES:
            runs: dict[str, list[dict[str, Any]]] = {"duckdb": [], "penstock": []}
            for _ in range(options.repeat):
                for form, costs in runs.items():
                    result = Path(folder) / f"{form}.parquet"
                    costs.append(measure.said(_MODULE, [form, query, str(source), str(result)]))
            best = {form: {kind: min(cost[kind] for cost in costs) for kind in _KINDS} for form, costs in runs.items()}
            rows = {form: costs[0]["rows"] for form, costs in runs.items()}
            table[query] = {
                **best,
                "ratio": {kind: best["penstock"][kind] / best["duckdb"][kind] for kind in _KINDS},
                "differs": [f"rows: {rows}"] if len(set(rows.values())) > 1 else [],
            }
    return {"rows": options.rows, "best_of": options.repeat, "contestants": table}


def show(answer: dict[str, Any]) -> str:
    """The answer as a table for people."""
    lines = [f"{'query':12}{'DuckDB s':>10}{'here s':>10}   ratios wall, CPU, peak"]
    for query, entry in answer["contestants"].items():
        ratio = entry["ratio"]
        lines.append(
            f"{query:12}{entry['duckdb']['wall']:10.2f}{entry['penstock']['wall']:10.2f}"
            f"   {ratio['wall']:5.2f} {ratio['cpu']:5.2f} {ratio['peak_mib']:5.2f}"
        )
        lines += [f"    {problem}" for problem in entry["differs"]]
    return "\n".join(lines)
