"""A catalog is copied whole from any place to any other, and only between places that nobody else has open."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from service.catalog import catalog_copy, transfer
from service.catalog.duckdb_store import DuckDBStore
from service.catalog.store import Store
from service.files.layout import Layout
from service.kit import errors
from tests import stores

ROOT = Path(__file__).resolve().parents[3]
BOTH_WAYS = pytest.mark.parametrize(
    "places",
    [
        "duckdb to duckdb",
        pytest.param("duckdb to postgresql", marks=pytest.mark.services),
        pytest.param("postgresql to duckdb", marks=pytest.mark.services),
        pytest.param("postgresql to postgresql", marks=pytest.mark.services),
    ],
    indirect=True,
)
ODD = "a\0b \ue000 'x' \\u0000 é"
MOMENT = datetime(2026, 2, 3, 4, 5, 6, 789_012)
VALUES: dict[str, Any] = {
    "VARCHAR": ODD, "JSON": '{"b":  "\\u0000\\\\u0000", "a": [1.0, null]}', "BLOB": b"\0\xff", "INTEGER": -(1 << 31),
    "BIGINT": (1 << 63) - 1, "BOOLEAN": True, "TIMESTAMP": MOMENT, "DATE": date(1, 1, 1),
}  # fmt: skip


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The two places."""
    with ExitStack() as stack:

        def place(kind: str, name: str) -> str:
            if kind == "duckdb":
                return str(tmp_path / name)
            return str(stack.enter_context(request.getfixturevalue("cluster").database()))

        first, second = request.param.split(" to ")
        yield place(first, "from"), place(second, "to")


def opened(place: str) -> Store:
    if not place.startswith("postgresql:"):
        layout = Layout(Path(place))
        layout.create()
        return DuckDBStore(layout.catalog)
    from service.catalog.postgresql.server import Server
    from service.catalog.postgresql.store import PostgreSQLStore

    return PostgreSQLStore(Server(place))


def fill(store: Store, rows: int) -> None:
    """Rows in every table: of odd values, and of null wherever a column takes it."""
    optional = {
        (row["table_name"], row["column_name"])
        for row in stores.new().rows("SELECT table_name, column_name FROM duckdb_columns() WHERE is_nullable")
    }
    for table in transfer.tables():
        for number in range(rows):
            row = {c: VALUES[kind] for c, kind in zip(table.columns, table.types, strict=True)}
            row[table.columns[0]] = number if table.types[0] == "BIGINT" else f"{number}{ODD}"
            row |= {c: None for c in table.columns if number % 2 and (table.name, c) in optional}
            if table.name == "runs":
                row["sequence"] = number
            names = ", ".join(f"${c}::{k}" for c, k in zip(table.columns, table.types, strict=True)).replace(
                "::BLOB", ""
            )
            store.execute(f"INSERT INTO {table.name} VALUES ({names})", row)


def contents(place: str) -> dict[str, list[tuple[Any, ...]]]:
    store = opened(place)
    found = {t.name: sorted((tuple(r.values()) for r in store.rows(t.select)), key=repr) for t in transfer.tables()}
    found["properties"] = [row for row in found["properties"] if row[0] not in transfer.OWN_PROPERTIES]
    store.close()
    return found


@BOTH_WAYS
def test_every_value_of_every_table_is_copied(places: tuple[str, str]) -> None:
    source, target = places
    store = opened(source)
    fill(store, 3)
    store.close()
    before = contents(source)
    copied = catalog_copy.copy(source, target)
    assert contents(target) == before == contents(source)
    assert {one.table: one.rows for one in copied} == {name: len(rows) for name, rows in before.items()}
    assert min(one.rows for one in copied) == 3
    with pytest.raises(errors.Conflict, match="empty"):
        catalog_copy.copy(source, target)
    assert contents(target) == before


@BOTH_WAYS
def test_a_copy_that_fails_leaves_the_target_empty(places: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = places
    store = opened(source)
    fill(store, 2)
    store.close()

    def fails(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    counted = transfer._Tally.counted
    calls: list[object] = []

    def broken(tally: Any, batches: Any) -> Any:
        calls.append(tally)
        return fails() if len(calls) == 20 else counted(tally, batches)

    monkeypatch.setattr(transfer._Tally, "counted", broken)
    with pytest.raises(KeyboardInterrupt):
        catalog_copy.copy(source, target)
    monkeypatch.undo()
    assert contents(target) == {t.name: [] for t in transfer.tables()}
    catalog_copy.copy(source, target)
    assert contents(target) == contents(source)


@contextmanager
def in_use(place: str) -> Iterator[None]:
    """Another process has the place open."""
    code = (
        "import sys\nfrom tests.unit.catalog.test_catalog_copy import opened\n"
        "store = opened(sys.argv[1])\nprint('open', flush=True)\nsys.stdin.read()\nstore.close()"
    )
    command = [sys.executable, "-c", code, place]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield
        assert process.stdin is not None
        process.stdin.close()


@BOTH_WAYS
def test_places_that_are_in_use_or_have_no_catalog_are_refused(places: tuple[str, str]) -> None:
    source, target = places
    with pytest.raises(errors.Missing, match="no catalog"):
        catalog_copy.copy(source, target)
    opened(source).close()
    for place in places:
        with in_use(place), pytest.raises(errors.Conflict, match="in use") as raised:
            catalog_copy.copy(source, target)
        assert raised.value.error_code == "DATA_DIR_IN_USE"
    catalog_copy.copy(source, target)


@BOTH_WAYS
def test_an_older_catalog_is_refused(places: tuple[str, str]) -> None:
    source, target = places
    store = opened(source)
    store.set_property("schema_version", "3")
    store.close()
    with pytest.raises(errors.Conflict, match="schema version 3"):
        catalog_copy.copy(source, target)


@BOTH_WAYS
def test_a_copy_that_is_not_what_was_read_is_noticed(places: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = places
    store = opened(source)
    store.set_property("a", "b")
    store.close()
    commit = transfer.digests

    def changed(rows: Any) -> Any:
        return commit(rows) | {"runs": transfer.Digest(1, "0")}

    monkeypatch.setattr(transfer, "digests", changed)
    with pytest.raises(errors.PenstockError, match=r"not what was read \(runs\)"):
        catalog_copy.copy(source, target)


@pytest.mark.parametrize("places", ["duckdb to duckdb"], indirect=True)
def test_a_file_that_is_copied_stays_byte_for_byte_also_after_a_kill(places: tuple[str, str]) -> None:
    """Its write-ahead log is read, and not written into it."""
    source, target = places
    code = (
        "import os, sys\nfrom tests.unit.catalog.test_catalog_copy import fill, opened\n"
        "fill(opened(sys.argv[1]), 1)\nos._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, source], cwd=ROOT, check=True)
    files = [path for path in Path(source).iterdir() if path.is_file()]
    assert sorted(path.suffix for path in files) == [".duckdb", ".wal"]
    before = [path.read_bytes() for path in files]
    assert min(one.rows for one in catalog_copy.copy(source, target)) == 1
    assert [path.read_bytes() for path in files] == before
