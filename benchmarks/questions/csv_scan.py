"""What does the CSV collector add to Polars' own scan, and what of it grows with the rows?

The orders data into lz4 Parquet, CPU in one process, at a tenth of the rows and at all of them. What grows are the
checks against losing rows and figures without a word: a survey of every byte, and whole numbers read with an eye on
leading zeros. The rest (``constant``) must not grow. Results are compared first.
"""

from __future__ import annotations

import tempfile
from typing import Any

from benchmarks import measure, orders
from benchmarks.options import Options


def ask(options: Options) -> dict[str, Any]:
    """CPU seconds of the scan, the checks and the rest, and shares of the scan, by number of rows."""
    table: dict[str, Any] = {}
    for rows in (options.rows // 10, options.rows):
        source = orders.write_csv(options.folder / f"orders-{rows}.csv", rows)
        with tempfile.TemporaryDirectory(prefix="csv-", dir=options.folder) as folder:
            said = measure.said("benchmarks.contestants.csv_scan", [str(source), folder, str(options.repeat)])
        costs = said["costs"]
        parts = {
            "scan": costs["scan"],
            "survey": costs["survey"],
            "checked_plan": costs["sink"] - costs["scan"],
            "constant": costs["collect"] - costs["survey"],
        }
        shares = {name: value / costs["scan"] for name, value in parts.items()}
        table[str(rows)] = {"cpu": parts, "share": shares, "differs": said["differs"]}
    return {"best_of": options.repeat, "contestants": table}


def show(answer: dict[str, Any]) -> str:
    """The answer as a table for people."""
    names = ("scan", "survey", "checked_plan", "constant")
    lines = [f"{'rows':>12}" + "".join(f"{name:>20}" for name in names) + "   CPU s, of the scan"]
    for rows, entry in answer["contestants"].items():
        cells = (f"{entry['cpu'][name]:10.3f} {entry['share'][name]:6.1%}" for name in names)
        lines.append(f"{int(rows):12,}" + "".join(f"{cell:>20}" for cell in cells))
        lines += [f"    {name} differs" for name in entry["differs"]]
    return "\n".join(lines)
