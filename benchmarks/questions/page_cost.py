"""What does a page from an API cost the collector, beside a bare httpx loop with one client a task?

CPU of a fresh process (all its threads, imports not counted), 100 small records a page from a loopback server in
another process, with 1, 4, 16 and 64 tasks. ``bare`` fetches the pages and looks into none; ``parsed`` also keeps
their records; the collector writes typed Parquet parts and its evidence. The least of all repetitions counts.
"""

from __future__ import annotations

from typing import Any

from benchmarks import measure, site
from benchmarks.options import Options

PAGES = 1000
TASKS = (1, 4, 16, 64)
CONTESTANTS = ("bare", "parsed", "penstock")


def ask(options: Options) -> dict[str, Any]:
    """Microseconds of CPU and by the clock a page, by contestant and tasks, and ratios to ``bare``."""
    table: dict[str, Any] = {name: {"cpu_us": {}, "wall_us": {}, "differs": []} for name in CONTESTANTS}
    expected = [PAGES * site.SIZE, sum(range(PAGES * site.SIZE))]
    with site.running() as address:
        for _ in range(options.repeat):
            for tasks in TASKS:
                for name, entry in table.items():
                    said = measure.said(
                        "benchmarks.contestants.page_loop", [name, address, str(PAGES), str(tasks)]
                    )  # fmt: skip
                    for kind in ("cpu", "wall"):
                        least = entry[f"{kind}_us"]
                        least[str(tasks)] = min(least.get(str(tasks), 1e9), said[kind] / PAGES * 1e6)
                    if said["found"] not in (None, expected):
                        entry["differs"] = [f"{said['found']} and not {expected}"]
    for entry in table.values():
        entry["ratio"] = {n: us / table["bare"]["cpu_us"][n] for n, us in entry["cpu_us"].items()}
    return {"pages": PAGES, "records": site.SIZE, "best_of": options.repeat, "contestants": table}


def show(answer: dict[str, Any]) -> str:
    """The answer as a table for people."""
    lines = [f"{'CPU us a page':14}" + "".join(f"{f'{n} tasks':>16}" for n in TASKS)]
    for name, entry in answer["contestants"].items():
        cells = (f"{entry['cpu_us'][str(n)]:8.0f} {entry['ratio'][str(n)]:5.2f} x" for n in TASKS)
        lines.append(f"{name:14}" + "".join(f"{cell:>16}" for cell in cells) + "".join(entry["differs"]))
    return "\n".join(lines)
