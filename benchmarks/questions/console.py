"""How long does a window of the console's grid take, anywhere in 5 M rows, beside DuckDB alone over the same file?

Pages of 200 rows at random places through the API: in stored order, sorted and filtered. DuckDB's ``LIMIT … OFFSET``
over the version's Parquet answers the same windows in the same run, on as many threads. The first page far down a sort
or a filter waits for the copy that the later ones are read from; it is shown alone.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import duckdb

from benchmarks import server
from benchmarks.options import Options

DEFAULT_ROWS = 5_000_000
WINDOW, PLACES, ASIDE = 200, 40, 5
WINDOWS = {
    "stored order": {},
    "sorted by a number": {"sort": "-price"},
    "sorted by two texts": {"sort": "customer,-city"},
    "filtered": {"filter": "city = 'Oslo'"},
    "filtered and sorted": {"filter": "city = 'Bern'", "sort": "-seen"},
}
_ROWS = """
    COPY (SELECT range AS id, 'customer ' || (range * 7919 % 1000003) AS customer,
        ['Oslo', 'Bern', 'Lisbon', 'Paris'][1 + (range * 31 % 4)::INT] AS city,
        CASE WHEN range % 17 > 0 THEN (range * 104729 % 10000000 / 100)::DECIMAL(18, 2) END AS price,
        sin(range) AS score, DATE '2015-01-01' + (range * 13 % 4000)::INT AS day,
        TIMESTAMP '2020-01-01' + to_seconds(range * 37 % 100000000) AS seen, 9007199254740993 + range AS big
    FROM range($rows)) TO $file (FORMAT parquet)
"""


def ask(options: Options) -> dict[str, Any]:
    """Milliseconds of a window through the API and in DuckDB, by kind; the median counts."""
    file = options.folder / f"console-{options.rows}.parquet"
    if not file.exists():
        duckdb.execute(_ROWS, {"rows": options.rows, "file": str(file)})
    with server.running(options.folder) as service:
        collector = {"type": "parquet", "file_path": file.name}
        service.call(
            "POST", "/pipeline/create", {"name": "many", "collectors": [collector], "storage": [{"type": "parquet"}]}
        )
        service.execute("many")
        service.settle("many")
        (part,) = service.data.glob("warehouse/many/v000001/part-*.parquet")
        return {"contestants": {kind: _measured(service, part, query) for kind, query in WINDOWS.items()}}


def _measured(service: server.Service, part: Path, query: dict[str, str]) -> dict[str, Any]:
    place = random.Random(7)

    def window(offset: int) -> Any:
        asked = urlencode({**query, "version": 1, "limit": WINDOW, "offset": offset})
        return service.call("GET", f"/pipeline/many/data?{asked}")

    rows = window(0)["total_rows"]
    first, _ = _timed(lambda: window(rows // 2))
    condition = f" WHERE {query['filter']}" if "filter" in query else ""
    order = f" ORDER BY {_order(query['sort'])}, file_row_number" if "sort" in query else ""
    select = f"SELECT id FROM read_parquet('{part}'){condition}{order} LIMIT {WINDOW} OFFSET "
    ours, alone, differs = [], [], []
    for number in range(PLACES):
        offset = place.randrange(rows - WINDOW)
        seconds, page = _timed(lambda at=offset: window(at))  # type: ignore[misc]
        ours.append(seconds)
        if number < ASIDE:
            whole = select.replace("SELECT id", "SELECT *")
            seconds, _ = _timed(lambda at=offset, sql=whole: duckdb.execute(f"{sql}{at}").fetchall())  # type: ignore[misc]
            alone.append(seconds)
            found = [id for (id,) in duckdb.execute(f"{select}{offset}").fetchall()]
            differs += [f"other rows at {offset}"] if found != [row["id"] for row in page["data"]] else []
    middle, beside = statistics.median(ours), statistics.median(alone)
    return {
        "first": first * 1000, "window": middle * 1000, "most": max(ours) * 1000, "duckdb": beside * 1000,
        "times": beside / middle, "differs": differs,
    }  # fmt: skip


def _order(sort: str) -> str:
    return ", ".join(f"{p.lstrip('-')} {'DESC' if p[0] == '-' else 'ASC'} NULLS LAST" for p in sort.split(","))


def _timed(act: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = act()
    return time.perf_counter() - began, answer


def show(answer: dict[str, Any]) -> str:
    """The answer as a table for people."""
    lines = [f"{'ms':22}{'first':>8}{'window':>8}{'most':>8}{'DuckDB':>8}{'times':>8}"]
    for kind, f in answer["contestants"].items():
        lines.append(f"{kind:22}{f['first']:8.0f}{f['window']:8.1f}{f['most']:8.1f}{f['duckdb']:8.1f}{f['times']:8.1f}")
        lines += [f"    {problem}" for problem in f["differs"]]
    return "\n".join(lines)
