"""Versions are marked, read by their tags and deleted, through a real service."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.client import ConflictError, InvalidError
from tests.acceptance.served import PASSWORD, Served, serving

PIPELINE: dict[str, Any] = {"name": "shops", "collectors": [{"type": "csv", "file_path": "shops.csv"}]}
ENVIRONMENT = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD}


def put(served: Served, rows: int) -> None:
    content = "id,city\n" + "".join(f"{n},Bern\n" for n in range(rows))
    answer = served.http.put("/files/shops.csv", content=content.encode())
    assert answer.status_code in (200, 201), answer.text


def execute(served: Served) -> dict[str, Any]:
    run: dict[str, Any] = served.json("POST", "/pipeline/shops/execute?wait=60")
    assert run["status"] == "completed", run
    return run


def ids(served: Served, table: str) -> list[int]:
    answer = served.json("POST", "/query", json={"sql": f'SELECT id FROM "{table}" ORDER BY id'})
    return [row["id"] for row in answer["data"]]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A service with the pipeline ``shops``, whose versions 1, 2 and 3 have as many rows."""
    with serving(tmp_path / "data", **ENVIRONMENT) as served:
        served.login()
        put(served, 1)
        served.json("POST", "/pipeline/create", status=201, json=PIPELINE)
        for rows in (1, 2, 3):
            put(served, rows)
            execute(served)
        yield served


def test_tags_name_versions_and_deleted_versions_are_gone(served: Served) -> None:
    with served.client() as client:
        client.tag("shops", 2, "stable")
        assert ids(served, "shops@stable") == ids(served, "shops@2") == [0, 1]
        assert client.data("shops", version="stable").height == 2
        copy = {"name": "copy", "collectors": [{"type": "pipeline", "name": "shops", "version": "stable"}]}
        client.create({**copy, "storage": [{"type": "parquet"}]})
        run = client.execute("copy")
        assert (run.rows_stored, run.steps[0]["evidence"]["version"]) == (2, 2)
        client.tag("shops", 3, "stable")
        assert client.execute("copy").rows_stored == 3
        assert client.diff("shops", "stable", against=2)["rows"]["added"] == 1
        client.tag("shops", 2, "stable")
        with pytest.raises(ConflictError) as refused:
            client.delete_version("shops", 2)
        assert refused.value.code == "VERSION_IN_USE"
        client.delete_version("shops", 1)
        for gone in ("shops@1", "shops@unstable"):
            with pytest.raises(InvalidError, match=gone):
                client.query(f'SELECT * FROM "{gone}"')
        listed = [(v.version, v.pinned, v.tags) for v in client.versions("shops")]
    assert listed == [(3, False, []), (2, False, ["stable"])]
    assert sorted(f.name for f in (served.data / "warehouse" / "shops").iterdir()) == ["current", "v000002", "v000003"]
    assert [line["version"] for line in served.log() if line["event"] == "version.deleted"] == [1]


def test_a_restored_version_is_the_newest_and_shares_its_files(served: Served) -> None:
    before = served.json("GET", "/pipeline/shops/schema?version=1")
    made = served.json("POST", "/pipeline/shops/versions/1/restore", status=201)
    assert (made["version"], made["restored_from"], made["rows"]) == (4, 1, 1)
    assert ids(served, "shops") == ids(served, "shops@1") == [0]
    after = served.json("GET", "/pipeline/shops/schema")
    assert [c["name"] for c in after["columns"]] == [c["name"] for c in before["columns"]]
    folders = [served.data / "warehouse" / "shops" / f"v00000{n}" for n in (1, 4)]
    parts = [next(folder.glob("part-*.parquet")) for folder in folders]
    assert parts[0].samefile(parts[1])
    assert (served.data / "warehouse" / "shops" / "current").readlink().name == "v000004"
    same = served.json("POST", "/pipeline/shops/versions/4/restore")
    assert served.json("POST", "/pipeline/shops/versions/1/restore")["version"] == same["version"] == 4
    run = served.json("GET", f"/runs/{made['run_id']}")
    assert (run["status"], run["restored_from"], run["version"]) == ("completed", 1, 4)
    assert served.json("GET", "/pipeline/shops/stats")["total_executions"] == 3
    put(served, 4)
    assert execute(served)["version"] == 5
    assert served.http.delete("/pipeline/shops/versions/1").status_code == 204
    assert ids(served, "shops@4") == [0]
    served.log()
    verified = subprocess.run(
        [sys.executable, "-m", "service", "verify", "--deep", "--data-dir", str(served.data)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_retention_deletes_older_versions_after_a_commit(served: Served) -> None:
    served.json("POST", "/pipeline/shops/versions/1/pin")
    for wrong in (0, -1, "some", 1.5):
        refused = served.json(
            "PUT", "/pipeline/shops/config", status=400, json={**PIPELINE, "retention": {"versions": wrong}}
        )
        assert refused["error"]["details"]["field"] == "retention.versions", wrong
    served.json("PUT", "/pipeline/shops/config", json={**PIPELINE, "keep_versions": 2})
    put(served, 4)
    assert execute(served)["version"] == 4
    lines = served.until_logged(lambda line: line["event"] == "version.deleted")
    assert (lines[-1]["version"], lines[-1]["by"]) == (2, "retention")
    assert [v["version"] for v in served.json("GET", "/pipeline/shops/versions")["items"]] == [4, 3, 1]
    assert served.json("GET", "/pipeline/shops/stats")["total_executions"] == 4
