"""Hashes of keys, which divide rows into parts, and the memory that a hash table of keys takes."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from service.engine.memory import Memory

LEAST = 32 << 20
"""Bytes that a pass may always take: less would only make more passes."""
_ALL = 1 << 64
_SEEN, _SEEN_WIDTH = 48, 2.2
"""What ``unique`` of Polars takes for each key: bytes, and for each byte of the key (measured: 47 to 117 in all)."""
SHARE = 0.6
"""Of what is free. A table that grows holds its old form, too, and the rows are staged beside it: 20 million keys for
which 1.4 of 1.7 GiB were counted ended a run."""
_FEW = 10_000


def fit(rows: int, keys: Sequence[pl.DataType], row_bytes: int, memory: Memory, beside: int = 0) -> bool:
    """Whether Polars may hold the keys of all rows at once.

    A text may be as long as a row (``row_bytes``; 0 for unknown). Each key has bytes ``beside``.
    """
    width = 0
    for dtype in keys:
        size = _size(dtype) or row_bytes
        if not size and rows > _FEW:
            return False
        width += size + 1
    return rows * (_SEEN + _SEEN_WIDTH * width + beside) <= memory.free() * SHARE


def hashed(keys: Sequence[str]) -> pl.Expr:
    """A hash that rows with equal keys share; NaN equals NaN, 0.0 equals -0.0, null equals null."""
    return (pl.col(keys[0]) if len(keys) == 1 else pl.struct(keys)).hash()


def hashed_alike(keys: Sequence[str], left: pl.Schema, right: pl.Schema) -> pl.Expr | None:
    """A hash of keys that rows of two tables share where they are equal; None if keys cannot be compared by value."""
    values = []
    for key in keys:
        types = {left[key], right[key]}
        if any(isinstance(t, pl.Categorical) for t in types):
            values.append(pl.col(key).cast(pl.String))  # the numbers of categories depend on who came first
        elif len(types) == 1:
            values.append(pl.col(key))
        elif all(t.is_integer() for t in types):
            values.append(pl.col(key).cast(pl.Int128))
        else:
            return None
    return (values[0] if len(values) == 1 else pl.struct(values)).hash()


def in_part(hashes: pl.Expr, part: int, parts: int) -> pl.Expr:
    """Whether they are in one of equal parts of all hashes."""
    return between(hashes, _ALL * part // parts, _ALL * (part + 1) // parts - 1)


def between(hashes: pl.Expr, low: int, high: int) -> pl.Expr:
    """Whether they are in a range, its ends included."""
    return hashes.is_between(pl.lit(low, pl.UInt64), pl.lit(high, pl.UInt64))


def _size(dtype: pl.DataType) -> int | None:
    """The most bytes of a value, None where they differ."""
    if dtype.is_nested() or isinstance(dtype, pl.String | pl.Binary | pl.Object):
        return None
    return 16 if isinstance(dtype, pl.Decimal | pl.Int128 | pl.UInt128) else 8
