"""How long is it from a CSV to something that can be queried, and what does it take?

Every contestant does the orders job (``benchmarks.orders``) until its first SQL can be answered, those that end with
``_table`` from a native, indexed table (only by name). Contestants take turns; each result is compared with that of
the hand-written staged form before its time counts, and one that differs gets none. The best of the repetitions
counts. The floor has CPU only.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import facts, measure, orders
from benchmarks.options import Options
from benchmarks.table import figure, markdown

COMPARES_FIRST = True
TRUTH = "staged"
SLOW = 30.0  # seconds; who takes longer answers once


class Contestant(NamedTuple):
    """What the table calls it, its module (None: the product) and arguments, and the rows that it is given at most."""

    label: str
    module: str | None = None
    arguments: Sequence[str] = ()
    most: int | None = None
    by_name: bool = False


CONTESTANTS = {
    "staged": Contestant("Polars by hand, staged on disk", "staged", ["view"]),
    "in_memory": Contestant("Polars by hand, in memory", "in_memory"),
    "penstock": Contestant("Penstock"),
    "floor": Contestant("floor: the bare parts alone", "floor"),
    "duckdb_sql": Contestant("DuckDB SQL", "duckdb_sql", ["queryable"]),
    "dlt": Contestant("dlt (Arrow) and SQL", "dlt_csv", ["arrow"], 1_000_000),
    "pandas_sqlite": Contestant("pandas and SQLite", "pandas_sqlite", [], 1_000_000),
    "dlt_records": Contestant("dlt (records) and SQL", "dlt_csv", ["records"], 100_000, by_name=True),
    "staged_table": Contestant("Polars by hand, native table", "staged", ["table"], by_name=True),
    "penstock_table": Contestant("Penstock, native table", by_name=True),
    "duckdb_table": Contestant("DuckDB SQL, index and Parquet", "duckdb_sql", ["table"], by_name=True),
}
HEAD = ("contestant", "wall s", "CPU s", "MiB", "× staged", "× in memory", "CPU × floor")


class Outcome(NamedTuple):
    """One answer of a contestant: what it cost, what it found on the way, the facts of its result."""

    cost: measure.Cost
    found: dict[str, Any]
    facts: dict[str, Any]


def contend(name: str, source: Path, limit: int | None = None) -> Outcome:
    """Let a contestant do the job once; ``limit`` are the bytes that one who is not the product may have."""
    one = CONTESTANTS[name]
    if one.module is None:
        from benchmarks.contestants import penstock

        return Outcome(*penstock.contend(source, native=name.endswith("_table")))
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=source.parent) as place:
        folder = Path(place)
        cost = measure.process(f"benchmarks.contestants.{one.module}", [str(source), place, *one.arguments], limit)
        own = folder / "cost.json"  # of one that measures itself
        if own.exists():
            cost = measure.Cost(0.0, json.loads(own.read_text())["cpu"], 0.0)
        return Outcome(cost, json.loads((folder / "found.json").read_text()), facts.of_result(folder))


def compared(expected: Outcome, got: Outcome) -> tuple[int, list[str]]:
    """How many facts were compared, and those that differ."""
    pairs = [(expected.found, got.found), (expected.facts, got.facts)]
    rows = expected.facts["row_count"]
    differs = [problem for a, b in pairs for problem in facts.differences(a, b, rows)]
    return sum(len(a.keys() & b.keys()) for a, b in pairs), differs


def _wanted(options: Options) -> list[str]:
    unknown = [name for name in options.contestants if name not in CONTESTANTS]
    if unknown:
        raise SystemExit(f"no contestant {', '.join(unknown)}; there are {', '.join(CONTESTANTS)}")
    chosen = options.contestants or [
        name for name, one in CONTESTANTS.items() if not one.by_name and options.rows <= (one.most or options.rows)
    ]
    return sorted(chosen, key=list(CONTESTANTS).index)  # the truth first


def ask(options: Options) -> dict[str, Any]:
    """Costs, ratios to the hand-written forms, and what differed, by contestant."""
    source = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
    wanted = _wanted(options)
    table: dict[str, Any] = {name: {"differs": [], "compared": 0} for name in wanted}
    failed: dict[str, str] = {}
    truth: Outcome | None = None
    for _ in range(options.repeat):
        for name in wanted:
            entry = table[name]
            if name in failed or entry["differs"] or entry.get("wall", 0.0) > SLOW:
                continue
            try:
                outcome = contend(name, source)
            except measure.Failed as error:
                failed[name] = str(error)
                continue
            truth = truth or outcome  # where the staged form was not chosen, the first one
            entry["compared"], entry["differs"] = compared(truth, outcome)
            if entry["differs"]:
                table[name] = {key: entry[key] for key in ("compared", "differs")}
            elif (outcome.cost.wall, outcome.cost.cpu) < (entry.get("wall", 1e9), entry.get("cpu", 1e9)):
                entry |= asdict(outcome.cost) | {"parts": outcome.found.get("parts", {})}
    table = {name: entry for name, entry in table.items() if name not in failed}
    for entry in table.values():
        entry["ratio"] = _ratios(entry, table)
    return {"rows": options.rows, "best_of": options.repeat, "contestants": table, "failed": failed}


def _ratios(entry: dict[str, Any], table: dict[str, Any]) -> dict[str, float]:
    pairs = {"staged": "wall", "in_memory": "wall", "floor": "cpu"}
    return {
        name: entry[unit] / table[name][unit]
        for name, unit in pairs.items()
        if entry.get(unit) and table.get(name, {}).get(unit)
    }


def show(answer: dict[str, Any]) -> str:
    """The answer as README has it, and what went wrong below."""
    rows, below = [], []
    for name, entry in answer["contestants"].items():
        costs = [entry.get("wall") or None, entry.get("cpu"), entry.get("peak_mib") or None]
        ratios = [entry["ratio"].get(kind) for kind in ("staged", "in_memory", "floor")]
        places = [2, 2, 0, 2, 2, 2]
        cells = [figure(value, place) for value, place in zip([*costs, *ratios], places, strict=True)]
        rows.append([CONTESTANTS[name].label, *cells])
        if entry.get("parts"):
            parts = ", ".join(f"{part} {cost:.2f}" for part, cost in entry["parts"].items())
            below.append(f"CPU s of the {name}: {parts}")
        below += [f"{name} differs, no time: {problem}" for problem in entry["differs"][:8]]
    below += [f"{name} failed: {why.splitlines()[-1] if why else ''}" for name, why in answer["failed"].items()]
    least = min((e["compared"] for e in answer["contestants"].values()), default=0)
    title = f"{answer['rows']:,} rows, best of {answer['best_of']}; at least {least} facts of each result were compared"
    return "\n".join([title, "", markdown(HEAD, rows), *(["", *below] if below else [])])
