"""A package that somebody else wrote, installed beside the service: it is configured, described, run and served."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance import documents
from tests.acceptance.served import PASSWORD, PATIENCE, serving

EXTENSION = documents.ROOT / "tests" / "contract" / "extension"
DOCUMENT: dict[str, Any] = {
    "name": "sample",
    "collectors": [{"type": "counted", "rows": 5}],
    "processors": [
        {"type": "doubled", "config": {"column": "n"}},
        {"type": "share", "config": {"column": "n"}},
        {"type": "cleaner", "config": {"filter": "n > 0"}},
    ],
    "storage": [{"type": "parquet"}, {"type": "listing", "file": "count.txt"}],
}


def test_its_collector_processors_and_storage_work_without_a_change_to_the_service(tmp_path: Path) -> None:
    path = f"{documents.ROOT}:{EXTENSION}"
    with serving(tmp_path / "data", path=path, PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        described = httpx.get(f"{served.address}/docs/openapi.json", trust_env=False).text
        for said in ("The numbers from 0 on.", "A column times two.", "as a share of its sum", "beside the Parquet."):
            assert said in described
        wrong = {**DOCUMENT, "collectors": [{"type": "counted", "rows": -1}]}
        refused = served.json("POST", "/pipeline/validate", status=400, json=wrong)
        assert refused["error"]["details"]["field"] == "collectors[0].rows"
        served.json("POST", "/pipeline/create", status=201, json=DOCUMENT)
        run = served.json("POST", "/pipeline/sample/execute?wait=30")
        assert (run["status"], run["rows_stored"]) == ("completed", 4)
        stored = served.json("GET", "/pipeline/sample/data")["data"]
        assert stored == [{"n": 2 * n, "share": 2 * n * (1 / 20)} for n in range(1, 5)]
        deadline = time.monotonic() + PATIENCE
        while {s["type"]: s["state"] for s in run["storage"]} != {"parquet": "ready", "listing": "ready"}:
            assert time.monotonic() < deadline, run["storage"]  # it is made after the commit
            run = served.json("GET", f"/runs/{run['run_id']}")

        fitted = served.json("GET", "/pipeline/sample/versions/1/fitted")["fitted"]
        assert fitted == {"processors[1]": {"type": "share", "parameters": {"share": {"n": {"of": 20}}}}}
        applied = served.json("POST", "/pipeline/sample/apply", json={"records": [{"n": n} for n in (3, 0, 100)]})
        assert applied["data"] == [stored[2], {"n": 200, "share": 10.0}]  # by the sum of then, not of these
        assert (applied["rows"], applied["dropped"]) == ([0, 2], [{"index": 1, "step": "processors[2]"}])
        assert applied["skipped"] == []
        left = (tmp_path / "data" / "warehouse" / ".staging").glob("task_*")
        assert list(left) == [], "code of others runs in a process of its own, which is not kept"
    assert (tmp_path / "data" / "warehouse" / "sample" / "v000001" / "count.txt").read_text() == "4"
