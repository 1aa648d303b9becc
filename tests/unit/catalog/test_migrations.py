"""A catalog of an older release is migrated; one of a newer release is refused and left as it is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import msgspec
import pytest

from service.catalog.duckdb_store import DuckDBStore
from service.catalog.history import History
from service.catalog.migrations import SCHEMA_VERSION
from service.catalog.statements import load_sql
from service.files.layout import Layout
from service.kit import errors
from service.model.version import Version
from service.runs import recovery

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

TO_1 = """
CREATE TABLE properties (name VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);
INSERT INTO properties VALUES ('schema_version', '1');
ALTER TABLE runs ADD COLUMN sequence BIGINT;
"""
"""What version 1 added."""

TO_2 = load_sql("migrations")["to_2"] + "UPDATE properties SET value = '2' WHERE name = 'schema_version';"
"""What version 2 added."""

TO_3 = load_sql("migrations")["to_3"] + "UPDATE properties SET value = '3' WHERE name = 'schema_version';"
"""What version 3 added."""

TO_4 = load_sql("migrations")["to_4"] + "UPDATE properties SET value = '4' WHERE name = 'schema_version';"
"""What version 4 added."""

RUN = '{"run_id": "%s", "pipeline": "orders", "revision": 1, "status": "%s"}'


OLD = [FIRST, FIRST + TO_1, FIRST + TO_1 + TO_2, FIRST + TO_1 + TO_2 + TO_3]
OLD.append(OLD[-1] + TO_4)
IDS = ["version 0", "version 1", "version 2", "version 3", "version 4"]


def fill(old: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Two runs, which the older release numbered if it could."""
    old.execute(schema)
    for place, (name, status) in enumerate((("run_b", "completed"), ("run_a", "running")), 1):
        old.execute(
            "INSERT INTO runs (run_id, pipeline_id, pipeline, revision, status, queued_at, value) "
            "VALUES (?, 'p', 'orders', 1, ?, ?::TIMESTAMP, ?)",
            [name, status, f"2026-01-01 0{place}:00:00", RUN % (name, status)],
        )
        if schema != FIRST:
            old.execute("UPDATE runs SET sequence = ? WHERE run_id = ?", [place, name])


@pytest.mark.parametrize("schema", OLD, ids=IDS)
def test_an_older_catalog_is_migrated(tmp_path: Path, schema: str) -> None:
    path = tmp_path / "catalog.duckdb"
    with duckdb.connect(str(path)) as old:
        fill(old, schema)
    for _ in range(2):
        store = DuckDBStore(path)
        assert [r.run_id for r in History(store).runs("p", limit=9, offset=0)[0]] == ["run_a", "run_b"]
        assert store.property("schema_version") == str(SCHEMA_VERSION)
        store.close()


@pytest.mark.parametrize("schema", OLD, ids=IDS)
def test_runs_of_an_older_catalog_can_be_ended(tmp_path: Path, schema: str) -> None:
    """Its run that was running may have no further attempt: older releases had none."""
    layout = Layout(tmp_path)
    layout.create()
    with duckdb.connect(str(layout.catalog)) as old:
        fill(old, schema)
    store = DuckDBStore(layout.catalog)
    assert recovery.recover(History(store), layout, datetime(2026, 1, 2, tzinfo=UTC)) == ["run_a"]
    assert [r.status for r in History(store).runs("p", limit=9, offset=0)[0]] == ["interrupted", "completed"]
    store.close()


@pytest.mark.parametrize("schema", OLD, ids=IDS)
def test_old_and_new_catalogs_have_one_schema(tmp_path: Path, schema: str) -> None:
    with duckdb.connect(str(tmp_path / "old.duckdb")) as old:
        old.execute(schema)
    columns = []
    for name in ("old", "new"):
        store = DuckDBStore(tmp_path / f"{name}.duckdb")
        columns.append(store.rows("SELECT table_name, column_name, data_type FROM duckdb_columns() ORDER BY ALL"))
        store.close()
    assert columns[0] == columns[1]


@pytest.mark.parametrize("schema", OLD[:3], ids=IDS[:3])
def test_statistics_of_an_older_catalog_count_no_restore(tmp_path: Path, schema: str) -> None:
    path = tmp_path / "catalog.duckdb"
    with duckdb.connect(str(path)) as old:
        fill(old, schema)
        restore = (RUN % ("run_b", "completed")).replace("}", ', "restored_from": 1}')
        old.execute("UPDATE runs SET value = ? WHERE run_id = 'run_b'", [restore])
    store = DuckDBStore(path)
    found = History(store).statistics("p")
    assert (found["total_executions"], found["successful_executions"]) == (1, 0)
    store.close()


@pytest.mark.parametrize("schema", OLD[:3], ids=IDS[:3])
def test_versions_of_an_older_catalog_are_published(tmp_path: Path, schema: str) -> None:
    path, when = tmp_path / "catalog.duckdb", datetime(2026, 1, 1, tzinfo=UTC)
    version = Version(
        pipeline="orders", version=3, run_id="run_b", revision=1, table="orders", rows=1, bytes=1, columns=[], files=[],
        sources=[], created=when,
    )  # fmt: skip
    with duckdb.connect(str(path)) as old:
        fill(old, schema)
        value = msgspec.json.decode(msgspec.json.encode(version))
        for name in ("held", "held_because", "continues"):
            del value[name]
        old.execute(
            "INSERT INTO versions VALUES ('p', 3, 'run_b', 1, 1, TIMESTAMP '2026-01-01', ?)",
            [msgspec.json.encode(value).decode()],
        )
    store = DuckDBStore(path)
    assert History(store).newest("p") == version
    assert History(store).newest("p") == version
    store.close()


def test_a_newer_catalog_that_only_has_more_is_served(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    store = DuckDBStore(path)
    store.execute("ALTER TABLE users ADD COLUMN email VARCHAR")
    store.set_property("schema_version", str(SCHEMA_VERSION + 1))
    store.close()
    for _ in range(2):
        store = DuckDBStore(path)
        assert store.property("schema_version") == str(SCHEMA_VERSION + 1)
        assert History(store).runs("p", limit=9, offset=0)[0] == []
        store.close()


def test_a_newer_catalog_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    store = DuckDBStore(path)
    for name in ("schema_version", "oldest_schema_version"):
        store.set_property(name, str(SCHEMA_VERSION + 1))
    store.close()
    before = path.read_bytes()
    with pytest.raises(errors.Conflict, match=f"schema version {SCHEMA_VERSION + 1}.* newer penstock"):
        DuckDBStore(path)
    assert path.read_bytes() == before
