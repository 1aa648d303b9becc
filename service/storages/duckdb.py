"""The DuckDB storage: a native table beside the Parquet of its version, for point queries, paging and top-N.

It is loaded under a temporary name and renamed when it is complete; until then readers use Parquet.
Any DuckDB may open it read-only while the service runs.
"""

from __future__ import annotations

import fcntl
import functools
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from service.files import layout
from service.kit import errors, ids, lazy
from service.kit.errors import Problem
from service.steps.context import Context
from service.steps.storage import Dataset, Earlier, UpdatedPart, Written
from service.storages import parquet
from service.storages.versioned_storage import Columns, VersionedStorage

if TYPE_CHECKING:
    import duckdb
    import polars as pl
else:
    duckdb = lazy.module("duckdb")
    pl = lazy.module("polars")

_UNCERTAIN_TYPES = ("128", "Float16", "Null")
"""Parts of the names of Polars types that DuckDB may not read from Parquet: it is tried before the commit."""
_PLACE = '"\x1fplace"'
_ROW_NUMBER = "rowid"
"""DuckDB's name of the place of a row, unless a column has it."""
_FILE = "native"
"""The name of the file of a small load in the shared database."""
_ROW_GROUP = 122_880  # rows; DuckDB gives each thread at least one row group
_LOAD_MEMORY = 256 * 1024 * 1024
_LOAD_MEMORY_PER_COLUMN = 20 * 1024 * 1024
_TABLE = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}\Z", description="The table's name in SQL.")]


class DuckDBStorage(VersionedStorage, frozen=True, kw_only=True, tag="duckdb"):
    """A native DuckDB file with one table. Its rows keep the stored order."""

    deferred: ClassVar[bool] = True
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "duckdb", "table": "orders", "primary_key": "order_id", "indexes": [["city"]],
    }  # fmt: skip

    table: _TABLE | None = None
    primary_key: Annotated[
        str | Columns | None, msgspec.Meta(description="Columns that name a row: unique and never null.")
    ] = None
    indexes: Annotated[list[Columns], msgspec.Meta(description="Lists of columns to index.")] = []
    keep_native: Annotated[
        int, msgspec.Meta(ge=0, description="How many of the newest versions keep their native file.")
    ] = 1

    def primary(self, dataset: Dataset) -> list[str]:
        """The columns of the primary key, by default the pipeline's ``key``; empty without a key."""
        own = [self.primary_key] if isinstance(self.primary_key, str) else list(self.primary_key or ())
        return own or dataset.key

    def problems(self) -> Iterable[Problem]:
        if self.table is not None and self.table.lower().endswith("__quarantine"):
            yield Problem("table", "names that end in __quarantine are kept for rejected rows")

    def check(self, dataset: Dataset, ctx: Context) -> None:
        schema = pl.read_parquet_schema(dataset.parts[0])
        names = {name.lower() for name in schema}
        key = self.primary(dataset)
        wanted = [("primary_key", c) for c in key]
        wanted += [(f"indexes[{i}]", c) for i, columns in enumerate(self.indexes) for c in columns]
        for field, column in wanted:
            if column.lower() not in names:
                hint = errors.did_you_mean(column, schema)
                raise errors.Permanent(f"no column '{column}' to index{hint}", step=ctx.step, field=field)
        uncertain = any(word in str(dtype) for dtype in schema.values() for word in _UNCERTAIN_TYPES)
        unknown = bool(key) and not (dataset.unique and key == dataset.key)
        if not (unknown or uncertain):
            return  # a connection costs a small run more than its rows
        with _shared() as connection:
            source = _source(dataset.parts)
            connection.execute(f"DESCRIBE SELECT * FROM {source}")  # noqa: S608
            if unknown:
                _check_key(connection, source, key, ctx)

    def load(self, dataset: Dataset, folder: Path, ctx: Context) -> Written:
        table = self.table or dataset.pipeline.replace("-", "_")
        target = folder / f"{table}.duckdb"
        temporary = folder / f".tmp-{ids.new('native')}.duckdb"
        try:
            if not self._change(temporary, dataset, table, ctx):
                self._build(temporary, dataset, table, ctx)
            layout.flush(temporary)
            temporary.chmod(0o400)
            temporary.replace(target)
            layout.flush(folder)
        finally:
            _remove(temporary)
        return Written(type="duckdb", files=[parquet.describe(target, dataset.rows)], rows=dataset.rows)

    def _change(self, path: Path, dataset: Dataset, table: str, ctx: Context) -> bool:
        """Make the file from that of the version before; whether that was possible."""
        earlier = dataset.earlier
        if earlier is None:
            return False
        if earlier.updated and (self.indexes or not _rows_keep_places(pl.read_parquet_schema(dataset.parts[0]))):
            return False
        return _changed(path, earlier, dataset, table, self.primary(dataset), ctx)

    def _build(self, path: Path, dataset: Dataset, table: str, ctx: Context) -> None:
        """Make the file with the table and its indexes."""
        if dataset.rows <= _ROW_GROUP:
            try:
                with _shared(path) as connection:
                    connection.execute(_create(dataset, table))
                    self._complete(connection, dataset, table, ctx)
                return
            except duckdb.OutOfMemoryException:  # the shared database has no place for what does not fit into memory
                _remove(path)
        with _connect(path, ctx) as connection:
            _copy(connection, dataset, table, ctx)
            self._complete(connection, dataset, table, ctx)

    def _complete(self, connection: duckdb.DuckDBPyConnection, dataset: Dataset, table: str, ctx: Context) -> None:
        """Add the indexes to the table, and check it."""
        if key := self.primary(dataset):
            columns = ", ".join(map(_quoted, key))
            connection.execute(f"ALTER TABLE {_quoted(table)} ADD PRIMARY KEY ({columns})")
        for number, index in enumerate(self.indexes):
            columns = ", ".join(map(_quoted, index))
            connection.execute(f"CREATE INDEX {_quoted(f'{table}_{number}')} ON {_quoted(table)} ({columns})")
        _check_count(connection, dataset, table, ctx)


def _changed(path: Path, earlier: Earlier, dataset: Dataset, table: str, key: Sequence[str], ctx: Context) -> bool:
    """Make the file from that of the version before; whether that worked."""
    try:
        _begin_with(earlier, path)
        with _connect(path, ctx) as connection:
            for part in earlier.updated:
                _update(connection, table, part, key)
            if earlier.added:
                connection.execute(f"INSERT INTO {_quoted(table)} BY NAME FROM {_source(earlier.added)}")
            if earlier.updated:
                _check_places(connection, table, ctx)
            _check_count(connection, dataset, table, ctx)
    except (duckdb.Error, OSError, errors.Permanent) as error:
        ctx.log.warning("native.not_extended", step=ctx.step, message=str(error))
        _remove(path)
        return False
    rows = sum(part.rows for part in earlier.updated)
    ctx.log.info("native.changed", step=ctx.step, updated=rows, added_parts=len(earlier.added))
    return True


def _begin_with(earlier: Earlier, path: Path) -> None:
    """Put the table of the version before at ``path``: its file itself if nobody else has it, else a copy."""
    source = Path(earlier.path)
    if not earlier.taken:
        shutil.copyfile(source, path)
        return
    try:
        if _is_alone(source):
            source.replace(path)
        else:
            shutil.copyfile(source, path)
    finally:
        source.unlink(missing_ok=True)


def _is_alone(path: Path) -> bool:
    """Whether no other name (a backup that is being made, a restored version) and no reader has the file.

    Every DuckDB that reads a file holds a lock on it. Makes the file writable.
    """
    if path.stat().st_nlink > 1:
        return False
    path.chmod(0o600)
    with path.open("rb+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _rows_keep_places(schema: Mapping[str, pl.DataType]) -> bool:
    """Whether an update leaves rows where they are and can name their places: without nested columns and ``rowid``."""
    return not any(dtype.is_nested() or name.lower() == _ROW_NUMBER for name, dtype in schema.items())


def _update(connection: duckdb.DuckDBPyConnection, table: str, part: UpdatedPart, key: Sequence[str]) -> None:
    """Write the rows of a part into their places.

    The key has an index, and DuckDB would move a row if its value were set. A merge leaves it: the count shows that.
    """
    keys = {column.lower() for column in key}
    columns = [name for name in pl.read_parquet_schema(part.path) if name.lower() not in keys]
    if not columns:
        return
    numbered = f"SELECT *, file_row_number + {part.first} AS {_PLACE} FROM {_source([part.path], numbered=True)}"  # noqa: S608
    values = ", ".join(f"{_quoted(c)} = p.{_quoted(c)}" for c in columns)
    same = "".join(f" AND t.{_quoted(c)} IS NOT DISTINCT FROM p.{_quoted(c)}" for c in key)
    sql = f"UPDATE {_quoted(table)} AS t SET {values} FROM ({numbered}) AS p WHERE t.{_ROW_NUMBER} = p.{_PLACE}{same}"  # noqa: S608
    updated = connection.execute(sql).fetchone()
    if updated != (part.rows,):
        raise errors.Permanent(f"{updated} rows of {part.rows} have the keys of the version before")


def _check_places(connection: duckdb.DuckDBPyConnection, table: str, ctx: Context) -> None:
    """Raise ``errors.Permanent`` if an update moved rows to the end, as one of nested or indexed columns does."""
    sql = f"SELECT count(*) = max({_ROW_NUMBER}) + 1 FROM {_quoted(table)}"  # noqa: S608
    if connection.execute(sql).fetchone() != (True,):
        raise errors.Permanent("updated rows are not in their places", step=ctx.step)


def _check_count(connection: duckdb.DuckDBPyConnection, dataset: Dataset, table: str, ctx: Context) -> None:
    """Write the file to its end. Raises ``errors.Permanent`` if the table has other rows than the dataset."""
    counted = connection.execute(f"SELECT count(*) FROM {_quoted(table)}").fetchone()  # noqa: S608
    if counted is None or counted[0] != dataset.rows:
        raise errors.Permanent(f"the native table has {counted} rows, not {dataset.rows}", step=ctx.step)
    connection.execute("CHECKPOINT")


def _remove(path: Path) -> None:
    """Remove a file and what DuckDB wrote beside it."""
    for left in path.parent.iterdir():
        if left.name.startswith(path.name):
            left.unlink()


_CONFIG: dict[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}


def _connect(path: Path, ctx: Context) -> duckdb.DuckDBPyConnection:
    """A connection to a database of its own, with the memory of the run and a place for what does not fit into it."""
    connection = duckdb.connect(str(path), config={**_CONFIG, "temp_directory": str(ctx.folder / ".spill")})
    _limit(connection, ctx)
    return connection


@functools.cache
def _memory() -> duckdb.DuckDBPyConnection:
    """The database in memory that the small loads of a process share: to open one costs more than a load.

    It has no threads, which a small load never uses, the memory that any run can spare, and no place on the disk. A
    commit writes to the file itself, and not first to a log beside it.
    """
    config = {**_CONFIG, "temp_directory": "", "threads": 1, "async_threads": 0, "checkpoint_threshold": "1KB"}
    return duckdb.connect(":memory:", config={**config, "memory_limit": f"{_LOAD_MEMORY // 1024} KiB"})


@contextmanager
def _shared(path: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """The shared connection; statements are about the file ``path``, if there is one.

    Nothing stays in it: the file is detached, and after an error the database is given up.
    """
    connection = _memory()
    try:
        if path is not None:
            connection.execute(f"ATTACH {_text(path)} AS {_FILE}")
            connection.execute(f"USE {_FILE}")
        yield connection
        if path is not None:
            connection.execute("USE memory")
            connection.execute(f"DETACH {_FILE}")
    except BaseException:
        _memory.cache_clear()
        connection.close()
        raise


def _limit(connection: duckdb.DuckDBPyConnection, ctx: Context) -> None:
    if ctx.memory_bytes:
        connection.execute(f"SET memory_limit = '{ctx.memory_bytes // 2 // 1024} KiB'")
    else:
        connection.execute("RESET memory_limit")


def _copy(connection: duckdb.DuckDBPyConnection, dataset: Dataset, table: str, ctx: Context) -> None:
    """Create the table from all rows of ``dataset``.

    DuckDB uses all the memory that it may, without being faster, so its limit is low. Only data that does not fit (very
    wide rows, very long texts) is loaded again with all the memory of the run.
    """
    width = len(pl.read_parquet_schema(dataset.parts[0]))
    low = max(_LOAD_MEMORY, width * _LOAD_MEMORY_PER_COLUMN)
    sql = _create(dataset, table)
    if ctx.memory_bytes and low >= ctx.memory_bytes // 2:
        connection.execute(sql)
        return
    connection.execute(f"SET memory_limit = '{low // 1024} KiB'")
    try:
        connection.execute(sql)
    except duckdb.OutOfMemoryException:
        _limit(connection, ctx)
        connection.execute(sql)
    _limit(connection, ctx)


def _create(dataset: Dataset, table: str) -> str:
    return f"CREATE TABLE {_quoted(table)} AS SELECT * FROM {_source(dataset.parts)}"  # noqa: S608


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(path: Path | str) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _source(parts: Sequence[Path | str], *, numbered: bool = False) -> str:
    files = ", ".join(map(_text, parts))
    return f"read_parquet([{files}], hive_partitioning = false, file_row_number = {numbered})"


def _check_key(connection: duckdb.DuckDBPyConnection, source: str, key: list[str], ctx: Context) -> None:
    columns = ", ".join(map(_quoted, key))
    missing = " OR ".join(f"{_quoted(c)} IS NULL" for c in key)
    nulls = connection.execute(f"SELECT count(*) FROM {source} WHERE {missing}").fetchone()  # noqa: S608
    if nulls is not None and nulls[0]:
        raise errors.Permanent(
            f"the primary key {', '.join(key)} is missing in {nulls[0]} rows; drop them (drop_na) or take another key",
            step=ctx.step, field="primary_key",
        )  # fmt: skip
    row = connection.execute(
        f"SELECT {columns}, count(*) FROM {source} GROUP BY {columns} HAVING count(*) > 1 LIMIT 1"  # noqa: S608
    ).fetchone()
    if row is not None:
        value = ", ".join(str(v) for v in row[:-1])
        raise errors.Permanent(
            f"the primary key {', '.join(key)} is not unique: {value} is in {row[-1]} rows; "
            "remove the duplicates (drop_duplicates) or choose another key",
            step=ctx.step, field="primary_key",
        )  # fmt: skip
