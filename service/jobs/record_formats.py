"""Record formats: records as clients send them, decoded into a table, and rows made of them, encoded."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow.ipc as ipc

from service.jobs.application import MOST_RECORDS, ApplyRequest
from service.kit import errors
from service.query.child import inline, plain_json
from service.values import from_arrow, from_json

_stream_writer: Any = ipc.new_stream  # pyarrow ships no types
_decode = msgspec.json.Decoder().decode
_FAILED = (msgspec.MsgspecError, ValueError, RecursionError)


def decode(request: ApplyRequest, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The records of a request as rows of ``schema``. Raises ``errors.Invalid``."""
    if request.given == "arrow":
        return from_arrow.table(request.records, schema, MOST_RECORDS)
    records = _lines(request.records) if request.given == "ndjson" else _array(request.records)
    if len(records) > MOST_RECORDS:
        message = f"records: {len(records)} are more than {MOST_RECORDS} at once; send them in parts"
        raise errors.Invalid(message, field="records")
    return from_json.table(records, schema)


def _array(text: bytes) -> list[Any]:
    try:
        records = _decode(text)
    except _FAILED as error:
        raise errors.Invalid(f"the records are not JSON: {error}", code="INVALID_JSON", field="records") from error
    if not isinstance(records, list):
        raise errors.Invalid("records: expected a list of objects", field="records")
    return records


def _lines(text: bytes) -> list[Any]:
    """One record a line; empty lines are left out."""
    records: list[Any] = []
    for number, line in enumerate(text.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            records.append(_decode(line))
        except _FAILED as error:
            raise errors.Invalid(
                f"line {number} is not JSON: {error}", code="INVALID_JSON", field=f"records[{len(records)}]"
            ) from error
        if len(records) > MOST_RECORDS:
            break
    return records


class Encoder:
    """Encodes rows with columns of one schema, again and again.

    What DuckDB must write goes through a file in ``folder``, which is removed then.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._renderer: inline.Renderer | None = None

    def json(self, rows: pl.DataFrame, before: dict[str, Any], after: dict[str, Any]) -> bytes:
        """``{**before, "columns", "data", **after}``; types and values are as in ``GET …/data``."""
        columns = plain_json.columns(rows.schema)
        text = plain_json.lines(rows) if columns is not None else None
        if text is None:
            return self._rendering().document(rows, before, after)
        return b"".join(
            (
                msgspec.json.encode({**before, "columns": columns})[:-1],
                b',"data":[',
                text[:-1].replace(b"\n", b","),
                b"],",
                msgspec.json.encode(after)[1:],
            )
        )

    def ndjson(self, rows: pl.DataFrame) -> bytes:
        """The rows, one a line; values are as in ``json``."""
        text = plain_json.lines(rows) if plain_json.columns(rows.schema) is not None else None
        return text if text is not None else self._rendering().lines(rows)

    @staticmethod
    def arrow(rows: pl.DataFrame) -> bytes:
        """The rows as an Arrow IPC stream; whole numbers of 128 bits, which Arrow lacks, are as in ``GET …/data``."""
        wide: dict[type[pl.DataType], pl.DataType] = {pl.Int128: pl.Decimal(38, 0), pl.UInt128: pl.String()}
        cast = [pl.col(n).cast(wide[t.base_type()]) for n, t in rows.schema.items() if t.base_type() in wide]
        table = rows.with_columns(cast).to_arrow(compat_level=pl.CompatLevel.oldest())
        sink = io.BytesIO()
        with _stream_writer(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue()

    def _rendering(self) -> inline.Renderer:
        if self._renderer is None:
            self._renderer = inline.Renderer(self._folder)
        return self._renderer


def check_index(name: str, schema: Mapping[str, pl.DataType]) -> None:
    """Raise ``errors.Invalid`` if rows with these columns cannot have another one of that name."""
    taken = next((column for column in schema if column.casefold() == name.casefold()), None)
    if taken is not None:
        raise errors.Invalid(f"index: the rows have a column '{taken}'; take another name", field="index")
