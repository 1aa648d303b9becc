"""How long is it from a CSV to something that can be queried, and what does it take?

Every contestant does the orders job (``benchmarks.orders``). Two goals: ``queryable`` (the first SQL can be answered)
and ``table`` (from a native, indexed table). The best of the repetitions counts, contestants take turns.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import facts, measure, orders
from benchmarks.options import Options

PANDAS_ROWS = 1_000_000

CONTESTANTS = {
    "staged": ("queryable", "staged", ["view"]),
    "penstock": ("queryable", None, []),
    "pandas_sqlite": ("queryable", "pandas_sqlite", []),
    "staged_table": ("table", "staged", ["table"]),
    "penstock_table": ("table", None, []),
    "duckdb_sql": ("table", "duckdb_sql", []),
}
REFERENCE = {"queryable": "staged", "table": "staged_table"}


def _contend(name: str, source: Path) -> tuple[measure.Cost, dict[str, Any], dict[str, Any]]:
    goal, module, arguments = CONTESTANTS[name]
    if module is None:
        from benchmarks.contestants import penstock

        return penstock.contend(source, native=goal == "table")
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=source.parent) as folder:
        cost = measure.process(f"benchmarks.contestants.{module}", [str(source), folder, *arguments])
        found = json.loads((Path(folder) / "found.json").read_text())
        return cost, found, facts.of_result(Path(folder))


def _wanted(options: Options) -> list[str]:
    chosen = options.contestants or list(CONTESTANTS)
    unknown = [name for name in chosen if name not in CONTESTANTS]
    if unknown:
        raise SystemExit(f"no contestant {', '.join(unknown)}; there are {', '.join(CONTESTANTS)}")
    if options.rows > PANDAS_ROWS and not options.contestants:
        chosen = [name for name in chosen if name != "pandas_sqlite"]
    return chosen


def ask(options: Options) -> dict[str, Any]:
    """Costs, ratios to the hand-written form, and what differed, by contestant."""
    source = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
    best: dict[str, measure.Cost] = {}
    results: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    failed: dict[str, str] = {}
    for _ in range(options.repeat):
        for name in _wanted(options):
            if name in failed:
                continue
            try:
                cost, found, counted = _contend(name, source)
            except measure.Failed as error:
                failed[name] = str(error)
                continue
            results[name] = (found, counted)
            best[name] = cost if name not in best or cost.wall < best[name].wall else best[name]
    return {"rows": options.rows, "best_of": options.repeat} | _compared(best, results, failed)


def _compared(
    best: dict[str, measure.Cost],
    results: dict[str, tuple[dict[str, Any], dict[str, Any]]],
    failed: dict[str, str],
) -> dict[str, Any]:
    truth = next((name for name in ("staged", "staged_table") if name in results), None)
    table: dict[str, Any] = {}
    for name, cost in best.items():
        goal = CONTESTANTS[name][0]
        entry: dict[str, Any] = {"goal": goal} | asdict(cost)
        reference = best.get(REFERENCE[goal])
        if reference is not None:
            entry["ratio"] = {key: getattr(cost, key) / value for key, value in asdict(reference).items()}
        if truth is not None:
            rows = results[truth][1]["row_count"]
            entry["differs"] = [
                problem
                for expected, got in zip(results[truth], results[name], strict=True)
                for problem in facts.differences(expected, got, rows)
            ]
            entry["compared"] = sum(
                len(e.keys() & g.keys()) for e, g in zip(results[truth], results[name], strict=True)
            )
        table[name] = entry
    return {"contestants": table, "failed": failed}


def show(answer: dict[str, Any]) -> str:
    """The answer as a table for people."""
    lines = [
        f"{'contestant':16}{'goal':11}{'wall s':>8}{'CPU s':>8}{'peak MiB':>10}   ratios wall, CPU, peak   results"
    ]
    for name, entry in answer["contestants"].items():
        ratio = entry.get("ratio")
        ratios = f"{ratio['wall']:5.2f} {ratio['cpu']:5.2f} {ratio['peak_mib']:5.2f}" if ratio else " " * 17
        verdict = f"{len(entry['differs'])} differ" if entry.get("differs") else f"{entry.get('compared', 0)} equal"
        lines.append(
            f"{name:16}{entry['goal']:11}{entry['wall']:8.2f}{entry['cpu']:8.2f}{entry['peak_mib']:10.0f}"
            f"   {ratios:24}{verdict}"
        )
        lines += [f"    {problem}" for problem in entry.get("differs", [])[:8]]
    lines += [f"{name:16}failed: {why.splitlines()[-1] if why else ''}" for name, why in answer["failed"].items()]
    return "\n".join(lines)
