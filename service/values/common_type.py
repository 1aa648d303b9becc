"""The common type of columns that are united by name, and exact casts to it: one rule for files, pages and collectors.

Null becomes any type; whole numbers become larger ones, decimals or floats; single values beside lists of single
values become lists; everything else becomes text. A number is never rounded on the way: where the values decide
whether it fits (an int64 beside a float64, decimals of more than 38 digits together), ``exact`` fails with the value,
and ``could_round`` says which columns of whole numbers must be examined or kept as text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.kit import lazy
from service.values import dtypes, parse

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

EXACT = 2**53
"""Beyond it floats are further apart than whole numbers."""
DECIMAL_DIGITS = 38
_INTEGER_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19, 128: DECIMAL_DIGITS}


def unite(one: Any, other: Any, *, inside: bool = False) -> pl.DataType:
    """The common type; String if there is no other. ``inside``: they are the types of items of lists."""
    if one == other or other == pl.Null:
        return one  # type: ignore[no-any-return]
    if one == pl.Null:
        return other  # type: ignore[no-any-return]
    if one.is_integer() and other.is_integer():
        return pl.Int64()
    if one.is_decimal() or other.is_decimal():
        return _unite_decimal(one, other)
    if one.is_numeric() and other.is_numeric():
        return pl.Float64()
    if isinstance(one, pl.List) and isinstance(other, pl.List):
        inner = unite(one.inner, other.inner, inside=True)
        nested = any(isinstance(d, pl.List | pl.Struct) for d in (one.inner, other.inner))
        return pl.String() if nested and inner == pl.String else pl.List(inner)
    if isinstance(one, pl.List) or isinstance(other, pl.List):
        if inside:  # lists of different depth have nothing in common
            return pl.String()
        return _unite_with_list(one, other) if isinstance(one, pl.List) else _unite_with_list(other, one)
    if isinstance(one, pl.Struct) and isinstance(other, pl.Struct):
        fields: dict[str, Any] = {f.name: f.dtype for f in one.fields}
        for f in other.fields:
            fields[f.name] = unite(fields[f.name], f.dtype) if f.name in fields else f.dtype
        if any(_lossy(f.dtype, fields[f.name]) for s in (one, other) for f in s.fields):
            return pl.String()
        return pl.Struct(fields)
    return pl.String()


def _unite_decimal(one: Any, other: Any) -> pl.DataType:
    if not one.is_numeric() or not other.is_numeric():
        return pl.String()
    if one.is_float() or other.is_float():
        return pl.Float64()
    sizes = [
        (d.precision - d.scale, d.scale) if d.is_decimal() else (_INTEGER_DIGITS[8 * _bytes(d)], 0)
        for d in (one, other)
    ]
    scale = max(scale for _, scale in sizes)
    return pl.Decimal(min(max(whole for whole, _ in sizes) + scale, DECIMAL_DIGITS), scale)


def _bytes(dtype: pl.DataType) -> int:
    return int("".join(c for c in type(dtype).__name__ if c.isdigit())) // 8


def _unite_with_list(dtype: pl.List, single: Any) -> pl.DataType:
    """The type of lists beside single values: a list, unless one of them would become text as a whole."""
    inner = unite(dtype.inner, single)
    nested = isinstance(single, pl.Struct) or isinstance(dtype.inner, pl.List | pl.Struct)
    return pl.String() if nested else pl.List(inner)


def disagrees(source: Any, united: Any) -> bool:
    """Whether values of type ``source`` look different in the column of type ``united``."""
    if not isinstance(united, pl.List):
        return source != united  # type: ignore[no-any-return]
    if not isinstance(source, pl.List):
        return True
    return united.inner == pl.String and disagrees(source.inner, united.inner) and source.inner != pl.Null


def _lossy(source: Any, target: Any) -> bool:
    """Whether a cast inside a struct would turn another type into text, and not as JSON writes it."""
    return target == pl.String and source not in (pl.String, pl.Null)


def could_round(source: Any, target: Any) -> bool:
    """Whether a cast may change numbers: digits that the target cannot hold, also inside lists and objects."""
    if source == target or source == pl.Null:
        return False
    if isinstance(target, pl.List):
        return could_round(source.inner if isinstance(source, pl.List) else source, target.inner)
    if isinstance(target, pl.Struct) and isinstance(source, pl.Struct):
        types = {f.name: f.dtype for f in target.fields}
        return any(could_round(f.dtype, types[f.name]) for f in source.fields)
    if not source.is_numeric() or not target.is_numeric():
        return isinstance(source, pl.Datetime) and source.time_unit == "ns" and source != target
    if target.is_float():
        small = source.is_integer() and _bytes(source) <= (4 if target == pl.Float64 else 2)
        return not (small or (source.is_float() and _bytes(source) <= _bytes(target)))
    return True


def largest_integer(column: pl.Expr, source: Any, target: Any) -> list[pl.Expr]:
    """Expressions of the largest absolute value among whole numbers of 64 bits in ``column`` that become floats."""
    if isinstance(target, pl.List) and isinstance(source, pl.List):
        return largest_integer(column.explode(), source.inner, target.inner)
    if isinstance(target, pl.Struct) and isinstance(source, pl.Struct):
        types = {f.name: f.dtype for f in target.fields}
        return [e for f in source.fields for e in largest_integer(column.struct.field(f.name), f.dtype, types[f.name])]
    inner = target.inner if isinstance(target, pl.List) else target
    if source == pl.Int64 and inner == pl.Float64:
        return [pl.max_horizontal(column.max(), -(column.min() + 1))]
    return []


def exact(name: str, source: Any, target: pl.DataType, why: str, at: tuple[str, str]) -> pl.Expr:
    """Column ``name`` cast from ``source`` to ``target``; execution fails at the first value that would change.

    ``why`` says where the column is and what needs ``target``; ``at`` is the step and the field at fault.
    """
    column = pl.col(name)
    if source == target:
        return column
    if not could_round(source, target):
        return column.cast(target)
    value = column.cast(target, strict=False)
    changed = column.is_not_null() & value.cast(source, strict=False).ne_missing(column)
    shown = pl.lit("a value") if source.is_nested() else column.cast(pl.String)
    hint = f" is not {dtypes.name_of(target)} without loss ({why}); cast it to string or to a type that holds it"
    message = pl.concat_str(pl.lit(f"column '{name}': "), shown, pl.lit(hint))
    return parse.refuse(changed, message, value, at).alias(name)
