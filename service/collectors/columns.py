"""The setting ``schema`` of collectors that read records: types of columns, after flattening."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from service.kit import errors
from service.kit.errors import Problem
from service.steps import casting, dtypes, parsing
from service.steps.collector import Declared
from service.steps.context import Context
from service.steps.spool import Spool


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
                parsing.tolerantly(pl.col(column), dtype)
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
    return _with(lf, present, missing).select(kept)


def warn_of_conflicts(spool: Spool, mixed: Mapping[str, str], schema: Mapping[str, str], ctx: Context) -> None:
    """Say which fields became text because their values disagree, and where; ``mixed`` names those within one place."""
    told = {name: f"differ in kind on {where}" for name, where in mixed.items()}
    for name, kinds in spool.conflicts().items():
        said = ", ".join(f"{dtypes.name_of(kind)} on {label}" for label, kind in kinds[:4])
        told.setdefault(name, f"are {said}")
    for name, said in told.items():
        if name not in schema:
            ctx.warn("mixed_types", f"the values of '{name}' {said}; they are kept as text", column=name)


def typed(lf: pl.LazyFrame, schema: Mapping[str, str], ctx: Context) -> pl.LazyFrame:
    """``lf`` with the columns of ``schema`` as wanted; columns that never came are null, with a warning."""
    present = lf.collect_schema()
    casts, missing = [], dict[str, pl.DataType]()
    for column, text in schema.items():
        dtype = dtypes.parse(text)
        if column not in present:
            ctx.warn("missing_column", f"no record has '{column}', which the schema names; it is null", column=column)
            missing[column] = dtype
        else:
            casts.append(cast(column, present[column], dtype, ctx))
    return _with(lf.with_columns(casts), present, missing)


def cast(column: str, source: pl.DataType, target: pl.DataType, ctx: Context) -> pl.Expr:
    """A column as ``schema`` wants it. What does not fit fails when the plan is executed.

    Raises ``errors.Permanent`` where one type cannot become the other.
    """
    field = f"schema.{column}"
    at = (ctx.step, field)
    try:
        if source == pl.String and not isinstance(target, pl.List):
            return parsing.parsed(column, target, at=at)
        made = casting.cast(column, source, target, strict=True, at=at)
    except ValueError as error:
        raise errors.Permanent(f"column '{column}': {error}", step=ctx.step, field=field) from None
    if not (source.is_float() and target.is_integer()):
        return made
    given = pl.col(column)
    shown = pl.concat_str(pl.lit(f"column '{column}': "), given.cast(pl.String), pl.lit(" is no whole number"))
    return parsing.refuse(given != given.round(), shown, made, at).alias(column)


def _with(lf: pl.LazyFrame, present: pl.Schema, missing: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """``lf`` with columns of nulls, as many as it has rows: nulls alone would be one row."""
    if not len(present):
        return pl.LazyFrame(schema=missing)
    return lf.with_columns(pl.lit(None, dtype=dtype).alias(name) for name, dtype in missing.items())
