"""A catalog file that cannot be read: the error says so and what to do, wherever it is noticed, and the file stays."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from service.catalog.duckdb_store import DuckDBStore
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
    store = DuckDBStore(path)
    store.execute("INSERT INTO properties SELECT 'name ' || i, repeat(md5(i::VARCHAR), 40) FROM range(2000) t(i)")
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
        DuckDBStore(path)
    assert raised.value.error_code == "DATA_CORRUPT"
    assert "penstock verify --adopt" in str(raised.value)
    assert str(path.parent) not in str(raised.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.parametrize("older", ["file", "log"])
def test_a_catalog_and_a_log_of_other_moments_are_told_and_left(path: Path, tmp_path: Path, older: str) -> None:
    """As after putting back a copy of one of them: that is no busy service, and no matter of the disk."""
    copies = []
    for number in range(2):
        killed = tmp_path / f"killed-{number}"
        killed.mkdir()
        store = DuckDBStore(path)
        store.set_property("number", str(number))
        for name in (path.name, f"{path.name}.wal"):  # as it is while it is open: the last write is in the log
            shutil.copyfile(path.with_name(name), killed / name)
        store.close()
        copies.append(killed / path.name)
    old, new = copies
    shutil.copyfile(*((old, new) if older == "file" else (f"{old}.wal", f"{new}.wal")))
    before = new.read_bytes(), Path(f"{new}.wal").read_bytes()
    with pytest.raises(errors.PenstockError, match=r"catalog\.duckdb\.wal") as raised:
        DuckDBStore(new)
    assert raised.value.error_code == "DATA_CORRUPT"
    assert (new.read_bytes(), Path(f"{new}.wal").read_bytes()) == before


def test_a_log_without_its_catalog_is_kept(tmp_path: Path) -> None:
    """DuckDB deletes it when it makes a new file; with it, the last commits would be lost to who puts the file back."""
    live, moved = tmp_path / "live", tmp_path / "moved"
    for folder in (live, moved):
        folder.mkdir()
    store = DuckDBStore(live / "catalog.duckdb")
    store.set_property("last", "write")
    for name in ("catalog.duckdb", "catalog.duckdb.wal"):
        shutil.copyfile(live / name, moved / name)
    store.close()
    (moved / "catalog.duckdb").rename(moved / "mislaid")
    DuckDBStore(moved / "catalog.duckdb").close()
    (moved / "mislaid").replace(moved / "catalog.duckdb")
    (moved / "catalog.duckdb.wal.1").rename(moved / "catalog.duckdb.wal")
    store = DuckDBStore(moved / "catalog.duckdb")
    assert store.property("last") == "write"
    store.close()


def test_damage_that_a_read_meets_is_reported(path: Path) -> None:
    """DuckDB checks a block when it reads it, which may be long after the start."""
    store = DuckDBStore(path)
    (block,) = store.rows("SELECT max(block_id) AS number FROM pragma_storage_info('properties')")
    store.close()
    _flip(path, _HEADERS + _BLOCK * block["number"] + _BLOCK // 2)
    store = DuckDBStore(path)
    assert store.healthy
    with pytest.raises(errors.PenstockError) as raised:
        store.check()
    assert (raised.value.error_code, store.healthy) == ("DATA_CORRUPT", False)
    store.close()


class Broken:
    """A connection, or a cursor of one, whose disk does not take what is flushed to it."""

    def __init__(self, inner: duckdb.DuckDBPyConnection) -> None:
        self._inner = inner

    def cursor(self) -> Broken:
        return Broken(self._inner.cursor())

    def commit(self) -> None:
        raise duckdb.FatalException("IO Error: Could not fsync file")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def test_requirement_24_a_fatal_error_of_a_commit_makes_the_service_unready_until_it_restarts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DuckDBStore(path)
    store.set_property("before", "1")
    monkeypatch.setattr(store, "_connection", Broken(store._connection))
    with pytest.raises(duckdb.FatalException):
        store.execute("DELETE FROM properties WHERE name = 'before'")
    assert not store.healthy
    monkeypatch.undo()
    assert not store.healthy  # though the disk works again
    store.close()
    again = DuckDBStore(path)
    assert (again.healthy, again.property("before")) == (True, "1")
    again.close()


@pytest.mark.parametrize("statement", ["CREATE TABLE x (a INTEGER)", "CREATE TABLE properties (a INTEGER)"])
def test_a_duckdb_file_of_another_program_is_refused(tmp_path: Path, statement: str) -> None:
    with duckdb.connect(str(tmp_path / "catalog.duckdb")) as other:
        other.execute(statement)
    with pytest.raises(errors.Conflict, match="another program"):
        DuckDBStore(tmp_path / "catalog.duckdb")


def test_a_schema_version_that_no_release_writes_is_refused(path: Path) -> None:
    store = DuckDBStore(path)
    store.set_property("schema_version", "one")
    store.close()
    with pytest.raises(errors.Conflict, match="no release"):
        DuckDBStore(path)


class Busy:
    """A connection that another thread uses for a moment."""

    def __init__(self) -> None:
        self.tries = 0

    def close(self) -> None:
        self.tries += 1
        if self.tries < 3:
            raise duckdb.ResourceInUseException("connection is busy with another call")


def test_closing_waits_for_calls_of_other_threads(path: Path) -> None:
    store, busy = DuckDBStore(path), Busy()
    store.close()
    store._connection = busy  # type: ignore[assignment]
    store.close()
    assert busy.tries == 3
