"""Does any processor cost more than the same thing written by hand?

Every case (``benchmarks.contestants.processing``) over the staged orders, each form in a process of its own, in turns;
the least CPU, wall time and peak memory of the repetitions count. ``--only`` chooses cases.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks import facts, measure, orders
from benchmarks.contestants import staged
from benchmarks.contestants.processing import CASES
from benchmarks.options import Options

_MODULE = "benchmarks.contestants.processing"
_KINDS = ("cpu", "wall", "peak_mib")


def ask(options: Options) -> dict[str, Any]:
    """Costs by case and form, Penstock's as multiples of the hand-written, and what differed."""
    unknown = [name for name in options.contestants if name not in CASES]
    if unknown:
        raise SystemExit(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    source = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
    with tempfile.TemporaryDirectory(prefix="processors-", dir=source.parent) as folder:
        stage = Path(folder) / "stage.parquet"
        staged.cleaned(source).sink_parquet(stage, compression="lz4", statistics=False)
        table = {case: _case(stage, case, options) for case in options.contestants or CASES}
    return {"rows": options.rows, "best_of": options.repeat, "contestants": table}


def _case(stage: Path, case: str, options: Options) -> dict[str, Any]:
    runs: dict[str, list[dict[str, Any]]] = {"by hand": [], "penstock": []}
    for _ in range(options.repeat):
        for form, seen in runs.items():
            seen.append(measure.said(_MODULE, [str(stage), str(stage.parent), case, form]))
    best = {form: {kind: min(run[kind] for run in seen) for kind in _KINDS} for form, seen in runs.items()}
    expected, got = (seen[0]["found"] for seen in runs.values())
    return {
        **best,
        "ratio": {kind: best["penstock"][kind] / best["by hand"][kind] for kind in _KINDS},
        "differs": [
            f"{key}: {expected.get(key)} by hand, {got.get(key)} here"
            for key in {**expected, **got}
            if not facts.same(expected.get(key), got.get(key), options.rows)
        ],
    }


def show(answer: dict[str, Any]) -> str:
    """The answer as a table for people."""
    lines = [f"{'case':24}{'CPU s by hand':>15}{'CPU s':>8}   ratios CPU, wall, peak"]
    for case, entry in answer["contestants"].items():
        ratio = entry["ratio"]
        lines.append(
            f"{case:24}{entry['by hand']['cpu']:15.2f}{entry['penstock']['cpu']:8.2f}"
            f"   {ratio['cpu']:5.2f} {ratio['wall']:5.2f} {ratio['peak_mib']:5.2f}"
        )
        lines += [f"    {problem}" for problem in entry["differs"][:8]]
    return "\n".join(lines)
