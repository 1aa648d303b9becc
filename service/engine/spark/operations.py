"""Whole-frame operations as exchanges: what each of them sends, and what happens to the rows of a bucket.

Functions here make values that are shipped to executors: plans, and steps with expressions. Keys decide alone; of the
other columns those travel that an operation reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from service.engine import key_hashes, mixed_types, windows
from service.engine.spark.exchange import BUCKET, OTHER, ROW, numbered, part_of
from service.steps.frame import JoinHow, Keep

Rows = pl.LazyFrame | None


def keyed(lf: pl.LazyFrame, part: int, keys: Sequence[str], read: Sequence[str], buckets: int) -> pl.LazyFrame:
    """The numbered columns ``read`` of a part, in buckets by the hash of the keys; in one without keys."""
    bucket = _bucket(keys, lf.collect_schema(), buckets) if keys else pl.lit(0, pl.Int64)
    return numbered(lf, part).select(*dict.fromkeys([*keys, *read]), ROW, bucket.alias(BUCKET))


def _bucket(keys: Sequence[str], schema: pl.Schema, buckets: int) -> pl.Expr:
    alike = key_hashes.hashed_alike(keys, schema, schema)
    hashes = key_hashes.hashed(keys) if alike is None else alike
    return (hashes % buckets).cast(pl.Int64)


def _to_parts(lf: pl.LazyFrame) -> pl.LazyFrame:
    """The rows on their way to the part that each belongs to."""
    return lf.with_columns(part_of().alias(BUCKET))


def in_order(rows: Rows, _: Rows) -> pl.LazyFrame:
    """The rows of a part as they are."""
    assert rows is not None
    return rows


def united(frames: Sequence[Sequence[pl.LazyFrame]]) -> list[pl.LazyFrame]:
    """The parts of all frames with the columns of all, in types that hold the values of each."""
    mixed = mixed_types.names([parts[0].collect_schema() for parts in frames])
    if mixed:  # numbers beside text or dates: all become text, as nothing else holds both
        frames = [
            [p.with_columns(pl.col(mixed & set(p.collect_schema())).cast(pl.String)) for p in parts] for parts in frames
        ]
    firsts = [pl.LazyFrame(schema=parts[0].collect_schema()) for parts in frames]
    empty = pl.LazyFrame(schema=pl.concat(firsts, how="diagonal_relaxed").collect_schema())
    return [pl.concat([empty, part], how="diagonal_relaxed") for parts in frames for part in parts]


# -- distinct --------------------------------------------------------------------------------------------------


def kept(keys: Sequence[str], keep: Keep, rows: Rows, _: Rows) -> pl.LazyFrame:
    """The numbers of the rows that are kept."""
    assert rows is not None
    chosen = rows.unique(list(keys), keep="first" if keep == "any" else keep, maintain_order=True)
    return _to_parts(chosen.select(ROW))


# -- group -----------------------------------------------------------------------------------------------------


def grouped(by: Sequence[str], aggregates: Sequence[pl.Expr], rows: Rows, _: Rows) -> pl.LazyFrame:
    """The groups, each with the number of its first row."""
    assert rows is not None
    return _to_parts(rows.group_by(list(by), maintain_order=True).agg(*aggregates, pl.col(ROW).min()))


# -- per_group -------------------------------------------------------------------------------------------------


def windowed(by: Sequence[str], order_by: Sequence[str], made: Sequence[pl.Expr], rows: Rows, _: Rows) -> pl.LazyFrame:
    """What the expressions make of each row."""
    assert rows is not None
    names = [e.meta.output_name() for e in made]
    if order_by:
        lf = windows.ordered(rows, by, order_by, made, held=True)
    else:
        lf = rows.with_columns([e.over(list(by)) for e in made] if by else list(made))
    return _to_parts(lf.select(ROW, *names))


# -- sort ------------------------------------------------------------------------------------------------------


def ranged(
    lf: pl.LazyFrame, part: int, key: str, bounds: pl.Series, *, descending: bool, is_float: bool
) -> pl.LazyFrame:
    """The numbered rows of a part in buckets by the bounds of the first key; nulls and NaN go to the last one."""
    value = pl.col(key).fill_nan(None) if is_float else pl.col(key)
    above = [(value < bound) if descending else (value > bound) for bound in bounds]
    bucket = pl.sum_horizontal(pl.lit(0, pl.Int64), *(a.cast(pl.Int64) for a in above))
    last = pl.lit(len(bounds) + 1, pl.Int64)
    return numbered(lf, part).with_columns(pl.when(value.is_null()).then(last).otherwise(bucket).alias(BUCKET))


def ordered(keys: Sequence[pl.Expr], descending: Sequence[bool], rows: Rows, _: Rows) -> pl.LazyFrame:
    """The rows of a bucket, sorted; they come in their order."""
    assert rows is not None
    return rows.sort(list(keys), descending=list(descending), nulls_last=True, maintain_order=True)


# -- join ------------------------------------------------------------------------------------------------------


def sent(
    lf: pl.LazyFrame, part: int, on: Sequence[str], other: pl.Schema, buckets: int, *, second: bool
) -> pl.LazyFrame:
    """What a part gives to a join: the keys of the first frame, all columns of the second."""
    schema = lf.collect_schema()
    hashes = key_hashes.hashed_alike(on, *((other, schema) if second else (schema, other)))
    bucket = pl.lit(0, pl.Int64) if hashes is None else (hashes % buckets).cast(pl.Int64)
    name, read = (OTHER, schema.names()) if second else (ROW, list(on))
    return numbered(lf, part, name).select(*read, name, bucket.alias(BUCKET))


def partners(
    left: pl.Schema, right: pl.Schema, parts: int, on: Sequence[str], how: JoinHow, rows: Rows, others: Rows
) -> pl.LazyFrame:
    """The partners of each row of the first frame; in a full join also rows that are alone, in parts after the rest."""
    first = pl.LazyFrame(schema=pl.Schema({key: left[key] for key in on} | {ROW: pl.Int64()})) if rows is None else rows
    second = pl.LazyFrame(schema=pl.Schema({**right, OTHER: pl.Int64()})) if others is None else others
    kind: JoinHow = "inner" if how == "left" else how  # the rows themselves stay in their parts
    joined = first.drop(BUCKET, strict=False).join(
        second.drop(BUCKET, strict=False), on=list(on), how=kind, coalesce=True, maintain_order="left_right"
    )
    joined = joined if how == "full" else joined.drop(on)
    alone = pl.col(ROW).is_null()
    joined = joined.filter(alone | pl.col(OTHER).is_not_null())
    return joined.with_columns(pl.when(alone).then(parts + part_of(OTHER)).otherwise(part_of()).alias(BUCKET))


def by_both(rows: Rows, others: Rows) -> pl.LazyFrame:
    """The partners of a part's rows in the order of both frames."""
    assert rows is not None
    return rows.sort(ROW, OTHER, nulls_last=True)
