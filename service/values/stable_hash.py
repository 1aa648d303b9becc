"""A hash that is the same on every machine and in every version of the engine, as a row-local expression.

Polars' own ``hash`` may change between versions; a split or a fitted bucket must not. Values are hashed in words of
64 bits: numbers and times as one word, text as its length, its first eight words and its last two (longer texts that
agree in all of these collide), other types as their text. Words are mixed as FNV-1a mixes bytes, with the finalizer of
MurmurHash. Each intermediate value is used only once, because an expression has no variables and would double in size.
Null is hashed like a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")


NAME = "fnv1a-64x64"
"""The name that is recorded with a version; a different hash function gets a different name."""
_WORDS = 8
_ZEROS = "\0" * 8


def _u64(value: int) -> pl.Expr:
    return pl.lit(value % 2**64, dtype=pl.UInt64)


def stable(names: Sequence[str], schema: pl.Schema, seed: int = 0) -> pl.Expr:
    """A hash (uint64, never null) of the values of these columns together."""
    result = _u64((seed + 1) * 0x9E3779B97F4A7C15)
    for name in names:
        for word in _words(pl.col(name), schema[name]):
            result = (result ^ word.fill_null(_u64(0xA5A5A5A5A5A5A5A5))) * _u64(0xD6E8FEB86659FD93)
    result = (result ^ (result // _u64(1 << 32))) * _u64(0x94D049BB133111EB)
    return result ^ (result // _u64(1 << 29))


def share(names: Sequence[str], schema: pl.Schema, seed: int = 0) -> pl.Expr:
    """A number in [0, 1) that depends only on the values."""
    return (stable(names, schema, seed) // _u64(1 << 11)).cast(pl.Float64) / float(1 << 53)


def _words(value: pl.Expr, dtype: pl.DataType) -> list[pl.Expr]:
    if dtype.is_temporal():
        value = value.to_physical()
    if dtype.is_temporal() or (dtype.is_integer() and not isinstance(dtype, pl.Int128 | pl.UInt64)):
        return [value.cast(pl.Int64).reinterpret(signed=False)]
    if isinstance(dtype, pl.UInt64):
        return [value]
    if isinstance(dtype, pl.Boolean):
        return [value.cast(pl.UInt64)]
    if dtype.is_float():
        value = pl.when(value == 0).then(0.0).otherwise(value)  # -0.0 equals it
    data = value if isinstance(dtype, pl.Binary) else value.cast(pl.String).cast(pl.Binary)
    size = data.bin.size()
    words = [_word(data.bin.slice(8 * i, 8)) for i in range(_WORDS)]
    return [size.cast(pl.UInt64), *words, _word(data.bin.tail(16).bin.slice(0, 8)), _word(data.bin.tail(8))]


def _word(piece: pl.Expr) -> pl.Expr:
    filled = piece + pl.lit(_ZEROS.encode())
    return filled.bin.slice(0, 8).bin.reinterpret(dtype=pl.UInt64, endianness="little")
