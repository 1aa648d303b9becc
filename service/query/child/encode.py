"""Encoders: the rows of one SELECT as bytes, one batch at a time, in bounded memory.

``con.sql(q).to_arrow_reader()`` streams, while ``con.execute(q)`` would hold all rows. Each batch is written by Polars
(JSON, CSV) or Arrow (IPC, Parquet) and then dropped. A JSON array is NDJSON with commas for line ends, so that no row
becomes a Python object. The reader stops after ``limit`` rows; a LIMIT in the SQL of an export would buffer.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
import msgspec
import polars as pl
import pyarrow.ipc as ipc
from duckdb.sqltypes import DuckDBPyType
from pyarrow import lib, parquet

from service.kit import errors
from service.query.child import arrow_types, type_forms

# What Polars encodes at once. DuckDB returns its smallest batches, so that few wide rows are in memory.
_VECTOR_ROWS = 2_048
_TEXT_ROWS, _TEXT_BYTES = 32_768, 4 << 20
_BATCH_ROWS = 8_192
_GROUP_ROWS, _GROUP_BYTES = 122_880, 32 << 20
_ROW_FACTOR = 4
"""How many times ``max_bytes`` a single row may have."""
_FEW_VALUES, _FEW_COLUMNS = 50_000, 500
_FEW_ROWS, _FEW_BYTES = 128, 8 << 20
CSV_CUT = "\r\n"
_encode_lines = msgspec.json.Encoder().encode_lines
# pyarrow ships no types.
_ParquetWriter: Any = parquet.ParquetWriter
_stream_writer: Any = ipc.new_stream


@dataclass(frozen=True)
class Rows:
    """A bound SELECT: its SQL, parameters, and the names and types of its columns.

    ``stored_types``: the Polars types that Arrow and Parquet give to columns whose stored values are selected.
    """

    connection: duckdb.DuckDBPyConnection
    sql: str
    names: list[str]
    types: list[DuckDBPyType]
    parameters: Any = None
    stored_types: Mapping[str, pl.DataType] = field(default_factory=dict)

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, sql: str, parameters: Any = None) -> Rows:
        names, types = type_forms.described(connection, sql, parameters)
        return cls(connection, sql, names, types, parameters)

    @property
    def columns(self) -> list[dict[str, str]]:
        return [{"name": n, "type": str(t)} for n, t in zip(type_forms.unique(self.names), self.types, strict=True)]

    def reader(
        self, form: Callable[[str, DuckDBPyType], str | None], limit: int | None, batch_rows: int = _BATCH_ROWS
    ) -> tuple[lib.Schema, Batches]:
        """The Arrow schema and batches of the rows, or of the first ``limit``, with the columns in ``form``."""
        sql = type_forms.select(self.sql, self.names, self.types, form) + (" LIMIT 0" if limit == 0 else "")
        reader = self.connection.sql(sql, params=self.parameters).to_arrow_reader(batch_rows)
        return reader.schema, _cut(reader, limit)


Batches = Iterator[lib.RecordBatch]
Chunks = Iterator[bytes | bytearray]


class Interrupted(Exception):
    """DuckDB failed while its rows were read. The text is DuckDB's, which Arrow passes on as an ``OSError``."""


def _cut(reader: lib.RecordBatchReader, limit: int | None) -> Batches:
    left = limit
    while (batch := _next(reader)) is not None:
        if left is not None and batch.num_rows >= left:
            yield batch.slice(0, left)
            return
        if left is not None:
            left -= batch.num_rows
        yield batch


def _next(reader: lib.RecordBatchReader) -> lib.RecordBatch | None:
    try:
        return reader.read_next_batch()
    except StopIteration:
        return None
    except (lib.ArrowException, OSError) as error:
        raise Interrupted(str(error)) from None


def _tables(schema: lib.Schema, batches: Batches, rows: int, size: int) -> Iterator[lib.Table]:
    """Tables of consecutive batches, without a copy, each of ``rows`` rows or ``size`` bytes or slightly more."""
    group: list[lib.RecordBatch] = []
    count = weight = 0
    for batch in batches:
        group.append(batch)
        count, weight = count + batch.num_rows, weight + batch.nbytes
        if count >= rows or weight >= size:
            yield lib.Table.from_batches(group, schema)
            group, count, weight = [], 0, 0
    if count:
        yield lib.Table.from_batches(group, schema)


def _frames(rows: Rows, form: Callable[[str, DuckDBPyType], str | None], limit: int | None) -> Iterator[pl.DataFrame]:
    schema, batches = rows.reader(form, limit, _VECTOR_ROWS)
    return (pl.DataFrame(pl.from_arrow(t)) for t in _tables(schema, batches, _TEXT_ROWS, _TEXT_BYTES))


def _big(rows: Rows) -> list[pl.Expr]:
    """The columns with HUGEINT and UHUGEINT as integers; they arrive as decimal(38,0), 128 bits.

    Every sum of integers is a HUGEINT.
    """
    found = []
    for name, type_ in zip(type_forms.unique(rows.names), rows.types, strict=True):
        kind, column = type_forms.kind(type_), pl.col(name).cast(pl.Int128)
        if kind == "hugeint":
            found.append(column)
        elif kind == "uhugeint":
            found.append(column.cast(pl.UInt128, wrap_numerical=True))
    return found


def lines(rows: Rows, limit: int | None = None) -> Iterator[tuple[int, bytes]]:
    """NDJSON of each batch, with the number of rows in it."""
    big = _big(rows)
    for frame in _frames(rows, type_forms.json_column, limit):
        text = io.BytesIO()
        frame.with_columns(big).write_ndjson(text)
        yield frame.height, text.getvalue()


@dataclass(frozen=True)
class Head:
    """What is known of plain rows before the first: their keys, the places of moments, and the columns as shown."""

    keys: list[str]
    moments: list[int]
    columns: list[dict[str, str]]

    @classmethod
    def of(cls, names: list[str], types: list[DuckDBPyType]) -> Head | None:
        """None if the columns are not all plain (``is_plain``)."""
        if not is_plain(types):
            return None
        keys = type_forms.unique(names)
        moments = [place for place, type_ in enumerate(types) if type_forms.is_moment(type_)]
        return cls(keys, moments, [{"name": n, "type": str(t)} for n, t in zip(keys, types, strict=True)])


@dataclass(frozen=True)
class Few:
    """Few rows as NDJSON, with what is known of them."""

    head: Head
    lines: Iterable[tuple[int, bytes]]


def are_few(rows: int, columns: int) -> bool:
    """Whether such a result is written faster as Python objects than by Polars, whose start takes longer."""
    return rows * columns <= _FEW_VALUES and columns <= _FEW_COLUMNS


def is_plain(types: Iterable[DuckDBPyType]) -> bool:
    """Whether each value is a Python object with the JSON text that ``lines`` would write."""
    return all(map(type_forms.is_plain, types))


def few(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Any = None, head: Head | None = None
) -> Few | None:
    """The rows of a SELECT that yields few, bound once; None where ``lines`` must write them.

    ``head`` is that of the same SELECT from an earlier time. Raises ``duckdb.Error``.
    """
    try:
        connection.execute(sql, parameters)
        if head is None:
            description = connection.description or []
            head = Head.of([str(c[0]) for c in description], [c[1] for c in description])
            if head is None:
                return None
        texts, size, count = [], 0, _FEW_ROWS
        while count == _FEW_ROWS and size < _FEW_BYTES:
            part = connection.fetchmany(_FEW_ROWS)
            count = len(part)
            text = plain_lines(head, part)
            texts.append((count, text))
            size += len(text)
    except (duckdb.OutOfMemoryException, MemoryError, OverflowError):  # a stream needs less, and can tell all
        return None
    return Few(head, texts) if size < _FEW_BYTES else None


def plain_lines(head: Head, rows: list[tuple[Any, ...]]) -> bytes:
    """NDJSON of plain rows. Raises ``OverflowError`` for a moment that Python may not hold."""
    return _encode_lines([dict(zip(head.keys, row)) for row in _told(rows, head.moments)])  # noqa: B905


def _told(rows: list[tuple[Any, ...]], moments: list[int]) -> Iterable[tuple[Any, ...]]:
    """The rows with the columns at the places ``moments`` as texts."""
    if not moments or not rows:
        return rows
    columns: list[Any] = list(zip(*rows, strict=True))
    for place in moments:
        columns[place] = list(map(type_forms.moment_text, columns[place]))
    return zip(*columns, strict=True)


def warm_up(connection: duckdb.DuckDBPyConnection) -> None:
    """Make a small answer once, so that a waiting worker has started its threads and loaded its tables."""
    connection.execute("SELECT json_serialize_sql('SELECT 1')").fetchall()
    rows = Rows.of(connection, "SELECT 1 AS a, 'b' AS b")
    for _ in lines(rows):
        few(connection, rows.sql)


@dataclass
class JsonRecords:
    """The items of a JSON array of records, cut to ``limit`` rows and about ``max_bytes`` bytes."""

    data: list[bytes]
    count: int
    truncated: bool

    @classmethod
    def read(cls, rows: Rows, limit: int | None, max_bytes: int) -> JsonRecords:
        """``truncated``: rows were left out; to know it, ``rows`` must have one more than ``limit``."""
        return cls.of(lines(rows, None if limit is None else limit + 1), limit, max_bytes)

    @classmethod
    def of(cls, texts: Iterable[tuple[int, bytes]], limit: int | None, max_bytes: int) -> JsonRecords:
        """As ``read``, of NDJSON with the number of rows in each text."""
        found, size = cls([], 0, False), 0
        for count, text in texts:
            excess = 0 if limit is None else found.count + count - limit
            if excess > 0:
                text, count = _head(text, count - excess), count - excess
                found.truncated = True
            if size + len(text) > max_bytes:
                cut = text.rfind(b"\n", 0, max_bytes - size) + 1
                if not cut and not found.count:  # a page has at least one row, or no client would get past it
                    cut = text.index(b"\n") + 1
                    _check_size(cut, max_bytes)
                text, count = text[:cut], text.count(b"\n", 0, cut)
                found.truncated = True
            if count:
                found.data.append((b"," if found.data else b"") + text[:-1].replace(b"\n", b","))
                found.count, size = found.count + count, size + len(text)
            if found.truncated:
                break
        return found


def _check_size(size: int, max_bytes: int) -> None:
    """Raise ``errors.Invalid`` (QUERY_TOO_LARGE) for a row that no answer may hold."""
    most = _ROW_FACTOR * max_bytes
    if size > most:
        raise errors.Invalid(
            f"one row has {size >> 20} MiB as JSON, more than the {most >> 20} MiB that an answer may have; "
            "select fewer columns, or take ndjson, csv, arrow or parquet",
            code="QUERY_TOO_LARGE",
        )


def _head(text: bytes, count: int) -> bytes:
    """The first ``count`` lines. Inside a value a line end is an escape sequence."""
    end = 0
    for _ in range(count):
        end = text.index(b"\n", end) + 1
    return text[:end]


def document(before: dict[str, Any], records: JsonRecords, after: dict[str, Any]) -> list[bytes]:
    """``{**before, "data": […], **after}`` as chunks; the records are not copied."""
    head = msgspec.json.encode(before)[:-1] + (b"," if before else b"") + b'"data":['
    return [head, *records.data, b"]" + (b"," + msgspec.json.encode(after)[1:-1] if after else b"") + b"}"]


def stream(rows: Rows, format_: str, limit: int | None = None, *, escape_formulas: bool = True) -> Chunks:
    """``ndjson``, ``csv``, ``arrow`` or ``parquet`` of all rows, or the first ``limit``."""
    if format_ == "ndjson":
        return (text for _, text in lines(rows, limit))
    if format_ == "csv":
        return _csv(rows, limit, escape_formulas)
    return _arrow(rows, limit) if format_ == "arrow" else _parquet(rows, limit)


def _csv(rows: Rows, limit: int | None, escape_formulas: bool) -> Iterator[bytes]:
    def form(expression: str, type_: DuckDBPyType) -> str | None:
        return type_forms.csv_form(expression, type_, escape_formulas=escape_formulas)

    head = csv_head(type_forms.unique(rows.names), escape_formulas=escape_formulas)
    return _with_header(head, map(_csv_text, _frames(rows, form, limit)))


def csv_head(names: list[str], *, escape_formulas: bool) -> bytes:
    """The header line of CSV."""
    if escape_formulas:
        names = [type_forms.escaped(n) for n in names]
    head = pl.DataFrame({n: pl.Series([], dtype=pl.String) for n in names})
    return head.write_csv(line_terminator=CSV_CUT).encode()


def _csv_text(frame: pl.DataFrame) -> bytes:
    text = io.BytesIO()
    frame.write_csv(text, include_header=False, line_terminator=CSV_CUT)
    return text.getvalue()


def _with_header(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """``head`` with the first chunk, so that no byte is sent before the first rows exist."""
    yield head + next(chunks, b"")
    yield from chunks


class Unseekable(io.RawIOBase):
    """A write-only file that cannot seek: ``put`` gets what is written, and it knows how many bytes that was."""

    def __init__(self, put: Callable[[memoryview], None]) -> None:
        super().__init__()
        self._put = put
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._put(view)
        self._at += view.nbytes
        return view.nbytes


class _Sink(Unseekable):
    """Keeps what was written until ``take``."""

    def __init__(self) -> None:
        super().__init__(self._keep)
        self._held = bytearray()

    def _keep(self, data: memoryview) -> None:
        self._held += data

    def take(self) -> bytearray:
        taken, self._held = self._held, bytearray()
        return taken


def _arrow(rows: Rows, limit: int | None) -> Chunks:
    schema, batches = rows.reader(type_forms.binary_form, limit)
    restore = arrow_types.Restorer(schema, rows.stored_types, rows.types)
    sink = _Sink()
    with _stream_writer(sink, restore.schema) as writer:
        for batch in batches:
            writer.write_table(restore.table(lib.Table.from_batches([batch], schema)))
            yield sink.take()
    yield sink.take()


def arrow_schema(rows: Rows, stored_types: Mapping[str, pl.DataType]) -> lib.Schema:
    """The schema that Arrow and Parquet answers of ``rows`` have."""
    schema, _ = rows.reader(type_forms.binary_form, 0)
    return arrow_types.Restorer(schema, stored_types, rows.types).schema


def _parquet(rows: Rows, limit: int | None) -> Chunks:
    schema, batches = rows.reader(type_forms.binary_form, limit)
    restore = arrow_types.Restorer(schema, rows.stored_types, rows.types)
    sink = _Sink()
    with _ParquetWriter(sink, restore.schema, compression="zstd", compression_level=1) as writer:
        for group in _tables(schema, batches, _GROUP_ROWS, _GROUP_BYTES):
            writer.write_table(restore.table(group))
            if part := sink.take():
                yield part
    yield sink.take()
