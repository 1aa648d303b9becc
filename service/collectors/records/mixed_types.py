"""Values of one column that differ in kind or size: detecting them, and making one column of them.

Polars silently turns numbers, lists and objects beside text into text, and not always as JSON writes them; it turns
whole numbers beside floats into floats, which may lose digits. ``check`` detects both: a decoder that accepts only text
reads the text columns again, in a fifth of the time that Polars takes to parse the records.

``series`` decides what such values become: a single value beside lists of single values is a list of one;
whole numbers beside floats become floats if no digit is lost; whole numbers of which one is beyond Int64 become text,
in lists and objects, too; everything else becomes text, as JSON except for what is text already. Nothing is lost and
nothing is guessed.
"""

from __future__ import annotations

import functools
import re
import types
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

from service.values.common_type import EXACT

DIFFER = "differ in kind"
BEYOND = "go beyond int64"
"""How the values of a column can disagree, as the warning says it."""
_LONG = re.compile(rb"[\s:,\[]-?\d{16,}\s*[,}\]]")
_UNNAMEABLE = re.compile(r'[\\"\x00-\x1f]')


class MixedTypes(Exception):
    """Values of one column disagree."""


def check(ndjson: bytes, frame: pl.DataFrame) -> None:
    """Raise ``MixedTypes`` if ``frame``, as Polars parsed ``ndjson``, hides values that disagree."""
    if any(map(_is_beyond, frame.dtypes)):
        raise MixedTypes
    texts = _texts(tuple(frame.schema.items()))
    if texts is not None:
        try:
            deque(map(texts.decode, ndjson.split(b"\n")), maxlen=0)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise MixedTypes from None
    if _large(frame) and _LONG.search(ndjson):
        raise MixedTypes


@functools.lru_cache(64)
def _texts(schema: tuple[tuple[str, pl.DataType], ...]) -> msgspec.json.Decoder[Any] | None:
    """A decoder of records that accepts only text in text columns and skips the others."""
    kind = _kind(pl.Struct(dict(schema)))
    return None if kind is None else msgspec.json.Decoder(kind)


def _kind(dtype: Any) -> Any:
    if dtype == pl.String:
        return str | None
    if isinstance(dtype, pl.List):
        inner = _kind(dtype.inner)
        return None if inner is None else types.GenericAlias(list, (inner,)) | None
    if not isinstance(dtype, pl.Struct):
        return None
    kinds = [(f.name, _kind(f.dtype)) for f in dtype.fields]
    fields = [(f"f{place}", kind, name) for place, (name, kind) in enumerate(kinds) if kind is not None]
    if not fields:
        return None
    if any(_UNNAMEABLE.search(name) for _, _, name in fields):
        raise MixedTypes  # there can be no such decoder: the slow path decides
    named = [(place, kind, msgspec.field(default=None, name=name)) for place, kind, name in fields]
    return msgspec.defstruct("Texts", named, gc=False) | None


def _large(frame: pl.DataFrame) -> bool:
    """Whether there are floats so large that they may be rounded whole numbers."""
    largest = [
        expr.alias(str(i)) for i, expr in enumerate(e for n, d in frame.schema.items() for e in _largest(pl.col(n), d))
    ]
    return bool(largest) and any(v is not None and v >= EXACT for v in frame.select(largest).row(0))


def _largest(column: pl.Expr, dtype: Any) -> list[pl.Expr]:
    """The largest of the floats in a column, one of each place in its lists and objects."""
    if isinstance(dtype, pl.Struct):
        return [e for f in dtype.fields for e in _largest(column.struct.field(f.name), f.dtype)]
    if isinstance(dtype, pl.List):
        return _largest(column.explode(), dtype.inner)
    return [column.abs().max()] if dtype == pl.Float64 else []


def _is_beyond(dtype: Any) -> bool:
    if isinstance(dtype, pl.Struct):
        return any(_is_beyond(f.dtype) for f in dtype.fields)
    return _is_beyond(dtype.inner) if isinstance(dtype, pl.List) else dtype in (pl.Int128, pl.UInt64)


def series(name: str, values: Sequence[Any], *, inside: bool = False) -> tuple[pl.Series, str]:
    """The values as a column, and how they disagree (empty if they agree). ``inside``: they are the items of lists."""
    kinds = {type(v) for v in values if v is not None}
    if list in kinds and (kinds == {list} or (not inside and dict not in kinds)):
        found = _lists(name, values, kinds)
        if found is not None:
            return found
    if kinds <= {int, float}:
        made = _numeric(name, values, kinds)
        if made is not None:
            return made, ""
    elif kinds in ({str}, {bool}):
        return pl.Series(name, values, strict=True), ""
    elif kinds == {dict}:
        try:
            return _objects(name, values)
        except (pl.exceptions.PolarsError, TypeError):
            pass  # values of a field differ in kind
    texts = [v if v is None or isinstance(v, str) else msgspec.json.encode(v).decode() for v in values]
    return pl.Series(name, texts, dtype=pl.String), BEYOND if kinds == {int} else DIFFER


def _objects(name: str, values: Sequence[Any]) -> tuple[pl.Series, str]:
    """Objects as structs of all their fields, field by field; Polars itself takes the fields of the first ones only.

    Raises ``TypeError`` if the values of a field differ in kind.
    """
    names = dict.fromkeys(key for value in values if value is not None for key in value)
    if not names:
        return pl.Series(name, values, strict=True), ""
    fields = {key: series(key, [None if value is None else value.get(key) for value in values]) for key in names}
    found = {how for _, how in fields.values()}
    if DIFFER in found:
        raise TypeError
    known = pl.Series([value is not None for value in values])
    table = pl.DataFrame({key: column for key, (column, _) in fields.items()})
    return table.select(pl.when(known).then(pl.struct(pl.all())).alias(name)).to_series(), max(found)


def _numeric(name: str, values: Sequence[Any], kinds: set[type]) -> pl.Series | None:
    most = EXACT if float in kinds else 2**63
    if any(not -most <= v < most for v in values if type(v) is int):
        return None
    dtype = pl.Float64() if float in kinds else pl.Int64() if kinds else pl.Null()
    return pl.Series(name, values, dtype=dtype, strict=False)


def _lists(name: str, values: Sequence[Any], kinds: set[type]) -> tuple[pl.Series, str] | None:
    """Lists, and single values beside lists of single values as lists of one; None for everything else."""
    lists = [v if v is None or isinstance(v, list) else [v] for v in values]
    every = [v for items in lists if items is not None for v in items]
    nested = any(isinstance(v, list | dict) for v in every)
    if nested and kinds != {list}:
        return None
    inner, how = series("", every, inside=True)
    if how and nested and inner.dtype == pl.String:
        return None
    each = iter(inner.to_list())
    made = [None if items is None else [next(each) for _ in items] for items in lists]
    return pl.Series(name, made, dtype=pl.List(inner.dtype)), how if kinds == {list} else DIFFER
