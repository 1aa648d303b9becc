"""What does the exact profile of the orders data cost, beside reading the CSV and beside DuckDB's SUMMARIZE?

CPU seconds; a fresh process for each repetition does all of them one after another, the least of each counts.
``estimates`` is the profile with ``exact: false``, which estimates from a million rows on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import orders
from benchmarks.options import Options

_ROOT = Path(__file__).resolve().parent.parent.parent


def ask(options: Options) -> dict[str, Any]:
    """The least CPU and wall seconds of each, and the profile's share of the others."""
    source = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
    runs = []
    for _ in range(options.repeat):
        with tempfile.TemporaryDirectory(prefix="profile-", dir=source.parent) as folder:
            command = [sys.executable, "-m", "benchmarks.contestants.profiling", str(source), folder]
            runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, cwd=_ROOT).stdout))
    costs = {
        name: {kind: min(run["costs"][name][place] for run in runs) for place, kind in enumerate(("wall", "cpu"))}
        for name in runs[0]["costs"]
    }
    ratios = {name: costs["profile"]["cpu"] / costs[name]["cpu"] for name in ("stage", "summarize", "estimates")}
    table = {name: {**cost, "differs": runs[0]["differs"] if name == "profile" else []} for name, cost in costs.items()}
    return {"rows": options.rows, "columns": runs[0]["columns"], "contestants": table, "ratios": ratios}


def show(answer: dict[str, Any]) -> str:
    """The answer as a table for people."""
    lines = [
        f"{name:12} CPU {entry['cpu']:6.2f} s   wall {entry['wall']:6.2f} s"
        for name, entry in answer["contestants"].items()
    ]
    ratios = "   ".join(f"{ratio:.2f} x {name}" for name, ratio in answer["ratios"].items())
    differs = answer["contestants"]["profile"]["differs"]
    return "\n".join([*lines, f"the profile of {answer['columns']} columns, CPU: {ratios}", *differs[:8]])
