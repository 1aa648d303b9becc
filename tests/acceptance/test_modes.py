"""Storage modes through the service: a version is the whole data in every reader, and costs what changed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.acceptance.served import PASSWORD, Served, serving
from tests.examples import mostly_slow

ADMIN = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD}
ORDERS = "/pipeline/orders"


def _run(served: Served, text: str) -> dict[str, Any]:
    (served.data / "uploads" / "orders.csv").write_text(text)
    run: dict[str, Any] = served.json("POST", f"{ORDERS}/execute?wait=60")
    assert run["status"] == "completed", run["error"]
    return run


def _created(served: Served, *storage: dict[str, Any]) -> None:
    document = {
        "name": "orders", "collectors": [{"type": "csv", "file_path": "orders.csv"}],
        "processors": [{"type": "analyzer", "config": {}}], "storage": list(storage),
    }  # fmt: skip
    (served.data / "uploads" / "orders.csv").write_text("id\n")
    served.json("POST", "/pipeline/create", json=document, status=201)


def test_every_reader_sees_the_whole_version(empty: Served) -> None:
    parquet = {"type": "parquet", "mode": "merge", "partition_by": ["city"]}
    _created(empty, parquet, {"type": "duckdb", "key": "id"})
    _run(empty, "id,city,v\n1,a/b c%,1\n2,Ulm,2\n3,,3\n")
    run = _run(empty, "id,city,v,new\n2,Ulm,22,x\n4,Ulm,4,y\n")
    assert (run["version"], run["rows_stored"], run["unchanged"]) == (2, 4, False)
    rows = [[2, "Ulm", 22, "x"], [4, "Ulm", 4, "y"], [1, "a/b c%", 1, None], [3, None, 3, None]]
    assert [list(row.values()) for row in empty.json("GET", f"{ORDERS}/data")["data"]] == rows
    found = empty.json("POST", "/query", json={"sql": "SELECT * FROM orders"})["data"]
    assert [list(row.values()) for row in found] == rows
    assert empty.json("GET", f"{ORDERS}/schema")["row_count"] == 4
    assert empty.json("GET", f"{ORDERS}/profile")["profiles"][0]["row_count"] == 4
    before = empty.json("POST", "/query", json={"sql": 'SELECT count(*) AS n FROM "orders@1"'})["data"]
    assert before == [{"n": 3}]
    again = _run(empty, "id,city,v,new\n2,Ulm,22,x\n")
    assert (again["version"], again["unchanged"]) == (2, True)


@pytest.mark.parametrize("mode", mostly_slow(["replace", "append", "merge"], ["merge"]))
def test_requirement_21_a_published_file_is_never_written_again(empty: Served, mode: str) -> None:
    """Not by later versions, by runs that fail or change nothing, by a restore or a deletion beside it."""
    stored, seen = empty.data / "warehouse" / "orders", dict[Path, tuple[int, int, bytes]]()
    _created(empty, {"type": "parquet", "mode": mode, "key": "id", "partition_by": ["city"]})
    texts = ["id,city\n1,Ulm\n2,Oslo\n", "id,city\n2,Ulm\n3,Oslo\n", "id,city\n2,Ulm\n3,Oslo\n", "id,city\n4,\n"]
    for text in [*texts, 'id,city\n5,"x\n', None]:
        if text is None:
            empty.json("POST", f"{ORDERS}/versions/1/restore", status=201)
            empty.http.delete(f"{ORDERS}/versions/2").raise_for_status()
        else:
            (empty.data / "uploads" / "orders.csv").write_text(text)
            empty.json("POST", f"{ORDERS}/execute?wait=60")
        now = {part: _identity(part) for part in stored.glob("v*/**/part-*")}
        assert {part: now.get(part, known) for part, known in seen.items()} == seen
        seen |= now
    assert len({part.relative_to(stored).parts[0] for part in seen}) >= 4


def _identity(part: Path) -> tuple[int, int, bytes]:
    """Which file it is, when it was written and what is in it. Names of one file are those of equal versions."""
    status = part.stat()
    return status.st_ino, status.st_mtime_ns, part.read_bytes()


def test_the_native_table_follows_an_append(tmp_path: Path) -> None:
    with serving(tmp_path / "data", **ADMIN) as served:
        served.login()
        _created(served, {"type": "parquet", "mode": "append"}, {"type": "duckdb", "indexes": [["id"]]})
        for number in range(3):
            run = _run(served, f"id\n{number}\n{number + 10}\n")
            while any(s["state"] == "loading" for s in served.json("GET", f"/runs/{run['run_id']}")["storage"]):
                time.sleep(0.02)  # nothing tells of the end of a load
        folder = served.data / "warehouse" / "orders"
        assert [p.stat().st_nlink for p in sorted((folder / "v000003").glob("part-*"))] == [3, 2, 1]
        with duckdb.connect(folder / "v000003" / "orders.duckdb", read_only=True) as native:
            assert native.sql("SELECT id FROM orders").fetchall() == [(0,), (10,), (1,), (11,), (2,), (12,)]
        assert not any(line["event"] == "native.not_extended" for line in served.log())


@pytest.mark.slow
def test_the_native_table_follows_a_merge(tmp_path: Path) -> None:
    """Rows of one part and new ones: the others are not loaded again. A small table would be: that costs less."""
    with serving(tmp_path / "data", **ADMIN) as served:
        served.login()
        _created(served, {"type": "parquet", "mode": "merge", "key": "id"}, {"type": "duckdb"})
        texts = ["".join(f"{n},{n}\n" for n in range(600_000)), "30001,-1\n700000,7\n30000,-2\n"]
        for text in texts:
            run = _run(served, f"id,v\n{text}")
            while any(s["state"] == "loading" for s in served.json("GET", f"/runs/{run['run_id']}")["storage"]):
                time.sleep(0.02)  # nothing tells of the end of a load
        file = served.data / "warehouse" / "orders" / "v000002" / "orders.duckdb"
        with duckdb.connect(file, read_only=True) as native:
            found = native.sql("SELECT * FROM orders").fetchall()
            assert native.sql("SELECT v FROM orders WHERE id = 30001").fetchall() == [(-1,)]
        wanted = [(n, {30_000: -2, 30_001: -1}.get(n, n)) for n in range(600_000)]
        assert found == [*wanted, (700_000, 7)]
        changes = [line for line in served.log() if line["event"] == "native.changed"]
        assert [(line["updated"], line["added_parts"]) for line in changes] == [(10_000, 1)]


def test_another_compression_of_equal_rows_adds_no_version(empty: Served) -> None:
    _created(empty, {"type": "parquet"})
    _run(empty, "id,v\n1,2\n3,4\n")
    document = empty.json("GET", f"{ORDERS}/config")
    document["storage"] = [{"type": "parquet", "compression": "lz4"}]
    empty.json("PUT", f"{ORDERS}/config", json=document)
    again = _run(empty, "id,v\n1,2\n3,4\n")
    assert (again["version"], again["unchanged"]) == (1, True)
    assert _run(empty, "id,v\n1,2\n3,5\n")["version"] == 2


def test_partitions_of_rows_that_came_in_another_order_add_no_version(empty: Served) -> None:
    _created(empty, {"type": "parquet", "partition_by": ["city"]})
    assert _run(empty, "id,city\n1,Ulm\n2,Oslo\n3,Ulm\n")["version"] == 1
    assert _run(empty, "id,city\n2,Oslo\n1,Ulm\n3,Ulm\n")["unchanged"]
    assert _run(empty, "id,city\n2,Oslo\n3,Ulm\n1,Ulm\n")["version"] == 2


def test_storages_that_differ_are_refused(empty: Served) -> None:
    document = {
        "name": "orders", "collectors": [{"type": "csv", "file_path": "orders.csv"}],
        "storage": [{"type": "parquet", "mode": "append"}, {"type": "duckdb", "mode": "merge", "key": "id"}],
    }  # fmt: skip
    answer = empty.json("POST", "/pipeline/create", json=document, status=400)
    fields = [e["field"] for e in answer["error"]["details"]["errors"]]
    assert "storage[1].mode" in fields
