"""The settings ``schema`` and ``columns`` of collectors that read records: the columns after flattening."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from service.collectors.records.misfits import Misfits
from service.collectors.records.spool import Spool
from service.collectors.records.unusable import Unusable
from service.kit import errors, lazy
from service.kit.errors import Problem
from service.steps.collector import Declared
from service.steps.context import CollectContext
from service.steps.frame import Frame
from service.values import cast as casting
from service.values import common_type, dtypes, parse, type_names
from service.values.losses import Conversion

if TYPE_CHECKING:
    import polars as pl

    from service.values import polars_errors
else:
    pl = lazy.module("polars")
    polars_errors = lazy.module("service.values.polars_errors")

_FLOAT_DIGITS = 15
"""Decimal digits that a float holds, whatever they are."""


def problems(schema: Mapping[str, str], kept: Sequence[str] | None = None) -> Iterable[Problem]:
    """Unknown types, types that text cannot become, and columns that are listed twice or not kept."""
    yield from repeated("columns", kept or ())
    for column in () if kept is None else schema.keys() - set(kept):
        yield Problem(f"schema.{column}", f"'{column}' is not among columns{errors.did_you_mean(column, kept or ())}")
    for column, text in schema.items():
        try:
            type_names.read(text)
        except ValueError as error:
            yield Problem(f"schema.{column}", str(error))


def repeated(setting: str, names: Sequence[str]) -> Iterable[Problem]:
    """The problem of a setting that lists a name twice."""
    counts = Counter(names)
    if counts and max(counts.values()) > 1:
        yield Problem(setting, f"names '{counts.most_common(1)[0][0]}' twice")


def require_columns(present: Collection[str], columns: Sequence[str] | None, schema: Iterable[str], step: str) -> None:
    """Raise ``errors.Permanent`` for the first column in ``columns`` or ``schema`` that the files do not have."""
    settings = [*((name, "columns") for name in columns or ()), *((name, f"schema.{name}") for name in schema)]
    for name, field in settings:
        if name not in present:
            hint = errors.did_you_mean(name, present) or f" (there are {', '.join(list(present)[:20])})"
            raise errors.Permanent(f"no column '{name}' in the files{hint}", step=step, field=field)


def declared(kept: Sequence[str] | None, schema: Mapping[str, str], *, text: bool = False) -> Declared | None:
    """The columns that the settings fix: ``kept`` are all columns; with ``text`` the others are text."""
    if kept is None:
        named = {name: dtypes.parse(text_type) for name, text_type in schema.items()}
        return Declared(pl.Schema(named), closed=False) if named else None
    types = {name: dtypes.parse(schema[name]) if name in schema else pl.String() for name in kept}
    return Declared(pl.Schema(types), guessed=frozenset() if text else frozenset(kept) - schema.keys())


def select(lf: pl.LazyFrame, kept: Sequence[str] | None, ctx: CollectContext) -> pl.LazyFrame:
    """``lf`` with the ``kept`` columns only, if any; those that no record has are null text, with a warning."""
    if kept is None:
        return lf
    present = lf.collect_schema()
    for name in kept:
        if name not in present:
            hint = errors.did_you_mean(name, present)
            ctx.warn("missing_column", f"no record has '{name}', which columns names{hint}; it is null", column=name)
    missing = {name: pl.String() for name in kept if name not in present}
    ctx.add_blank_columns(missing)
    return _with_nulls(lf, present, missing).select(kept)


def text_columns(schema: Mapping[str, str]) -> dict[str, pl.DataType]:
    """The columns whose values must be read as they are written: a float would lose digits that their types hold."""
    types = {name: dtypes.parse(text) for name, text in schema.items()}
    return {name: pl.String() for name, dtype in types.items() if _holds_digits(dtype)}


def _holds_digits(dtype: pl.DataType) -> bool:
    if isinstance(dtype, pl.Decimal):
        return (dtype.precision or common_type.DECIMAL_DIGITS) > _FLOAT_DIGITS
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def empty_columns(spool: Spool, schema: Mapping[str, str]) -> set[str]:
    """The columns without any value and without a type in ``schema``."""
    return spool.blank - schema.keys()


def warn_of_repeated_keys(repeated: Mapping[str, str], ctx: CollectContext) -> None:
    """Warn of keys that records repeat, each with the place where it was first seen."""
    if repeated:
        first = next(iter(repeated.values()))
        names = ", ".join(f"'{name}'" for name in list(repeated)[:10])
        message = f"records repeat the key {names} ({first}); the last value is kept"
        ctx.warn("duplicate_keys", message, keys=list(repeated), where=first)


def warn_of_conflicts(
    spool: Spool,
    mixed: Mapping[str, str],
    schema: Mapping[str, str],
    kept: Sequence[str] | None,
    ctx: CollectContext,
) -> None:
    """Warn of each column whose values differ in kind, and what they became; ``mixed`` has those within one part."""
    kinds = spool.schema
    for name, difference in (differences(spool) | dict(mixed)).items():
        if name not in schema and name in kinds and (kept is None or name in kept):
            _warn_of_mixed_types(name, difference, kinds[name], ctx)


def warn_of_kinds(
    files: Mapping[str, Mapping[pl.DataType, str]], types: Mapping[str, pl.DataType], ctx: CollectContext
) -> None:
    """Warn of each column that is text in ``types`` and not in all ``files``: by name, each type and its first file."""
    for name, first in files.items():
        if types[name] == pl.String and any(kind != pl.String for kind in first):
            _warn_of_mixed_types(name, _kinds([(file, kind) for kind, file in first.items()], "in"), types[name], ctx)


def _warn_of_mixed_types(name: str, difference: str, kind: pl.DataType, ctx: CollectContext) -> None:
    kept_as = "text" if kind == pl.String else dtypes.name_of(kind)
    ctx.warn("mixed_types", f"the values of '{name}' {difference}; they are kept as {kept_as}", column=name)


def differences(spool: Spool) -> dict[str, str]:
    """How the values of columns differ in type between the parts, by name."""
    return {name: _kinds(places, "on") for name, places in spool.conflicts().items()}


def _kinds(places: Sequence[tuple[str, pl.DataType]], where: str) -> str:
    return "are " + ", ".join(f"{dtypes.name_of(kind)} {where} {label}" for label, kind in places[:4])


class Misfit(Unusable):
    """A value does not fit the type that the setting ``field`` gives its column."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def check(part: pl.DataFrame, schema: Mapping[str, str]) -> None:
    """Raise ``Misfit`` if a value of these rows does not fit the type that ``schema`` names."""
    try:
        part.lazy().select(_casts(part.schema, schema, "")).collect()
    except pl.exceptions.PolarsError as error:
        found = polars_errors.translate(error, None)
        raise Misfit(found.message, str(found.details.get("field") or "schema")) from None


def cast_columns(frame: Frame, schema: Mapping[str, str], ctx: CollectContext, misfits: Misfits) -> Frame:
    """``frame`` with the columns of ``schema`` cast to their types.

    Columns that no record has are null, with a warning.

    Raises ``errors.Permanent`` if a column has no cast to its type.
    """
    present = frame.schema
    for column in schema:
        if column not in present:
            message = f"no record has '{column}', which the schema names; it is null"
            inside = [name for name in present if name.startswith(f"{column}_")]
            if inside:
                message += f"; if it is an object, its fields are the columns {', '.join(inside[:5])}"
            ctx.warn("missing_column", message, column=column)
    try:
        casts = casts_of(present, schema, ctx, misfits)
    except Misfit as error:
        raise errors.Permanent(str(error), step=ctx.step, field=error.field) from None
    missing = {name: dtypes.parse(text) for name, text in schema.items() if name not in present}
    typed = frame.convert(ctx.step, casts) if casts else frame
    return typed.rows(lambda lf: _with_nulls(lf, present, missing)) if missing or not len(present) else typed


def casts_of(
    present: Mapping[str, pl.DataType], schema: Mapping[str, str], ctx: CollectContext, misfits: Misfits
) -> list[pl.Expr | Conversion]:
    """The casts of the columns that are ``present``; counted where ``misfits`` become null. Raises ``Misfit``."""
    if not misfits.become_null:
        return [*_casts(present, schema, ctx.step)]
    wanted = {name: dtypes.parse(text) for name, text in schema.items() if name in present}
    return [_counted(n, present[n], dtype, misfits) for n, dtype in wanted.items() if present[n] != dtype]


def _casts(present: Mapping[str, pl.DataType], schema: Mapping[str, str], step: str) -> list[pl.Expr]:
    wanted = {name: dtypes.parse(text) for name, text in schema.items() if name in present}
    return [_cast(name, present[name], dtype, step) for name, dtype in wanted.items() if present[name] != dtype]


def _counted(name: str, source: pl.DataType, target: pl.DataType, misfits: Misfits) -> pl.Expr | Conversion:
    """The column cast to ``target``, null where a value would change. Raises ``Misfit``."""
    column = pl.col(name)
    lost = None
    try:
        if isinstance(target, pl.List) and not isinstance(source, pl.List | pl.Null):
            value = _as_list(name, source, target)
        else:
            value = casting.cast(name, source, target)
            lost = casting.lost(column, value, source, target) if isinstance(target, pl.List) else None
    except ValueError as error:
        raise Misfit(f"column '{name}': {error}; a cleaner's cast can do more", f"schema.{name}") from None
    if isinstance(source, pl.Null):
        return value
    if (cut := casting.cut(column, source, target)) is not None:
        value = pl.when(~cut.where.fill_null(value=False)).then(value)
    return misfit(name, value, column, target, misfits, lost)


def misfit(
    name: str, value: pl.Expr, source: pl.Expr, target: pl.DataType, misfits: Misfits, lost: pl.Expr | None = None
) -> Conversion:
    """A column whose values do not all fit its type ``target``: ``value`` is null for those that do not."""
    outcome = f"did not fit {dtypes.name_of(target)} and became missing"
    return Conversion(name, value, source, name, "schema", outcome, lost=lost, most=misfits.most)


def _cast(name: str, source: pl.DataType, target: pl.DataType, step: str) -> pl.Expr:
    """The column cast to ``target``; a value that would change fails the run. Raises ``Misfit``."""
    at, column = (step, f"schema.{name}"), pl.col(name)
    shown = casting.error_text(column, source)
    message = pl.concat_str(pl.lit(f"column '{name}': "), shown, pl.lit(f" is not {dtypes.name_of(target)}"))
    try:
        if isinstance(target, pl.List) and not isinstance(source, pl.List | pl.Null):
            value = _as_list(name, source, target)
            return parse.refuse(column.is_not_null() & value.is_null(), message, value, at).alias(name)
        cast = casting.cast(name, source, target, strict=True, at=at)
    except ValueError as error:
        raise Misfit(f"column '{name}': {error}; a cleaner's cast can do more", f"schema.{name}") from None
    if (cut := casting.cut(column, source, target)) is not None:
        unit = ", which counts in microseconds" if cut.unit == "microseconds" else ""
        hint = pl.lit(f"{unit}; a cleaner's cast drops the digits beyond, and counts it")
        cast = parse.refuse(cut.where, pl.concat_str(message, hint), cast, at).alias(name)
    return cast


def _as_list(name: str, source: pl.DataType, target: pl.List) -> pl.Expr:
    """Single values as lists of one; a text may be a JSON array, which it keeps beside other values."""
    one = casting.cast(name, source, pl.Series(dtype=target.inner).dtype)
    alone = pl.when(one.is_not_null()).then(pl.concat_list(one))
    return pl.coalesce(casting.cast(name, source, target), alone) if isinstance(source, pl.String) else alone


def _with_nulls(lf: pl.LazyFrame, present: pl.Schema, missing: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """``lf`` with additional columns of nulls; without other columns there are no rows."""
    if not len(present):
        return pl.LazyFrame(schema=missing)
    return lf.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in missing.items())
