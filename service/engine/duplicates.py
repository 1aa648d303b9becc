"""Duplicate rows: how many rows repeat an earlier one, with at most one number per row in memory.

Where a column of whole numbers is unique, there are none. Otherwise rows are hashed, and only rows with equal hashes
are compared. What does not fit in memory is done in parts: ranges of numbers and hashes, and rows by their hash.

Rows of a wide frame are never read whole: rows that are equal so far are looked at in some more columns, and fall apart
into groups of equal ones, until all columns were looked at or nothing is equal any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import polars as pl

from service.engine import hash_partitions, value_ranges
from service.engine.scratch import PLENTY, Engine, Scratch

_HEAD = 10_000
_HELD = 24  # bytes: a number as it was read, in one piece, and sorted
_COPIES = 4  # of rows that are compared: as read, as keys, as different ones
_SOME = 200
"""Columns that are read at once. A row group of thousands takes hundreds of megabytes, and several are on their way."""
_HEAD_CELLS = 1_000_000
_LEAST_COLUMNS = 8
"""As many are read at once at least, unless a group has more rows than can be held."""
_FILTER_AFTER = pl.QueryOptFlags(predicate_pushdown=False)
"""A filter pushed into a Parquet scan costs the square of the number of columns: 17 s for 1 500."""


def count(lf: pl.LazyFrame, schema: pl.Schema, engine: Engine, rows: int, scratch: Scratch = PLENTY) -> int:
    """Rows that repeat an earlier row, exactly. The frame has ``rows`` rows."""
    if not len(schema) or _has_key(lf, schema, engine, rows, scratch):
        return 0
    columns = [*schema]
    hashed = pl.struct(columns[:_SOME]).hash()
    with _hashes(lf.select(hashed.alias("hash")), rows, scratch) as hashes:
        repeated = _repeated(hashes, engine, rows, scratch)
    if len(columns) > _SOME:
        return _count_wide(lf, columns, hashed, repeated, engine, scratch)
    if not repeated.height:
        return 0
    candidates, number = lf.filter(hashed.is_in(repeated["hash"].implode())), int(repeated["count"].sum())
    head = lf.head(_HEAD).collect(engine=engine)
    size = _COPIES * int(head.estimated_size() / max(1, head.height) + 32)
    parts = -(-number // scratch.rows(size))
    for part in [candidates] if parts == 1 else hash_partitions.split(candidates, hashed, parts, scratch):
        number -= part.unique().select(pl.len()).collect(engine=engine, optimizations=_FILTER_AFTER).item()
    return number


def _count_wide(
    lf: pl.LazyFrame, columns: list[str], hashed: pl.Expr, repeated: pl.DataFrame, engine: Engine, scratch: Scratch
) -> int:
    """As ``count``, of the rows whose hashes of some columns are ``repeated``; some columns at a time."""
    if not repeated.height:
        return 0
    head = lf.head(_first(len(columns))).collect(engine=engine)
    cell = _COPIES * int(head.estimated_size() / max(1, head.height * head.width) + 8)
    place = (repeated["count"].cum_sum() - repeated["count"]) // scratch.rows(_LEAST_COLUMNS * cell)
    hashes = lf.select(hash=hashed).with_row_index("row")
    found = 0
    for part in repeated.select("hash").group_by(place, maintain_order=True).agg("hash")["hash"]:
        equal = hashes.filter(pl.col("hash").is_in(part.implode())).rename({"hash": "group"}).collect(engine=engine)
        at = 0
        while at < len(columns) and equal.height:
            count = max(1, min(_SOME, scratch.rows(cell) // equal.height))
            equal = _still_equal(lf, columns[at : at + count], equal, engine)
            at += count
        found += equal.height - equal["group"].n_unique()
    return found


def _first(columns: int) -> int:
    """How many rows are looked at before all are."""
    return max(100, min(_HEAD, _HEAD_CELLS // columns))


def _still_equal(lf: pl.LazyFrame, columns: list[str], equal: pl.DataFrame, engine: Engine) -> pl.DataFrame:
    """The numbers of rows that are in one ``group`` and agree in these columns, too, with the number of their group."""
    named = {str(at): pl.col(column) for at, column in enumerate(columns)}
    rows = lf.select(**named).with_row_index("row").join(equal.lazy(), on="row")
    same = rows.group_by("group", *named).agg("row").filter(pl.col("row").list.len() > 1)
    return same.select("row", group=pl.col("row").list.first()).explode("row").collect(engine=engine)


@contextlib.contextmanager
def _hashes(hashes: pl.LazyFrame, rows: int, scratch: Scratch) -> Iterator[pl.LazyFrame]:
    """The hashes, in a file if they are read more than once: computing them costs more than reading a number."""
    if rows <= scratch.rows(_HELD):
        yield hashes
        return
    with scratch.directory() as folder:
        hashes.sink_ipc(folder / "hashes.arrow", engine="streaming")
        yield pl.scan_ipc(folder / "hashes.arrow")


def _repeated(hashes: pl.LazyFrame, engine: Engine, rows: int, scratch: Scratch) -> pl.DataFrame:
    """The hashes that there are more than once, with their ``count``."""
    found = []
    for part in value_ranges.split(hashes, "hash", rows, scratch.rows(_HELD), engine):
        if part.single:
            values = part.of(hashes).head(1).collect(engine=engine).with_columns(count=pl.lit(part.rows, pl.Int64))
        else:
            held = part.of(hashes).collect(engine=engine).to_series().sort()
            repeats = held.filter((held == held.shift()).fill_null(value=False))
            values = repeats.rle().struct.unnest().select(hash="value", count=pl.col("len").cast(pl.Int64) + 1)
        found.append(values.filter(pl.col("count") > 1))
    return pl.concat(found) if found else pl.DataFrame(schema={"hash": pl.UInt64, "count": pl.Int64})


def _has_key(lf: pl.LazyFrame, schema: pl.Schema, engine: Engine, rows: int, scratch: Scratch) -> bool:
    """Whether a column of whole numbers is unique, which costs a tenth of hashing the rows.

    Only a column that is unique in the first rows is read whole.
    """
    numbers = [c for c, t in schema.items() if t.is_integer()]
    if not numbers:
        return False
    head = lf.select(numbers).head(_first(len(numbers))).collect(engine=engine)
    unique = (c for c in numbers if head[c].is_unique().all())
    return any(_is_key(lf.select(column), column, engine, rows, scratch) for column in unique)


def _is_key(lf: pl.LazyFrame, column: str, engine: Engine, rows: int, scratch: Scratch) -> bool:
    """Whether all values differ; nulls do not count as values."""
    values = lf.drop_nulls()
    held = 0
    for part in value_ranges.split(values, column, rows, scratch.rows(_HELD), engine):
        found = (
            part.of(values).head(2).collect(engine=engine) if part.single else part.of(values).collect(engine=engine)
        )
        if found.height != found.to_series().sort().n_unique():
            return False
        held += found.height
    return held >= rows
