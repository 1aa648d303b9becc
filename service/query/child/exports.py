"""Exports of stored rows as NDJSON and CSV by Polars' own sinks, which decode and write on all cores.

They write the texts that ``type_forms`` and ``encode`` have for the same rows, where Polars can: columns of other
types, moments outside of the years 1000 to 9999, and rows too large for the worker are left to DuckDB. The
statistics in the files tell the bounds of each column. Rows are written some row groups at a time, in their order, so
that memory is bounded; the first ones alone, so that the client need not wait for a whole row group.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import polars as pl
from pyarrow import lib, parquet

from service.query.child import type_forms
from service.query.child.encode import CSV_CUT, csv_head

_MOST_PARTS = 128  # a worker may open 256 files
BESIDE = 448 << 20
"""Bytes that a worker holds beside the rows."""
_LEAST = 64 << 20
_VALUE_BYTES = 32
"""What a value takes at most beside its own bytes: decoded, and its text with the column's name."""
_FIRST_ROWS = 4_096
_WHOLE_SECONDS = "%Y-%m-%dT%H:%M:%S"
_PER_SECOND = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DAYS = (-354_285, 2_932_896)  # 1000-01-01 and 9999-12-31
_PLAIN = (pl.Boolean, pl.String, pl.Float32, pl.Float64, pl.Decimal, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8,
          pl.UInt16, pl.UInt32, pl.UInt64)  # fmt: skip
_FORMULA = "^[" + type_forms.FORMULA.replace("-", "") + "-]"
_FORMULA_STARTS = [c.encode()[0] for c in type_forms.FORMULA]
# pyarrow ships no types.
_metadata: Any = parquet.read_metadata


class RowGroup(NamedTuple):
    """A row group: its rows and bytes, and the least and greatest value of each column as they are stored.

    A column without bounds is absent; one without values has None.
    """

    rows: int
    size: int
    bounds: dict[str, tuple[Any, Any] | None]


@dataclass(frozen=True)
class Export:
    """The rows of a version as they are written. ``spans`` are consecutive rows: their first, and how many."""

    rows: pl.LazyFrame
    form: str
    head: bytes
    spans: list[tuple[int, int]]

    def write(self, out: BinaryIO) -> None:
        """Write all spans to a file that has a descriptor. Raises ``OSError``, Polars' errors."""
        out.write(self.head)
        for start, count in self.spans:
            part = self.rows.slice(start, count)
            if self.form == "ndjson":
                part.sink_ndjson(out)
            else:
                part.sink_csv(out, include_header=False, line_terminator=CSV_CUT)


def prepared(
    parts: Sequence[Path], columns: Sequence[str] | None, form: str, *, offset: int, limit: int | None,
    escape_formulas: bool, memory_bytes: int,
) -> Export | None:  # fmt: skip
    """The export of the rows from ``offset`` on; None where DuckDB must write them. Raises ``OSError``."""
    budget = memory_bytes - BESIDE
    if form not in ("ndjson", "csv") or budget < _LEAST or not 0 < len(parts) <= _MOST_PARTS:
        return None
    scan = pl.scan_parquet(list(parts), hive_partitioning=False, glob=False)
    schema = scan.collect_schema()
    names = list(columns) if columns is not None else schema.names()
    try:
        groups = [group for part in parts for group in _groups(part)]
    except lib.ArrowException:  # a type that Arrow does not know
        return None
    forms = [_form(name, schema[name], form, groups, escape_formulas=escape_formulas) for name in names]
    spans = _spans(groups, len(schema), offset, limit, budget)
    chosen = [expression for expression in forms if expression is not None]
    if spans is None or len(chosen) < len(forms):
        return None
    head = csv_head(names, escape_formulas=escape_formulas) if form == "csv" else b""
    return Export(scan.select(chosen), form, head, spans)


def _groups(part: Path) -> Iterator[RowGroup]:
    metadata = _metadata(part)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(place) for place in range(group.num_columns)]
        bounds = {c.path_in_schema: _bounds(c.statistics) for c in columns if _has_bounds(c.statistics)}
        yield RowGroup(group.num_rows, group.total_byte_size, bounds)


def _has_bounds(statistics: Any) -> bool:
    return statistics is not None and (statistics.has_min_max or not statistics.num_values)


def _bounds(statistics: Any) -> tuple[Any, Any] | None:
    return (statistics.min_raw, statistics.max_raw) if statistics.has_min_max else None


def _spans(
    groups: Sequence[RowGroup], width: int, offset: int, limit: int | None, budget: int
) -> list[tuple[int, int]] | None:
    """Rows that are written at once: whole row groups that fit into ``budget``; None if one does not."""
    end = sum(group.rows for group in groups)
    end = end if limit is None else min(end, offset + limit)
    cuts, weight, row = [offset, min(offset + _FIRST_ROWS, end)], 0, 0
    for group in groups:
        size = group.size + group.rows * width * _VALUE_BYTES
        if size > budget:
            return None
        if weight + size > budget and cuts[-1] < row < end:
            cuts.append(row)
            weight = 0
        weight, row = weight + size, row + group.rows
    cuts.append(end)
    return [(start, stop - start) for start, stop in itertools.pairwise(cuts) if stop > start]


def _form(
    name: str, dtype: pl.DataType, form: str, groups: Sequence[RowGroup], *, escape_formulas: bool
) -> pl.Expr | None:
    """A column as the writer takes it; None where DuckDB must write it."""
    column = pl.col(name)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        column, dtype = column.cast(pl.String), pl.String()
        return _escaped(column) if form == "csv" and escape_formulas else column
    if isinstance(dtype, pl.String) and form == "csv" and escape_formulas:
        return _escaped(column) if any(_may_have_formula(group, name) for group in groups) else column
    if isinstance(dtype, _PLAIN):
        return column
    if isinstance(dtype, pl.Binary):
        return column.bin.encode("base64")
    if isinstance(dtype, pl.Date):
        return column.dt.strftime("%Y-%m-%d") if _are_common(groups, name, 1) else None
    if isinstance(dtype, pl.Datetime) and (dtype.time_zone is None or dtype.time_unit != "ns"):
        return _moment(column, dtype) if _are_common(groups, name, 86_400 * _PER_SECOND[dtype.time_unit]) else None
    return column if form == "ndjson" and _is_plain(dtype) else None


def _is_plain(dtype: Any) -> bool:
    """Whether a nested value is the same text whoever hands it to the writer."""
    if isinstance(dtype, pl.List | pl.Array):
        return _is_plain(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return all(_is_plain(field.dtype) for field in dtype.fields)
    return isinstance(dtype, _PLAIN) or dtype in _PLAIN


def _are_common(groups: Sequence[RowGroup], name: str, day: int) -> bool:
    """Whether all moments of a column are in years of four digits; ``day`` is what one day adds to a stored value."""
    for group in groups:
        if name not in group.bounds:
            return False
        bounds = group.bounds[name]
        if bounds is not None and not (_DAYS[0] * day <= bounds[0] and bounds[1] < (_DAYS[1] + 1) * day):
            return False
    return True


def _may_have_formula(group: RowGroup, name: str) -> bool:
    """Whether a text between the bounds of a column may start as a formula does."""
    if name not in group.bounds:
        return True
    bounds = group.bounds[name]
    if bounds is None:
        return False
    first, last = (bytes(bound)[:1] or b"\0" for bound in bounds)
    return any(first[0] <= start <= last[0] for start in _FORMULA_STARTS)


def _escaped(column: pl.Expr) -> pl.Expr:
    return pl.when(column.str.contains(_FORMULA)).then(pl.lit("'") + column).otherwise(column)


def _moment(column: pl.Expr, dtype: pl.Datetime) -> pl.Expr:
    suffix = ""
    if dtype.time_zone is not None:
        column, suffix = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None), "Z"

    def text(values: pl.Series) -> pl.Series:
        moments = values.dt.strftime(_WHOLE_SECONDS)
        if not (values.to_physical() % _PER_SECOND[dtype.time_unit] == 0).all():
            moments = moments + values.dt.strftime("%.f").str.strip_chars_end("0")
        return moments + suffix if suffix else moments

    return column.map_batches(text, return_dtype=pl.String(), is_elementwise=True)
