"""The setting ``schema`` of collectors that read records: types of columns, after flattening."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from service.collectors.records.json_records import Unusable
from service.collectors.records.spool import Spool
from service.kit import errors
from service.kit.errors import Problem
from service.steps.collector import Declared
from service.steps.context import Context
from service.values import cast as casting
from service.values import dtypes, parse, polars_errors


def problems(schema: Mapping[str, str], kept: Sequence[str] | None = None) -> Iterable[Problem]:
    """Types that there are not, and types that text cannot become; columns that are named twice or not kept."""
    twice = next((n for n in kept or () if (kept or []).count(n) > 1), None)
    if twice is not None:
        yield Problem("columns", f"names '{twice}' twice")
    for column in () if kept is None else schema.keys() - set(kept):
        yield Problem(f"schema.{column}", f"'{column}' is not among columns{errors.did_you_mean(column, kept or ())}")
    for column, text in schema.items():
        try:
            dtype = dtypes.parse(text)
            if not isinstance(dtype, pl.List):
                parse.tolerantly(pl.col(column), dtype)
        except ValueError as error:
            yield Problem(f"schema.{column}", str(error))


def declared(kept: Sequence[str] | None, schema: Mapping[str, str], *, text: bool = False) -> Declared | None:
    """What the settings say of the columns: ``kept`` are all there will be; ``text`` says that the others are text."""
    if kept is None:
        named = {name: dtypes.parse(said) for name, said in schema.items()}
        return Declared(pl.Schema(named), closed=False) if named else None
    types = {name: dtypes.parse(schema[name]) if name in schema else pl.String() for name in kept}
    return Declared(pl.Schema(types), guessed=frozenset() if text else frozenset(kept) - schema.keys())


def select(lf: pl.LazyFrame, kept: Sequence[str] | None, ctx: Context) -> pl.LazyFrame:
    """``lf`` with these columns only, where they are named; those that never came are null text, with a warning."""
    if kept is None:
        return lf
    present = lf.collect_schema()
    for name in kept:
        if name not in present:
            hint = errors.did_you_mean(name, present)
            ctx.warn("missing_column", f"no record has '{name}', which columns names{hint}; it is null", column=name)
    missing = {name: pl.String() for name in kept if name not in present}
    ctx.blank |= missing.keys()
    return _with(lf, present, missing).select(kept)


def blank(spool: Spool, schema: Mapping[str, str]) -> set[str]:
    """The columns that have no value and no type of their own."""
    return spool.blank - schema.keys()


def warn_of_conflicts(
    spool: Spool,
    mixed: Mapping[str, str],
    schema: Mapping[str, str],
    kept: Sequence[str] | None,
    ctx: Context,
) -> None:
    """Say which fields' values disagree, how, and what they became; ``mixed`` knows it of those within one part."""
    kinds = spool.schema
    told = dict(mixed)
    for name, places in spool.conflicts().items():
        said = ", ".join(f"{dtypes.name_of(kind)} on {label}" for label, kind in places[:4])
        told.setdefault(name, f"are {said}")
    for name, said in told.items():
        if name not in schema and name in kinds and (kept is None or name in kept):
            became = dtypes.name_of(kinds[name]) if isinstance(kinds[name], pl.List) else "text"
            ctx.warn("mixed_types", f"the values of '{name}' {said}; they are kept as {became}", column=name)


class Misfit(Unusable):
    """A value does not become the type that the setting ``field`` gives its column."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def check(part: pl.DataFrame, schema: Mapping[str, str]) -> None:
    """Raise ``Misfit`` where a value of these rows does not become the type that ``schema`` names."""
    try:
        part.lazy().select(_casts(part.schema, schema, "")).collect()
    except pl.exceptions.PolarsError as error:
        found = polars_errors.translate(error, None)
        raise Misfit(found.message, str(found.details.get("field") or "schema")) from None


def typed(lf: pl.LazyFrame, schema: Mapping[str, str], ctx: Context) -> pl.LazyFrame:
    """``lf`` with the columns of ``schema`` as wanted; columns that never came are null, with a warning.

    Raises ``errors.Permanent`` for what has no such form at all.
    """
    present = lf.collect_schema()
    for column in schema:
        if column not in present:
            ctx.warn("missing_column", f"no record has '{column}', which the schema names; it is null", column=column)
    try:
        casts = _casts(present, schema, ctx.step)
    except Misfit as error:
        raise errors.Permanent(str(error), step=ctx.step, field=error.field) from None
    missing = {name: dtypes.parse(text) for name, text in schema.items() if name not in present}
    return _with(lf.with_columns(casts), present, missing)


def _casts(present: Mapping[str, pl.DataType], schema: Mapping[str, str], step: str) -> list[pl.Expr]:
    wanted = {name: dtypes.parse(text) for name, text in schema.items() if name in present}
    return [_cast(name, present[name], dtype, step) for name, dtype in wanted.items() if present[name] != dtype]


def _cast(name: str, source: pl.DataType, target: pl.DataType, step: str) -> pl.Expr:
    """A column in the type that was asked for; a value that would not be the same fails. Raises ``Misfit``."""
    at, column = (step, f"schema.{name}"), pl.col(name)
    shown = casting.error_text(column, source)
    message = pl.concat_str(pl.lit(f"column '{name}': "), shown, pl.lit(f" is not {dtypes.name_of(target)}"))
    try:
        if isinstance(target, pl.List) and not isinstance(source, pl.List | pl.Null):
            value = _single(name, source, target)
            return parse.refuse(column.is_not_null() & value.is_null(), message, value, at).alias(name)
        cast = casting.cast(name, source, target, strict=True, at=at)
    except ValueError as error:
        raise Misfit(f"column '{name}': {error}; a cleaner's cast can do more", f"schema.{name}") from None
    if source.is_float() and target.is_integer():
        cast = parse.refuse(column != column.floor(), message, cast, at).alias(name)
    return cast


def _single(name: str, source: pl.DataType, target: pl.List) -> pl.Expr:
    """Single values as lists of one; a text may be a JSON array, which it became beside other values."""
    one = casting.cast(name, source, pl.Series(dtype=target.inner).dtype)
    alone = pl.when(one.is_not_null()).then(pl.concat_list(one))
    return pl.coalesce(casting.cast(name, source, target), alone) if isinstance(source, pl.String) else alone


def _with(lf: pl.LazyFrame, present: pl.Schema, missing: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """``lf`` with columns of nulls, as many as it has rows: nulls alone would be one row."""
    if not len(present):
        return pl.LazyFrame(schema=missing)
    return lf.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in missing.items())
