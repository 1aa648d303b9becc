"""Two trees side by side: ``python -m benchmarks.against TREE [--question Q] [--rows N] [--rounds N]``.

Both trees answer the question in turns on the same data, this one and ``TREE`` (a worktree of an earlier commit), so
that what else the machine does meets both alike. Ends with 1 where this tree needs more than ``--most`` times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
UNITS = {"wall": "seconds", "cpu": "CPU seconds", "peak_mib": "MiB at the peak"}


def once(tree: Path, chosen: argparse.Namespace) -> dict[str, float]:
    """What the product of a tree takes for the question, once."""
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers.json"
        runner = "benchmarks" if (tree / "benchmarks" / "__main__.py").exists() else "benchmarks.run"  # as it was once
        command = [
            sys.executable, "-m", runner, chosen.question, "--only", chosen.only, "--repeat", "1",
            "--rows", str(chosen.rows), "--folder", str(chosen.folder.resolve()), "--json", str(answers),
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        subprocess.run(command, cwd=tree, env=environment, check=True, stdout=subprocess.DEVNULL)
        found: dict[str, Any] = json.loads(answers.read_text())["answers"][chosen.question]
    return {name: float(found["contestants"][chosen.only][name]) for name in UNITS}


def main() -> int:
    """Measure and print. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description="Measure two trees in turns.")
    parser.add_argument("tree", type=Path, help="the other tree, such as a git worktree of the commit before")
    parser.add_argument("--question", default="end_to_end")
    parser.add_argument("--only", default="penstock", help="the contestant (default penstock)")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5, help="times that each tree answers (default 5)")
    parser.add_argument("--most", type=float, default=1.05, help="ratio of the best times that is allowed")
    parser.add_argument("--folder", type=Path, default=Path(".benchmarks"), help="where the data is kept")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    taken: dict[str, list[dict[str, float]]] = {"here": [], "there": []}
    for number in range(chosen.rounds):
        turns = [("here", HERE), ("there", chosen.tree.resolve())]
        for name, tree in turns if number % 2 == 0 else reversed(turns):
            taken[name].append(once(tree, chosen))
    ratio = 0.0
    for measure in UNITS:
        here, there = ([costs[measure] for costs in taken[name]] for name in ("here", "there"))
        best, middle = min(here) / min(there), statistics.median(here) / statistics.median(there)
        print(
            f"{UNITS[measure]}: {min(here):.3f} here, {min(there):.3f} there; ratio {best:.3f}, of medians {middle:.3f}"
        )
        ratio = best if measure == "wall" else ratio
    return int(ratio > chosen.most)


if __name__ == "__main__":
    sys.exit(main())
