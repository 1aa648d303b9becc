"""The native table: loaded with little memory if that is enough, complete and in order in any case."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from structlog.testing import CapturingLogger

from service.files import checksums
from service.runs.native_changes import changes
from service.steps.context import Context
from service.steps.storage import Dataset, Earlier, File
from service.storages import duckdb as native

ROWS = 300_000
MIB = 1024 * 1024


def loaded(tmp_path: Path, frame: pl.DataFrame, memory: int = 0, **settings: Any) -> pl.DataFrame:
    """What the native table holds, after a run that may use ``memory`` bytes loaded ``frame``."""
    part = tmp_path / "part-0.parquet"
    frame.write_parquet(part)
    ctx = Context(step="storage[0]", folder=tmp_path, memory_bytes=memory)
    written = native.DuckDBStorage(**settings).load(Dataset("my-rows", 1, [part], frame.height), tmp_path, ctx)
    assert [f.name for f in written.files] == ["my_rows.duckdb"]
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".tmp")]
    with duckdb.connect(tmp_path / "my_rows.duckdb", read_only=True) as connection:
        return pl.DataFrame(connection.sql("FROM my_rows").to_arrow_table())


@pytest.mark.parametrize("memory", [0, 256 * MIB, 4096 * MIB])
def test_rows_keep_their_order(tmp_path: Path, memory: int) -> None:
    frame = pl.DataFrame({"number": range(ROWS)}).with_columns(text=pl.col("number").hash().cast(pl.String))
    assert loaded(tmp_path, frame, memory).equals(frame)


@pytest.mark.parametrize("memory", [0, 1024 * MIB])
def test_data_that_does_not_fit_is_loaded_with_more_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    monkeypatch.setattr(native, "_LOAD_MEMORY", MIB)
    monkeypatch.setattr(native, "_LOAD_MEMORY_PER_COLUMN", 0)
    frame = pl.DataFrame({"number": range(ROWS)}).with_columns(text=pl.col("number").hash().cast(pl.String))
    frame.write_parquet(tmp_path / "alone.parquet")
    with duckdb.connect(config={"memory_limit": "1 MiB"}) as connection, pytest.raises(duckdb.OutOfMemoryException):
        connection.execute(f"CREATE TABLE alone AS FROM '{tmp_path / 'alone.parquet'}'")
    assert loaded(tmp_path, frame, memory, primary_key="number", indexes=[["text"]]).equals(frame)


SMALL = pl.DataFrame({"number": range(1000)}).with_columns(text=pl.col("number").cast(pl.String))


def left_in_memory() -> list[Any]:
    """What the database that small loads share has of them."""
    sql = """
        SELECT database_name FROM duckdb_databases() WHERE NOT internal AND database_name <> 'memory'
        UNION ALL SELECT table_name FROM duckdb_tables()
        UNION ALL SELECT value FROM duckdb_settings() WHERE name = 'temp_directory' AND value <> ''
    """
    return native._memory().execute(sql).fetchall()


def test_small_loads_share_a_database_and_leave_nothing_in_it(tmp_path: Path) -> None:
    before = native._memory()
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert loaded(folder, SMALL.head(number * 400), primary_key="number", indexes=[["text"]]).height == number * 400
        assert left_in_memory() == []
        assert sorted(p.name for p in folder.iterdir()) == ["my_rows.duckdb", "part-0.parquet"]
    assert native._memory() is before


def test_a_small_load_that_fails_gives_the_shared_database_up(tmp_path: Path) -> None:
    before = native._memory()
    with pytest.raises(duckdb.ConstraintException):
        loaded(tmp_path, pl.concat([SMALL, SMALL]), primary_key="number")
    assert [p.name for p in tmp_path.iterdir()] == ["part-0.parquet"]
    assert native._memory() is not before
    assert loaded(tmp_path, SMALL, primary_key="number").equals(SMALL)


def test_rows_that_the_shared_database_cannot_hold_are_loaded_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native._memory.cache_clear()
    monkeypatch.setattr(native, "_LOAD_MEMORY", 2 * MIB)
    wide = SMALL.with_columns(text=pl.lit("x" * 10_000) + pl.col("text"))
    assert loaded(tmp_path, wide, 1024 * MIB, indexes=[["number"]]).equals(wide)
    native._memory.cache_clear()


def test_a_file_of_a_small_load_is_one_of_any_duckdb(tmp_path: Path) -> None:
    """Its size of a block and its version of the format are those of a database of its own."""
    loaded(tmp_path, SMALL)
    with duckdb.connect(tmp_path / "alone.duckdb") as connection:
        connection.execute("CREATE TABLE my_rows (number BIGINT)")
    described = []
    for name in ("my_rows", "alone"):
        with duckdb.connect(tmp_path / f"{name}.duckdb", read_only=True) as connection:
            size = connection.execute("SELECT block_size FROM pragma_database_size()").fetchall()
            tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchall()
            described.append((size, tags))
    assert described[0] == described[1]


def changed(
    tmp_path: Path, before: list[pl.DataFrame], after: list[pl.DataFrame], **settings: Any
) -> tuple[pl.DataFrame, list[str]]:
    """What the native table of ``after`` holds, made from that of ``before`` by its parts, and what the log says."""
    lists = []
    for version, frames in enumerate((before, after)):
        folder = tmp_path / f"v{version}"
        folder.mkdir()
        for number, frame in enumerate(frames):
            frame.write_parquet(folder / f"part-{number:02d}.parquet")
        paths = sorted(folder.iterdir())
        files = [
            File(p.name, p.stat().st_size, f.height, checksums.sha256(p)) for p, f in zip(paths, frames, strict=True)
        ]
        lists.append((folder, paths, files))
    log = CapturingLogger()
    ctx = Context(step="storage[0]", folder=tmp_path, memory_bytes=0, log=log)
    storage = native.DuckDBStorage(table="rows", **settings)
    (folder, paths, files), (new_folder, new_paths, new_files) = lists
    storage.load(Dataset("p", 1, paths, sum(f.rows for f in files)), folder, ctx)
    changed = changes(files, new_files, [str(p) for p in new_paths])
    earlier = Earlier(str(folder / "rows.duckdb"), *changed) if changed is not None else None
    dataset = Dataset("p", 2, new_paths, sum(f.rows for f in new_files), earlier=earlier)
    storage.load(dataset, new_folder, ctx)
    with duckdb.connect(new_folder / "rows.duckdb", read_only=True) as connection:
        found = pl.DataFrame(connection.sql("FROM rows").to_arrow_table())
    return found, [str(call.kwargs.get("message", call.args[0])) for call in log.calls]


READER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("used", ["by nobody", "under another name", "by a reader"])
def test_a_file_that_the_version_before_let_go_is_changed_in_its_place(tmp_path: Path, used: str) -> None:
    """Unless somebody else has it, who goes on to see the version before."""
    (tmp_path / "v1").mkdir()
    (tmp_path / "v2").mkdir()
    parts = [tmp_path / "v1" / "part-0.parquet", tmp_path / "v2" / "part-1.parquet"]
    before, after = numbers(0, 1000), numbers(1000, 5)
    before.write_parquet(parts[0])
    after.write_parquet(parts[1])
    ctx = Context(step="storage[0]", folder=tmp_path, memory_bytes=0)
    storage = native.DuckDBStorage(table="rows", primary_key="id")
    storage.load(Dataset("p", 1, parts[:1], 1000), parts[0].parent, ctx)
    taken = tmp_path / "v2" / ".tmp-taken.duckdb"
    (tmp_path / "v1" / "rows.duckdb").rename(taken)
    inode, other = taken.stat().st_ino, tmp_path / "other.duckdb"
    with ExitStack() as users:
        if used == "under another name":
            other.hardlink_to(taken)
        elif used == "by a reader":
            command = [sys.executable, "-c", READER, str(taken)]
            reader = users.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"\n"
        earlier = Earlier(str(taken), [], [str(parts[1])], taken=True)
        storage.load(Dataset("p", 2, parts, 1005, earlier=earlier), tmp_path / "v2", ctx)
    file = tmp_path / "v2" / "rows.duckdb"
    assert (file.stat().st_ino == inode) == (used == "by nobody")
    assert sorted(p.name for p in file.parent.iterdir()) == ["part-1.parquet", "rows.duckdb"]
    for path, wanted in [(file, pl.concat([before, after])), *([(other, before)] if other.exists() else [])]:
        with duckdb.connect(path, read_only=True) as connection:
            assert pl.DataFrame(connection.sql("FROM rows").to_arrow_table()).equals(wanted)


def numbers(first: int, count: int, add: int = 0) -> pl.DataFrame:
    number = pl.int_range(first, first + count, eager=True)
    return pl.DataFrame({"id": number, "v": number + add, "s": (number + add).cast(pl.String)})


@pytest.mark.parametrize(
    ("settings", "notes"),
    [({}, ["native.changed"]), ({"primary_key": "ID"}, ["native.changed"]), ({"indexes": [["v"]]}, [])],
)
def test_changed_parts_are_updated_in_their_places(tmp_path: Path, settings: dict[str, Any], notes: list[str]) -> None:
    """Unless an index has their values."""
    before = [numbers(place * 1000, 1000) for place in range(10)]
    after = [*before[:4], numbers(4000, 400, 7), numbers(4400, 600, 8), *before[5:], numbers(10_000, 5)]
    found, how = changed(tmp_path, before, after, **settings)
    assert found.equals(pl.concat(after))
    assert how == notes


@pytest.mark.parametrize(
    "column", [pl.Series("s", [["x"]]), pl.Series("file_row_number", [1]), pl.Series("RowID", [0])]
)
def test_a_table_whose_rows_would_move_is_built_again(tmp_path: Path, column: pl.Series) -> None:
    before = [
        numbers(place * 1000, 1000).with_columns(pl.lit(column).first().alias(column.name)) for place in range(10)
    ]
    after = [*before[:2], before[2].with_columns(v=-pl.col("v")), *before[3:]]
    found, how = changed(tmp_path, before, after)
    assert found.equals(pl.concat(after))
    assert "native.changed" not in how


def test_rows_that_moved_are_noticed(tmp_path: Path) -> None:
    """Whatever made DuckDB move them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "_rows_keep_places", lambda _: True)
        before = [numbers(place * 1000, 1000).with_columns(s=pl.concat_list("s")) for place in range(10)]
        after = [*before[:2], before[2].with_columns(s=pl.concat_list(pl.lit("x"))), *before[3:]]
        found, how = changed(tmp_path, before, after)
    assert found.equals(pl.concat(after))
    assert how == ["updated rows are not in their places"]


def test_keys_that_changed_their_places_are_noticed(tmp_path: Path) -> None:
    before = [numbers(place * 1000, 1000) for place in range(10)]
    after = [before[0].reverse(), *before[1:]]
    found, (note,) = changed(tmp_path, before, after, primary_key="id")
    assert found.equals(pl.concat(after))
    assert "rows of 1000 have the keys of the version before" in note


def test_what_changes_too_much_is_built_again(tmp_path: Path) -> None:
    """Rows that leave their places, many changed parts, and a part with old and new rows."""
    parts = [numbers(place * 1000, 1000) for place in range(10)]
    for number, after in enumerate(
        [
            parts[1:],
            [*[p.with_columns(v=-pl.col("v")) for p in parts[:3]], *parts[3:]],
            [*parts[:9], numbers(9000, 2000)],
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        found, how = changed(folder, parts, after, primary_key="id")
        assert found.equals(pl.concat(after))
        assert how == []
