"""An installation moves from one directory to PostgreSQL and an object store, and back: every version is the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import object_stores, postgresql
from tests.acceptance.served import PASSWORD, Served, serving, upload_and_create
from tests.acceptance.service import penstock

pytestmark = pytest.mark.services

ADMIN = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD}


@pytest.fixture
def database() -> Iterator[str]:
    with postgresql.running() as cluster, cluster.database() as url:
        yield url


def rows(served: Served) -> dict[str, object]:
    """All rows of all versions, and what verify finds."""
    served.login()
    found = served.json("POST", "/admin/verify", json={"deep": True})
    versions = {v["version"] for v in served.json("GET", "/pipeline/cities/versions")["items"]}
    data = {n: served.json("GET", f"/pipeline/cities/data?version={n}")["data"] for n in sorted(versions)}
    return {"findings": found["findings"], "versions": found["versions"], **data}


def test_there_and_back(tmp_path: Path, database: str) -> None:
    data, other, restored = tmp_path / "data", tmp_path / "other", tmp_path / "restored"
    with object_stores.s3() as server:
        store = {
            **object_stores.environment(server.port), "PENSTOCK_WAREHOUSE_URL": f"s3://{object_stores.BUCKET}/moved",
        }  # fmt: skip
        with serving(data, **ADMIN) as served:
            served.login()
            upload_and_create(served, storage=[{"type": "duckdb", "mode": "append"}])
            for _ in range(3):
                served.json("POST", "/pipeline/cities/execute?wait=30")
            before = rows(served)
            served.log()
        with serving(data, **ADMIN, **store) as served:
            served.until_logged(lambda line: line.get("event") == "objects.written" and line.get("version") == 3)
            assert rows(served) == before
            served.log()
        copied = penstock("catalog", "copy", str(data), database)
        assert copied.returncode == 0, copied.stderr
        shutil.copytree(data / "audit", other / "audit")  # its files are those of a host
        cluster = {**ADMIN, **store, "PENSTOCK_CATALOG_URL": database}
        with serving(other, **cluster) as served:  # another host: nothing is cached
            assert rows(served) == before
            assert served.json("POST", "/pipeline/cities/execute?wait=30")["version"] == 4
            after = rows(served)
            served.json("POST", "/admin/backup", json={"directory": str(tmp_path / "backups")})
            served.log()
    assert penstock("restore", str(tmp_path / "backups"), "--data-dir", str(restored)).returncode == 0
    with serving(restored, **ADMIN) as served:
        assert rows(served) == after
        assert served.json("POST", "/pipeline/cities/execute?wait=30")["version"] == 5
