"""Widening: small whole numbers count in 64 bits in SQL, where the engine would wrap around in silence.

``a * 100`` of an ``int8`` (a month, say) is an ``int8`` to the engine: 12 * 100 is -80. So SQL sees such columns as
``int64``, and what it makes of them is of that type; the columns themselves keep theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

_SMALL = (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32)


def small(dtype: pl.DataType) -> bool:
    """Whether it holds whole numbers of fewer than 64 bits."""
    return isinstance(dtype, _SMALL)


def widely(lf: pl.LazyFrame, names: Sequence[str], step: Callable[[pl.LazyFrame], pl.LazyFrame]) -> pl.LazyFrame:
    """What ``step`` makes of the rows where the columns ``names`` are wide; it keeps all columns."""
    if not names:
        return step(lf)
    kept = {f"\0{place}": name for place, name in enumerate(names)}
    wide = [pl.col(n).alias(k) for k, n in kept.items()] + [pl.col(n).cast(pl.Int64) for n in names]
    return step(lf.with_columns(wide)).with_columns(pl.col(k).alias(n) for k, n in kept.items()).drop(list(kept))
