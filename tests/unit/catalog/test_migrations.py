"""A catalog of an older release is migrated; one of a newer release is refused and left as it is."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from service.catalog.history import History
from service.catalog.migrations import SCHEMA_VERSION
from service.catalog.store import Store
from service.kit import errors

FIRST = """
CREATE TABLE pipelines (id VARCHAR PRIMARY KEY, name VARCHAR NOT NULL, table_name VARCHAR NOT NULL,
    revision INTEGER NOT NULL, created TIMESTAMP NOT NULL, created_by VARCHAR, deleted TIMESTAMP);
CREATE TABLE revisions (pipeline_id VARCHAR NOT NULL, revision INTEGER NOT NULL, document JSON NOT NULL,
    created TIMESTAMP NOT NULL, created_by VARCHAR, PRIMARY KEY (pipeline_id, revision));
CREATE TABLE runs (run_id VARCHAR PRIMARY KEY, pipeline_id VARCHAR NOT NULL, pipeline VARCHAR NOT NULL,
    revision INTEGER NOT NULL, status VARCHAR NOT NULL, queued_at TIMESTAMP NOT NULL, start_time TIMESTAMP,
    end_time TIMESTAMP, version INTEGER, rows_collected BIGINT, rows_stored BIGINT, peak_memory_bytes BIGINT,
    requested_by VARCHAR, value JSON NOT NULL);
CREATE TABLE versions (pipeline_id VARCHAR NOT NULL, version INTEGER NOT NULL, run_id VARCHAR NOT NULL,
    rows BIGINT NOT NULL, bytes BIGINT NOT NULL, created TIMESTAMP NOT NULL, value JSON NOT NULL,
    PRIMARY KEY (pipeline_id, version));
CREATE TABLE users (username VARCHAR PRIMARY KEY, role VARCHAR NOT NULL, password_hash VARCHAR NOT NULL,
    created TIMESTAMP NOT NULL, disabled BOOLEAN NOT NULL DEFAULT false, tokens_valid_after TIMESTAMP NOT NULL);
CREATE TABLE refresh_tokens (hash VARCHAR PRIMARY KEY, family VARCHAR NOT NULL, username VARCHAR NOT NULL,
    issued TIMESTAMP NOT NULL, expires TIMESTAMP NOT NULL, spent TIMESTAMP, revoked TIMESTAMP);
CREATE TABLE revoked_tokens (jti VARCHAR PRIMARY KEY, expires TIMESTAMP NOT NULL);
"""
"""The schema of the releases before schema versions."""

RUN = '{"run_id": "%s", "pipeline": "orders", "revision": 1, "status": "completed"}'


def test_a_catalog_without_a_version_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    with duckdb.connect(str(path)) as old:
        old.execute(FIRST)
        for name, hour in (("run_b", 1), ("run_a", 2)):
            old.execute(
                "INSERT INTO runs (run_id, pipeline_id, pipeline, revision, status, queued_at, value) "
                "VALUES (?, 'p', 'orders', 1, 'completed', ?::TIMESTAMP, ?)",
                [name, f"2026-01-01 0{hour}:00:00", RUN % name],
            )
    for _ in range(2):
        store = Store(path)
        assert [r.run_id for r in History(store).runs("p", limit=9, offset=0)[0]] == ["run_a", "run_b"]
        assert store.property("schema_version") == str(SCHEMA_VERSION)
        store.close()


def test_old_and_new_catalogs_have_one_schema(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "old.duckdb")) as old:
        old.execute(FIRST)
    columns = []
    for name in ("old", "new"):
        store = Store(tmp_path / f"{name}.duckdb")
        columns.append(store.rows("SELECT table_name, column_name, data_type FROM duckdb_columns() ORDER BY ALL"))
        store.close()
    assert columns[0] == columns[1]


def test_a_newer_catalog_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    store = Store(path)
    store.set_property("schema_version", str(SCHEMA_VERSION + 1))
    store.close()
    before = path.read_bytes()
    with pytest.raises(errors.Conflict, match=f"schema version {SCHEMA_VERSION + 1}.* newer penstock"):
        Store(path)
    assert path.read_bytes() == before
