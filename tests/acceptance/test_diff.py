"""Two versions compared through a real service and by the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import documents, service
from tests.acceptance.served import Served

BEFORE = "id,city,price\n1,Bern,1.5\n2,Rome,2.5\n3,Oslo,\n4,Bern,4.0\n"
AFTER = "id,city,price,note\n5,Wien,9.0,x\n4,Bern,4.5,\n3,Oslo,,\n2,Roma,2.5,\n"
PIPELINE: dict[str, Any] = {
    "name": "shops",
    "collectors": [{"type": "csv", "file_path": "shops.csv"}],
    "processors": [{"type": "analyzer"}],
    "storage": [{"type": "parquet"}, {"type": "duckdb", "primary_key": "id"}],
}


@pytest.fixture(scope="module")
def served(plain: Served) -> Served:
    for status, text in ((201, BEFORE), (200, AFTER)):
        plain.json("PUT", "/files/shops.csv", status=status, content=text.encode())
        if status == 201:
            plain.json("POST", "/pipeline/create", status=201, json=PIPELINE)
        assert plain.json("POST", "/pipeline/shops/execute?wait=60")["status"] == "completed"
    return plain


def test_rows_columns_and_samples(served: Served) -> None:
    found = served.json("GET", "/pipeline/shops/versions/2/diff")
    assert {k: found[k] for k in ("pipeline", "version", "against", "key")} == {
        "pipeline": "shops", "version": 2, "against": 1, "key": ["id"],
    }  # fmt: skip
    assert found["rows"] == {"before": 4, "after": 4, "added": 1, "removed": 1, "changed": 2, "unchanged": 1}
    assert [(c["name"], c["change"], c["type"], c["changed"]) for c in found["columns"]] == [
        ("id", None, "int64", 0), ("city", None, "string", 1), ("price", None, "float64", 1),
        ("note", "added", "string", 0),
    ]  # fmt: skip
    price, note = found["columns"][2], found["columns"][3]
    assert price["missing_share"] == {"before": 0.25, "after": 0.25}
    assert price["mean"] == {"before": pytest.approx(8 / 3), "after": pytest.approx(16 / 3)}
    assert price["psi"] > 0
    assert (note["missing_share"], note["mean"], note["psi"]) == (
        {"before": None, "after": 0.75}, {"before": None, "after": None}, None,
    )  # fmt: skip
    assert found["samples"] == {
        "added": [{"id": 5, "city": "Wien", "price": 9.0, "note": "x"}],
        "removed": [{"id": 1, "city": "Bern", "price": 1.5}],
        "changed": [
            {"key": {"id": 4}, "before": {"id": 4, "city": "Bern", "price": 4.0},
             "after": {"id": 4, "city": "Bern", "price": 4.5, "note": None}},
            {"key": {"id": 2}, "before": {"id": 2, "city": "Rome", "price": 2.5},
             "after": {"id": 2, "city": "Roma", "price": 2.5, "note": None}},
        ],
    }  # fmt: skip


def test_other_keys_and_versions(served: Served) -> None:
    path = "/pipeline/shops/versions/2/diff"
    same = served.json("GET", f"{path}?against=2&limit=0")
    assert same["rows"] == {"before": 4, "after": 4, "added": 0, "removed": 0, "changed": 0, "unchanged": 4}
    back = served.json("GET", "/pipeline/shops/versions/1/diff?against=2&key=id,city")
    assert (back["key"], back["rows"]["added"], back["rows"]["changed"]) == (["id", "city"], 2, 1)
    repeated = served.json("GET", f"{path}?key=city", status=409)["error"]
    assert repeated["details"]["repeated"] == 1
    assert "1 rows of version 1 repeat the key (city)" in repeated["message"]
    for query, field in (("key=town", "key"), ("key=id,,", "key"), ("key=id,id", "key"), ("limit=1001", "limit")):
        refused = served.json("GET", f"{path}?{query}", status=400)["error"]
        assert refused["details"]["field"] == field
    for wrong, field in (
        ("/pipeline/shops/versions/1/diff", "against"), (f"{path}?against=9", "against"),
        (f"{path}?against=stable", "against"), ("/pipeline/shops/versions/9/diff", "version"),
    ):  # fmt: skip
        missing = served.json("GET", wrong, status=404)["error"]
        assert (missing["code"], missing["details"]["field"]) == ("VERSION_NOT_FOUND", field)


def test_an_etag_names_the_question(served: Served) -> None:
    first = served.http.get("/pipeline/shops/versions/2/diff")
    same = {"if-none-match": first.headers["etag"]}
    assert served.http.get("/pipeline/shops/versions/2/diff", headers=same).status_code == 304
    assert served.http.get("/pipeline/shops/versions/2/diff?limit=1", headers=same).status_code == 200


def test_the_lineage_names_sources_and_the_columns_that_are_read(served: Served) -> None:
    found = served.json("GET", "/pipeline/shops/lineage")
    assert (found["pipeline"], found["version"], found["why"]) == ("shops", 2, None)
    assert [(n["kind"], n["name"]) for n in found["nodes"]] == [("pipeline", "shops"), ("source", "shops.csv")]
    assert [(e["from"], e["to"], e["kind"]) for e in found["edges"]] == [
        ("source:shops.csv", "pipeline:shops", "reads")
    ]
    assert [(c["name"], c["origins"]) for c in found["columns"]] == [
        (name, [{"collector": "collectors[0]", "columns": [name]}]) for name in ("id", "city", "price", "note")
    ]
    assert served.json("GET", "/pipeline/shops/lineage?depth=21", status=400)["error"]["details"]["field"] == "depth"


def test_the_command_line(served: Served) -> None:
    token = served.http.headers["authorization"].removeprefix("Bearer ")
    words = ["diff", "shops", "--url", served.address]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "service", *words, *more], capture_output=True, text=True, timeout=60,
            env=service.clean_environment(PYTHONPATH=str(documents.ROOT), PENSTOCK_TOKEN=token),
        )  # fmt: skip

    shown = run()
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "shops: version 1 → 2, matched by id" in shown.stdout
    assert "4 rows → 4 rows: 1 added, 1 removed, 2 changed, 1 unchanged" in shown.stdout
    assert json.loads(run("2", "--against", "1", "--json").stdout)["rows"]["changed"] == 2
    assert run("1").returncode == 3


def test_a_damaged_version_is_refused(served: Served) -> None:
    folder = Path(served.data) / "warehouse/shops/v000001"
    part = next(folder.glob("part-*.parquet"))
    part.chmod(0o600)
    content = bytearray(part.read_bytes())
    content[20] ^= 1
    part.write_bytes(content)
    answer = served.json("GET", "/pipeline/shops/versions/2/diff?limit=3", status=500)["error"]
    assert (answer["code"], answer["details"]["version"]) == ("DATA_CORRUPT", 1)
