"""The API process of a real service: it checks, plans, runs, queries and serves, and never maps Polars or Arrow."""

from __future__ import annotations

import re
from pathlib import Path

from tests.acceptance.served import PASSWORD, Served, serving, upload_and_create

ENGINES = re.compile(r"polars|arrow|selectolax|numpy|vl_convert", re.IGNORECASE)
STEPS = [
    {"type": "cleaner", "config": {"cast": {"id": "int32"}, "filter": "id > 0", "fill_na": {"city": "?"}}},
    {"type": "validator", "config": {"rules": [{"column": "id", "check": "in_range", "min": 0}]}},
    {"type": "transformer", "config": {"derive": {"twice": "id * 2"}, "encode": {"city": "onehot"}}},
    {"type": "analyzer", "config": {}},
]


def mapped(served: Served) -> set[str]:
    """The engines' libraries in the memory of the process that answers requests."""
    lines = Path(f"/proc/{served.process.pid}/maps").read_text().splitlines()
    paths = {line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) == 6}
    return {path for path in paths if ENGINES.search(path)}


def test_requirement_01_the_api_process_loads_no_engine(tmp_path: Path) -> None:
    with serving(tmp_path / "data", PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        assert any("duckdb" in line for line in Path(f"/proc/{served.process.pid}/maps").read_text().splitlines())
        upload_and_create(served, processors=STEPS)
        document = {"name": "other", "collectors": [{"type": "csv", "file_path": "cities.csv"}], "processors": STEPS}
        assert served.json("POST", "/pipeline/validate", json=document)["valid"]
        assert served.json("POST", "/pipeline/plan", json=document)["problems"] == []
        assert served.json("POST", "/pipeline/cities/execute?wait=30")["rows_stored"] == 3
        assert served.json("GET", "/pipeline/cities/data")["total_rows"] == 3
        assert served.json("GET", "/pipeline/cities/schema")["columns"]
        assert served.json("GET", "/pipeline/cities/profile")["profiles"]
        served.json("POST", "/query", json={"sql": "SELECT count(*) FROM cities"})
        served.json("POST", "/pipeline/cities/apply", json={"records": [{"id": 1, "city": "Bern"}]})
        assert mapped(served) == set()
