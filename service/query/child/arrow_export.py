"""Exports of stored rows as an Arrow stream by Arrow's own reader of Parquet, which decodes columns on all cores.

The columns have the types that DuckDB gives them, and their values are the same in the file and from DuckDB; a version
with any other column is left to DuckDB. Batches go into the pipe from where they were decoded, without a copy between.
They are small, as DuckDB's are: a text that occurs often is short in the file and long in memory.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.ipc as ipc
from pyarrow import lib, parquet

from service.query.child import encode
from service.query.child.exports import BESIDE

_BATCH_ROWS, _LEAST_ROWS = 16_384, 1_024
_BATCH_BYTES = 16 << 20
_VALUE_BYTES = 16
"""What a value takes in memory beside its bytes in the file."""
# pyarrow ships no types.
_arrow: Any = lib
_open: Any = parquet.ParquetFile
_stream_writer: Any = ipc.new_stream
_NUMBERS = ("bool_", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_PLAIN = [getattr(_arrow, name)() for name in (*_NUMBERS, "date32", "string", "binary")]
_MOMENTS = [_arrow.timestamp("us"), _arrow.timestamp("ns"), _arrow.timestamp("us", "UTC")]
_TYPES = {
    **{type_: type_ for type_ in (*_PLAIN, *_MOMENTS)},
    _arrow.large_string(): _arrow.string(),
    _arrow.large_binary(): _arrow.binary(),
}
"""The types that a file may have, and those that the stream has for them."""


@dataclass(frozen=True)
class ArrowExport:
    """The rows from ``offset`` on, at most ``limit``, of consecutive files with the columns of ``schema``."""

    parts: Sequence[Path]
    schema: lib.Schema
    offset: int
    limit: int | None

    def write(self, out: BinaryIO) -> None:
        """Write the stream to an unbuffered file. Raises ``OSError``, Arrow's errors."""
        with _stream_writer(encode.Unseekable(functools.partial(_write, out)), self.schema) as writer:
            for batch in _ahead(self._batches()):
                writer.write_batch(batch.cast(self.schema))

    def _batches(self) -> Iterator[Any]:
        skip, left = self.offset, self.limit
        for part in self.parts:
            with _open(part) as file:
                groups: list[int] = []
                for number in range(file.num_row_groups):
                    rows = file.metadata.row_group(number).num_rows
                    if skip >= rows and not groups:
                        skip -= rows
                    else:
                        groups.append(number)
                for batch in self._decoded(file, groups):
                    found = batch.slice(skip, left)
                    skip = max(skip - batch.num_rows, 0)
                    if found.num_rows:
                        yield found
                    if left is not None:
                        left -= found.num_rows
                        if not left:
                            return

    def _decoded(self, file: Any, groups: list[int]) -> Iterator[Any]:
        """The batches of the row groups, each of about the same size in memory."""
        for number in groups:
            group = file.metadata.row_group(number)
            row = group.total_byte_size // max(group.num_rows, 1) + group.num_columns * _VALUE_BYTES
            rows = min(max(_BATCH_BYTES // row, _LEAST_ROWS), _BATCH_ROWS)
            yield from file.iter_batches(rows, row_groups=[number], columns=self.schema.names)


def prepared(
    parts: Sequence[Path], columns: Sequence[str], *, offset: int, limit: int | None, memory_bytes: int
) -> ArrowExport | None:
    """The export of the rows from ``offset`` on; None where DuckDB must write them. Raises ``OSError``."""
    if limit == 0:
        return None
    try:
        schemas = [_schema(part, columns, memory_bytes - BESIDE) for part in parts]
    except (lib.ArrowException, KeyError):  # a type that Arrow does not know
        return None
    schema = schemas[0]
    if schema is None or any(other != schema for other in schemas):
        return None
    return ArrowExport(parts, schema, offset, limit)


def _schema(part: Path, columns: Sequence[str], budget: int) -> lib.Schema | None:
    """The columns as DuckDB has them in Arrow. Raises ``KeyError``.

    None if one has values that are not the same, or if a row group, of which Arrow reads a column at once, does not fit
    into ``budget``.
    """
    with _open(part) as file:
        stored, metadata = file.schema_arrow, file.metadata
    types = {name: stored.field(name).type for name in columns}
    if any(metadata.row_group(number).total_byte_size > budget for number in range(metadata.num_row_groups)):
        return None
    if not all(type_ in _TYPES or isinstance(type_, _arrow.Decimal128Type) for type_ in types.values()):
        return None
    return _arrow.schema([_arrow.field(name, _TYPES.get(type_, type_)) for name, type_ in types.items()])


def _ahead(batches: Iterator[Any]) -> Iterator[Any]:
    """The same batches, each decoded while the one before is written."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        following = thread.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = thread.submit(next, batches, None)
            yield batch


def _write(out: BinaryIO, data: memoryview) -> None:
    """Write all of it; an unbuffered file takes what it has room for."""
    while data:
        data = data[out.write(data) :]
