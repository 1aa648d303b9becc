"""What does it take to bring an API into a committed version, beside dlt's rest_api source into its destinations?

The same pages of small records from a loopback server, 100 and 1000 a page, one request after another, into a queryable
DuckDB table (``duckdb``) and into Parquet (``parquet``). CPU of dlt's ``pipeline.run``, its imports not counted, and of
the whole tree of the service from ``execute`` to its end. Results are compared first; the least CPU counts. Needs
``pip install -e ".[bench]"``.
"""

from __future__ import annotations

import importlib.util
import tempfile
from typing import Any

from benchmarks import measure, server, site
from benchmarks.options import Options

SHAPES = ((300, 100), (60, 1000))  # pages, records a page
GOALS = ("duckdb", "parquet")


def _pipeline(name: str, address: str, pages: int, size: int, goal: str) -> dict[str, Any]:
    return {
        "name": name,
        "collectors": [
            {
                "type": "api",
                "endpoint": f"{address}/records",
                "params": {"pages": pages, "size": size},
                "pagination": {"type": "page", "total_path": "total"},
                "completeness": "strict",
            }
        ],
        "storage": [{"type": "parquet"}, *([{"type": "duckdb"}] if goal == "duckdb" else [])],
    }


def _penstock(service: server.Service, address: str, pages: int, size: int, goal: str) -> dict[str, Any]:
    name = f"p{pages}_{size}_{goal}"
    if name not in {line["name"] for line in service.call("GET", "/pipeline")["items"]}:
        service.call("POST", "/pipeline/create", _pipeline(name, address, pages, size, goal))
    with measure.Watch(service.pid) as seen:
        service.execute(name)
        service.settle(name)
    (row,) = service.sql(f"SELECT count(*) AS rows, sum(id)::BIGINT AS total FROM {name}")
    return {"cpu": seen.cpu, "wall": seen.wall, "found": [row["rows"], row["total"]]}


def _dlt(address: str, pages: int, size: int, goal: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="dlt-") as folder:
        given = [address, str(pages), str(size), folder, goal]
        said: dict[str, Any] = measure.said("benchmarks.contestants.dlt_rest", given)
        return said


def ask(options: Options) -> dict[str, Any]:
    """CPU and wall seconds by contestant, and how many times Penstock's CPU the other takes."""
    if importlib.util.find_spec("dlt") is None:
        return {"contestants": {}, "failed": {"dlt": "is not installed"}}
    table: dict[str, Any] = {}
    with site.running() as address, server.running(options.folder) as service:
        for _ in range(options.repeat):
            for pages, size in SHAPES:
                for goal in GOALS:
                    said = {
                        "penstock": _penstock(service, address, pages, size, goal),
                        "dlt": _dlt(address, pages, size, goal),
                    }
                    for who, cost in said.items():
                        entry = table.setdefault(f"{who} {goal} {size}", {"cpu": 1e9, "wall": 1e9, "differs": []})
                        entry["cpu"], entry["wall"] = min(entry["cpu"], cost["cpu"]), min(entry["wall"], cost["wall"])
                        expected = [pages * size, sum(range(pages * size))]
                        if cost["found"] != expected:
                            entry["differs"] = [f"{cost['found']} and not {expected}"]
    for _, size in SHAPES:
        for goal in GOALS:
            ours, theirs = table[f"penstock {goal} {size}"], table[f"dlt {goal} {size}"]
            ours["times"] = {kind: theirs[kind] / ours[kind] for kind in ("cpu", "wall")}
    return {"shapes": SHAPES, "best_of": options.repeat, "contestants": table, "failed": {}}


def show(answer: dict[str, Any]) -> str:
    """The answer as a table for people."""
    lines = [f"{'goal, records a page':22}{'penstock CPU s':>15}{'dlt CPU s':>11}{'times':>7}{'by the clock':>14}"]
    for name, ours in answer["contestants"].items():
        if name.startswith("penstock "):
            what = name.removeprefix("penstock ")
            theirs, times = answer["contestants"][f"dlt {what}"], ours["times"]
            lines.append(f"{what:22}{ours['cpu']:15.2f}{theirs['cpu']:11.2f}{times['cpu']:7.1f}{times['wall']:14.1f}")
            lines += [f"    {problem}" for problem in (*ours["differs"], *theirs["differs"])]
    return "\n".join([*lines, *(f"{name} {why}" for name, why in answer["failed"].items())])
