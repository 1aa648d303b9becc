"""What do rows out of HTML cost, beside BeautifulSoup with the same selectors on the same pages?

60 products a page, five values each, pages in memory; CPU of a fresh process, imports not counted. Both answer a
frame, and the rows are compared first. The least of all repetitions counts. Needs ``pip install -e ".[bench]"``.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from benchmarks import measure
from benchmarks.options import Options

PAGES = 40
CONTESTANTS = ("penstock", "beautifulsoup", "beautifulsoup_lxml")


def ask(options: Options) -> dict[str, Any]:
    """CPU milliseconds a page by contestant, and how many times Penstock's the others take."""
    if importlib.util.find_spec("bs4") is None or importlib.util.find_spec("lxml") is None:
        return {"contestants": {}, "failed": {"beautifulsoup": "is not installed"}}
    table: dict[str, Any] = {name: {"cpu_ms": 1e9, "differs": []} for name in CONTESTANTS}
    digests: dict[str, str] = {}
    for _ in range(options.repeat):
        for name, entry in table.items():
            said = measure.said("benchmarks.contestants.html_rows", [name, str(PAGES)])
            entry["cpu_ms"] = min(entry["cpu_ms"], said["cpu"] / PAGES * 1e3)
            digests[name] = said["digest"]
    for name, entry in table.items():
        entry["times"] = entry["cpu_ms"] / table["penstock"]["cpu_ms"]
        entry["differs"] = ["other rows than penstock"] if digests[name] != digests["penstock"] else []
    return {"pages": PAGES, "best_of": options.repeat, "contestants": table, "failed": {}}


def show(answer: dict[str, Any]) -> str:
    """The answer as a table for people."""
    lines = [
        f"{name:20} CPU {entry['cpu_ms']:7.2f} ms a page {entry['times']:7.1f} x   {'; '.join(entry['differs'])}"
        for name, entry in answer["contestants"].items()
    ]
    return "\n".join([*lines, *(f"{name} {why}" for name, why in answer["failed"].items())])
