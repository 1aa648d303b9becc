"""Does a job come to its end that is larger than the memory it may use, and how fast is it?

The orders job by Penstock, whose run may use ``--memory`` (2GiB where none is given), and by the hand-written staged
form, which may have half as much again (``RLIMIT_DATA``: what a process has of its own). Meant for 50 and 200 million
rows. Where both come to their end their results are compared first. The best of the repetitions counts.
"""

from __future__ import annotations

from typing import Any

from benchmarks import limited_run, measure, orders
from benchmarks.contestants import penstock
from benchmarks.options import Options
from benchmarks.questions import end_to_end
from benchmarks.questions.end_to_end import Outcome
from benchmarks.table import figure, markdown

COMPARES_FIRST = True
ONLY_BY_NAME = True
DEFAULT_ROWS = 10_000_000
MORE = 1.5  # times the memory of the run: what the hand-written form may have
HEAD = ("contestant", "may use MiB", "peak MiB", "wall s", "CPU s", "rows a second", "× staged")


def ask(options: Options) -> dict[str, Any]:
    """By contestant: whether it completed, its limit, cost, rows a second and what differed."""
    source = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
    limits = {"staged": int(options.memory * MORE), "penstock": options.memory}
    table: dict[str, Any] = {name: {"limit": limit, "differs": []} for name, limit in limits.items()}
    truth: Outcome | None = None
    for _ in range(options.repeat):
        for name, entry in table.items():
            if entry.get("error") or entry["differs"]:
                continue
            try:
                if name == "penstock":
                    outcome = Outcome(*penstock.contend(source, native=False, settings=limited_run.settings(options)))
                else:
                    outcome = end_to_end.contend(name, source, limits[name])
            except measure.Failed as error:
                entry["error"] = str(error)
                continue
            truth = truth or outcome
            entry["compared"], entry["differs"] = end_to_end.compared(truth, outcome)
            cost = outcome.cost
            if not entry["differs"] and cost.wall < entry.get("wall", 1e18):
                entry |= {"wall": cost.wall, "cpu": cost.cpu, "peak_mib": cost.peak_mib}
                entry["rows_per_second"] = options.rows / cost.wall
    ours, theirs = table["penstock"], table["staged"]
    if "wall" in ours and "wall" in theirs:
        ours["ratio"] = ours["wall"] / theirs["wall"]
    failed = {"penstock": ours["error"]} if "error" in ours else {}
    return {"rows": options.rows, "best_of": options.repeat, "contestants": table, "failed": failed}


def show(answer: dict[str, Any]) -> str:
    """The answer for people."""
    rows, below = [], []
    for name, entry in answer["contestants"].items():
        values = [
            entry["limit"] / measure.MIB,
            *map(entry.get, ("peak_mib", "wall", "cpu", "rows_per_second", "ratio")),
        ]
        cells = [figure(value, places) for value, places in zip(values, (0, 0, 1, 1, 0, 2), strict=True)]
        rows.append([end_to_end.CONTESTANTS[name].label, *cells])
        below += [f"{name} did not complete: {entry['error'].splitlines()[-1]}"] if entry.get("error") else []
        below += [f"{name} differs, no time: {problem}" for problem in entry["differs"][:8]]
    return "\n".join([f"{answer['rows']:,} rows", "", markdown(HEAD, rows), *below])
