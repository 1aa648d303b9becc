"""A catalog file that cannot be read: the error says so and what to do, wherever it is noticed, and the file stays."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from service.catalog.store import Store
from service.kit import errors

_HEADERS, _BLOCK = 3 * 4096, 256 * 1024  # bytes, as DuckDB lays out its files


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def _replace(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _sqlite(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE runs (run_id)")
    connection.commit()
    connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A catalog with a few blocks of values."""
    path = tmp_path / "catalog.duckdb"
    store = Store(path)
    with store.transaction() as transaction:
        transaction.execute(
            "INSERT INTO properties SELECT 'name ' || i, repeat(md5(i::VARCHAR), 40) FROM range(2000) t(i)"
        )
    store.close()
    return path


DAMAGES: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_bytes(b"garbage" * 50_000),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "header": lambda path: _flip(path, 9000),
    "folder": _replace,
    "sqlite": _sqlite,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_catalog_that_cannot_be_opened_is_left_as_it_is(path: Path, damage: str) -> None:
    DAMAGES[damage](path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(errors.PenstockError) as raised:
        Store(path)
    assert raised.value.error_code == "DATA_CORRUPT"
    assert "penstock verify --adopt" in str(raised.value)
    assert str(path.parent) not in str(raised.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_damage_that_a_read_meets_is_reported(path: Path) -> None:
    """DuckDB checks a block when it reads it, which may be long after the start."""
    store = Store(path)
    (block,) = store.rows("SELECT max(block_id) AS number FROM pragma_storage_info('properties')")
    store.close()
    _flip(path, _HEADERS + _BLOCK * block["number"] + _BLOCK // 2)
    store = Store(path)
    assert store.healthy
    with pytest.raises(errors.PenstockError) as raised:
        store.check()
    assert (raised.value.error_code, store.healthy) == ("DATA_CORRUPT", False)
    store.close()


@pytest.mark.parametrize("statement", ["CREATE TABLE x (a INTEGER)", "CREATE TABLE properties (a INTEGER)"])
def test_a_duckdb_file_of_another_program_is_refused(tmp_path: Path, statement: str) -> None:
    with duckdb.connect(str(tmp_path / "catalog.duckdb")) as other:
        other.execute(statement)
    with pytest.raises(errors.Conflict, match="another program"):
        Store(tmp_path / "catalog.duckdb")


def test_a_schema_version_that_no_release_writes_is_refused(path: Path) -> None:
    store = Store(path)
    store.set_property("schema_version", "one")
    store.close()
    with pytest.raises(errors.Conflict, match="no release"):
        Store(path)


class Busy:
    """A connection that another thread uses for a moment."""

    def __init__(self) -> None:
        self.tries = 0

    def close(self) -> None:
        self.tries += 1
        if self.tries < 3:
            raise duckdb.ResourceInUseException("connection is busy with another call")


def test_closing_waits_for_calls_of_other_threads(path: Path) -> None:
    store, busy = Store(path), Busy()
    store.close()
    store._connection = busy  # type: ignore[assignment]
    store.close()
    assert busy.tries == 3
