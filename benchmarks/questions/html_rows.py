"""What do rows out of HTML cost, beside BeautifulSoup with the same selectors on the same pages?

60 products a page, five values each, pages in memory; CPU of a fresh process, imports not counted. Both answer a
frame, and the rows are compared before their time counts. The least of all repetitions counts. Needs
``pip install -e ".[bench]"``.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from benchmarks import measure
from benchmarks.options import Options
from benchmarks.table import figure, markdown

COMPARES_FIRST = True
PAGES = 40
CONTESTANTS = {
    "penstock": "Penstock",
    "beautifulsoup": "BeautifulSoup with its own parser",
    "beautifulsoup_lxml": "BeautifulSoup with lxml",
}


def ask(options: Options) -> dict[str, Any]:
    """CPU milliseconds a page by contestant, and how many times Penstock's the others take."""
    if importlib.util.find_spec("bs4") is None or importlib.util.find_spec("lxml") is None:
        return {"contestants": {}, "failed": {"beautifulsoup": "is not installed"}}
    table: dict[str, Any] = {name: {"differs": []} for name in CONTESTANTS}
    truth = ""
    for _ in range(options.repeat):
        for name, entry in table.items():
            said = measure.said("benchmarks.contestants.html_rows", [name, str(PAGES)])
            truth = truth or said["digest"]
            if said["digest"] != truth:
                table[name] = {"differs": ["other rows than penstock"]}
            elif not entry["differs"]:
                entry["cpu_ms"] = min(entry.get("cpu_ms", 1e9), said["cpu"] / PAGES * 1e3)
    for entry in table.values():
        if "cpu_ms" in entry:
            entry["times"] = entry["cpu_ms"] / table["penstock"]["cpu_ms"]
    return {"pages": PAGES, "best_of": options.repeat, "contestants": table, "failed": {}}


def show(answer: dict[str, Any]) -> str:
    """The answer as a table for people."""
    rows, below = [], []
    for name, entry in answer["contestants"].items():
        rows.append([CONTESTANTS[name], figure(entry.get("cpu_ms")), figure(entry.get("times"), 1)])
        below += [f"{name} differs, no time: {problem}" for problem in entry["differs"]]
    below += [f"{name} {why}" for name, why in answer["failed"].items()]
    return "\n".join([markdown(("contestant", "CPU ms a page", "× Penstock"), rows), *below])
