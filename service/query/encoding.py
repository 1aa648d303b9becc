"""Encoding: the rows of one SELECT as bytes, a batch at a time, in bounded memory.

``con.sql(q).to_arrow_reader()`` streams where ``con.execute(q)`` would hold everything; a batch goes through
Polars' writers (JSON, CSV) or Arrow's (IPC, Parquet) and is forgotten. A JSON array is NDJSON with its line
ends turned into commas: no row is ever a Python object. Whoever reads stops when it has enough; LIMIT in the
SQL of an export would buffer.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import msgspec
import polars as pl
import pyarrow.ipc as ipc
from duckdb.sqltypes import DuckDBPyType
from pyarrow import lib, parquet

from service.query import forms

_BATCH_ROWS = 32_768
_CSV_CUT = "\r\n"
# pyarrow ships no types.
_ParquetWriter: Any = parquet.ParquetWriter
_stream_writer: Any = ipc.new_stream


@dataclass(frozen=True)
class Rows:
    """A SELECT that was bound: its SQL, parameters, and the names and types of its columns."""

    connection: duckdb.DuckDBPyConnection
    sql: str
    names: list[str]
    types: list[DuckDBPyType]
    parameters: Any = None

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, sql: str, parameters: Any = None) -> Rows:
        names, types = forms.described(connection, sql, parameters)
        return cls(connection, sql, names, types, parameters)

    @property
    def columns(self) -> list[dict[str, str]]:
        return [{"name": n, "type": str(t)} for n, t in zip(forms.unique(self.names), self.types, strict=True)]

    def reader(self, form: Callable[[str, DuckDBPyType], str | None], limit: int | None) -> tuple[lib.Schema, Batches]:
        """The Arrow schema and batches of the rows in that form; ``limit`` rows where it is not None."""
        sql = forms.select(self.sql, self.names, self.types, form)
        reader = self.connection.sql(sql, params=self.parameters).to_arrow_reader(_BATCH_ROWS)
        return reader.schema, _cut(reader, limit)


Batches = Iterator[lib.RecordBatch]


def _cut(reader: lib.RecordBatchReader, limit: int | None) -> Batches:
    left = limit
    for batch in reader:
        if left is not None and batch.num_rows >= left:
            yield batch.slice(0, left)
            return
        if left is not None:
            left -= batch.num_rows
        yield batch


def _frame(batch: lib.RecordBatch, big: list[str]) -> pl.DataFrame:
    frame = pl.DataFrame(pl.from_arrow(batch))
    # HUGEINT comes as decimal(38,0); as an integer it is written as one. Every integer sum is a HUGEINT.
    return frame.with_columns(pl.col(big).cast(pl.Int128)) if big else frame


def _big(rows: Rows) -> list[str]:
    names = forms.unique(rows.names)
    return [n for n, t in zip(names, rows.types, strict=True) if forms.kind(t) == "hugeint"]


def lines(rows: Rows, limit: int | None = None) -> Iterator[tuple[int, bytes]]:
    """NDJSON of each batch, with the number of rows in it."""
    big = _big(rows)
    _, batches = rows.reader(forms.json_form, limit)
    for batch in batches:
        if batch.num_rows:
            yield batch.num_rows, _frame(batch, big).write_ndjson().encode()


def rehearse(connection: duckdb.DuckDBPyConnection) -> None:
    """Walk the way of a small answer once, so that a waiting worker has its threads and tables made."""
    connection.execute("SELECT json_serialize_sql('SELECT 1')").fetchall()
    for _ in lines(Rows.of(connection, "SELECT 1 AS a, 'b' AS b")):
        pass


@dataclass
class Records:
    """The inside of a JSON array of records, cut to ``limit`` rows and about ``max_bytes`` bytes."""

    data: list[bytes]
    count: int
    truncated: bool

    @classmethod
    def read(cls, rows: Rows, limit: int | None, max_bytes: int) -> Records:
        """``truncated`` says that rows were left out; ``rows`` must have one more than ``limit`` for that."""
        found, size = cls([], 0, False), 0
        for count, text in lines(rows, None if limit is None else limit + 1):
            excess = 0 if limit is None else found.count + count - limit
            if excess > 0:
                text, count = _head(text, count - excess), count - excess
                found.truncated = True
            if size + len(text) > max_bytes:
                cut = text.rfind(b"\n", 0, max_bytes - size) + 1
                text, count = text[:cut], text.count(b"\n", 0, cut)
                found.truncated = True
            if count:
                found.data.append((b"," if found.data else b"") + text[:-1].replace(b"\n", b","))
                found.count, size = found.count + count, size + len(text)
            if found.truncated:
                break
        return found


def _head(text: bytes, count: int) -> bytes:
    """The first ``count`` lines; a line end inside a value is written as an escape, never as itself."""
    end = 0
    for _ in range(count):
        end = text.index(b"\n", end) + 1
    return text[:end]


def document(before: dict[str, Any], records: Records, after: dict[str, Any]) -> list[bytes]:
    """``{**before, "data": […], **after}`` as chunks; the records are not copied."""
    head = msgspec.json.encode(before)[:-1] + (b"," if before else b"") + b'"data":['
    return [head, *records.data, b"]" + (b"," + msgspec.json.encode(after)[1:-1] if after else b"") + b"}"]


def stream(rows: Rows, format_: str, limit: int | None = None, *, escape_formulas: bool = True) -> Iterator[bytes]:
    """``ndjson``, ``csv``, ``arrow`` or ``parquet`` of all rows, or the first ``limit``."""
    if format_ == "ndjson":
        return (text for _, text in lines(rows, limit))
    if format_ == "csv":
        return _csv(rows, limit, escape_formulas)
    return _arrow(rows, limit) if format_ == "arrow" else _parquet(rows, limit)


def _csv(rows: Rows, limit: int | None, escape_formulas: bool) -> Iterator[bytes]:
    def form(expression: str, type_: DuckDBPyType) -> str | None:
        return forms.csv_form(expression, type_, escape_formulas=escape_formulas)

    names = forms.unique(rows.names)
    if escape_formulas:
        names = [forms.escaped(n) for n in names]
    yield pl.DataFrame({n: pl.Series([], dtype=pl.String) for n in names}).write_csv(line_terminator=_CSV_CUT).encode()
    _, batches = rows.reader(form, limit)
    for batch in batches:
        if batch.num_rows:
            yield _frame(batch, []).write_csv(include_header=False, line_terminator=_CSV_CUT).encode()


class _Sink(io.RawIOBase):
    """A file that keeps what was written until it is taken; it cannot seek."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


def _arrow(rows: Rows, limit: int | None) -> Iterator[bytes]:
    schema, batches = rows.reader(forms.binary_form, limit)
    sink = _Sink()
    with _stream_writer(sink, schema) as writer:
        yield sink.take()
        for batch in batches:
            writer.write_batch(batch)
            yield sink.take()
    yield sink.take()


def _parquet(rows: Rows, limit: int | None) -> Iterator[bytes]:
    schema, batches = rows.reader(forms.binary_form, limit)
    sink = _Sink()
    with _ParquetWriter(sink, schema, compression="zstd", compression_level=1) as writer:
        for group in _groups(batches):
            writer.write_table(lib.Table.from_batches(group, schema))
            if part := sink.take():
                yield part
    yield sink.take()


def _groups(batches: Batches, rows: int = 122_880, size: int = 32 << 20) -> Iterator[list[lib.RecordBatch]]:
    """Batches gathered into row groups of about ``rows`` rows, fewer where they are wide."""
    group: list[lib.RecordBatch] = []
    for batch in batches:
        group.append(batch)
        if sum(b.num_rows for b in group) >= rows or sum(b.nbytes for b in group) >= size:
            yield group
            group = []
    if group:
        yield group
