"""On the smallest machine that is promised (2 GiB) everything works, not only the start and the sums of the limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.served import PASSWORD, serving

GIB = 1 << 30
ROWS = 60_000
DOCUMENT = {
    "name": "shop",
    "collectors": [{"type": "csv", "file_path": "rows.csv"}],
    "processors": [
        {"type": "analyzer"},
        {"type": "transformer", "config": {"derive": {"b": "a * 2", "c": "upper(substr(d, 1, 4)) || t"}}},
        {"type": "sql", "config": {"query": "SELECT * FROM input ORDER BY t"}},
    ],
}


@pytest.mark.slow
def test_two_gibibytes_and_few_open_files_are_enough(tmp_path: Path) -> None:
    settings = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "SMALL_MEMORY": str(2 * GIB), "SMALL_FILES": "256"}
    with serving(tmp_path / "data", module="tests.acceptance.small_machine", **settings) as served:
        served.login()
        rows = "".join(f"{n},row {n * 7919 % ROWS},2026-01-{n % 28 + 1:02}\n" for n in range(ROWS))
        assert served.http.put("/files/rows.csv", content=f"a,t,d\n{rows}".encode()).status_code == 201
        served.json("POST", "/pipeline/create", status=201, json=DOCUMENT)
        run = served.json("POST", "/pipeline/shop/execute?wait=60")
        assert (run["status"], run["rows_stored"]) == ("completed", ROWS), run
        assert served.json("POST", "/pipeline/preview", json=DOCUMENT)["data"]
        assert served.json("POST", "/pipeline/plan", json=DOCUMENT)
        assert served.json("POST", "/pipeline/probe", json={"file_path": "rows.csv"})["format"] == "csv"
        record = {"a": 1, "t": "x", "d": "2026-01-01"}
        applied = {**DOCUMENT, "name": "plain", "processors": DOCUMENT["processors"][1:2]}
        served.json("POST", "/pipeline/create", status=201, json=applied)
        served.json("POST", "/pipeline/plain/execute?wait=60")
        assert served.json("POST", "/pipeline/plain/apply", json={"records": [record]})["data"][0]["b"] == 2
        assert served.json("GET", "/pipeline/shop/lineage")["nodes"]
        assert served.json("GET", "/pipeline/shop/versions/1/diff?against=1")["rows"]["unchanged"] == ROWS
        assert served.http.get("/pipeline/shop/profile?format=html").status_code == 200
        assert served.json("GET", "/pipeline/shop/schema")["row_count"] == ROWS
        sql = "SELECT t, hash(a) AS h FROM shop ORDER BY h LIMIT 3 OFFSET 50000"
        assert served.json("POST", "/query", json={"sql": sql})["row_count"] == 3
        for form in ("csv", "ndjson", "arrow", "parquet"):
            with served.http.stream("GET", f"/pipeline/shop/data?format={form}&sort=-t") as answer:
                assert answer.status_code == 200
                assert sum(map(len, answer.iter_bytes())) > ROWS  # to its end: a stream that breaks raises
