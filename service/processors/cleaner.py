"""Cleaner: names, types, missing values, outliers and duplicates, in one fixed order.

The fields stand in the order in which they apply; another order is two cleaners. Everything is row-local but the
fits (``fill_na``, ``outliers``) and ``drop_duplicates``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

import msgspec
import polars as pl

from service.engine import row_sql
from service.expressions import scalar
from service.kit import errors
from service.kit.errors import Problem
from service.processors.cleaning import fill
from service.processors.settings import columns
from service.processors.settings.columns import Name, Scalar
from service.steps.context import Context
from service.steps.frame import Frame
from service.steps.processor import Processor
from service.values import cast as casting
from service.values import dtypes, lookup, polars_errors

Names = Annotated[list[Name], msgspec.Meta(min_length=1)]
T = TypeVar("T")
Rule = TypeVar("Rule", "DropMissing", "DropDuplicates")


class Cast(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cast with its format and its answer to values that cannot be cast."""

    type: Annotated[str, msgspec.Meta(description="Such as int64, decimal(12,2), datetime[Europe/Berlin], enum(a,b).")]
    format: Annotated[
        str | list[str] | None,
        msgspec.Meta(description="strptime format of dates and times, or several tried in order; or epoch, epoch_ms."),
    ] = None
    on_error: Annotated[
        Literal["null", "fail"] | None, msgspec.Meta(description="What a value that cannot be cast becomes.")
    ] = "null"

    def __post_init__(self) -> None:
        columns.write_null(self, "on_error")


class DropMissing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows with missing values to drop."""

    columns: Annotated[list[Name], msgspec.Meta(description="Where to look; empty is everywhere.")] = []
    how: Annotated[
        Literal["any", "all"], msgspec.Meta(description="Drop where any, or only where all of them are missing.")
    ] = "any"


class DropDuplicates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the rows that agree in some columns to keep. Missing agrees with missing, and NaN with NaN alone."""

    columns: Annotated[list[Name], msgspec.Meta(description="The key; empty is the whole row.")] = []
    keep: Annotated[
        Literal["first", "last", "none", "any"], msgspec.Meta(description="none drops every row that has a double.")
    ] = "first"
    order_by: Annotated[
        Name | list[Name],
        msgspec.Meta(description="What first and last mean; else as the rows are stored. Missing is last of all."),
    ] = []

    @property
    def order(self) -> list[str]:
        return [self.order_by] if isinstance(self.order_by, str) else self.order_by


class Cleaner(Processor, frozen=True, kw_only=True, tag="cleaner"):
    """Cleans rows. The settings apply in the order in which they are listed; use two cleaners for another order."""

    idempotent: ClassVar[bool] = True
    static: ClassVar[bool] = True
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "cleaner",
        "config": {
            "normalize_names": True,
            "strip_strings": True,
            "null_values": ["", "n/a"],
            "cast": {"price": "float64", "ordered_at": {"type": "datetime", "format": ["%Y-%m-%d", "%d.%m.%Y"]}},
            "filter": "price >= 0",
            "drop_na": ["order_id"],
            "fill_na": {"price": {"strategy": "median"}, "city": "unknown"},
            "drop_duplicates": {"columns": ["order_id"], "keep": "first"},
            "missing_columns": "ignore",
        },
    }

    normalize_names: Annotated[
        bool, msgspec.Meta(description="snake_case for all names: 'Order ID' becomes order_id; doubles get _2, _3.")
    ] = False
    rename_columns: Annotated[dict[Name, Name], msgspec.Meta(description="Old name to new name, all at once.")] = {}
    drop_columns: Annotated[list[Name], msgspec.Meta(description="Columns to leave out.")] = []
    select_columns: Annotated[list[Name], msgspec.Meta(description="The only columns to keep, in this order.")] = []
    strip_strings: Annotated[
        bool | Names, msgspec.Meta(description="Trim white space: of all text columns, or of these.")
    ] = False
    null_values: Annotated[
        list[str], msgspec.Meta(description="Texts that mean missing, in every column of text or categories.")
    ] = []
    replace: Annotated[
        dict[Name, dict[str, Scalar]], msgspec.Meta(description="Per column: value to its replacement.")
    ] = {}
    cast: Annotated[
        dict[Name, str | Cast],
        msgspec.Meta(
            description="Per column: the type it gets. Text is trimmed; whole numbers are also 12.0 and 1e3, booleans "
            "true/t/yes/y/on/1 and false/f/no/n/off/0 in any case, dates and times ISO 8601. An offset is followed; "
            "without one a time is local in datetime[zone] (of two the earlier, a skipped one is bad). A duration "
            "becomes seconds. A JSON array as text becomes a list, each of its values by these rules."
        ),
    ] = {}
    filter: Annotated[str | None, msgspec.Meta(description="A SQL condition over one row; the rest is dropped.")] = None
    drop_na: Annotated[
        bool | Names | DropMissing, msgspec.Meta(description="Drop rows with missing values: anywhere, or in these.")
    ] = False
    fill_na: Annotated[
        dict[Name, Scalar | fill.Fill], msgspec.Meta(description="Per column: a value, or {strategy: …}.")
    ] = {}
    outliers: Annotated[
        dict[Name, fill.Outlier], msgspec.Meta(description="Per column: how outliers are found and treated.")
    ] = {}
    drop_duplicates: Annotated[
        bool | Names | DropDuplicates, msgspec.Meta(description="Drop repeated rows, or rows with a repeated key.")
    ] = False
    missing_columns: Annotated[
        Literal["error", "ignore"],
        msgspec.Meta(
            description="A name without a column: an error, or a warning. In filter and inside fill_na always an error."
        ),
    ] = "error"

    def spelled_out(self) -> Self:
        cast = {name: _cast(setting) for name, setting in self.cast.items()}
        return msgspec.structs.replace(
            self,
            cast=cast,
            drop_na=_rule(self.drop_na, DropMissing) or False,
            drop_duplicates=_rule(self.drop_duplicates, DropDuplicates) or False,
        )

    def problems(self) -> Iterable[Problem]:
        for column, setting in self.cast.items():
            try:
                dtypes.parse(setting if isinstance(setting, str) else setting.type)
            except ValueError as error:
                yield Problem(f"cast.{column}" + ("" if isinstance(setting, str) else ".type"), str(error))
            if isinstance(setting, Cast) and setting.format == []:
                yield Problem(f"cast.{column}.format", "an empty list; name a format or leave it out")
        if self.filter is not None:
            try:
                scalar.parse(self.filter)
            except ValueError as error:
                yield Problem("filter", str(error))
        yield from _twice("rename_columns", self.rename_columns.values())
        yield from _twice("select_columns", self.select_columns)
        for column, outlier in self.outliers.items():
            if outlier.method == "quantile" and (outlier.factor or 0) >= 0.5:
                yield Problem(f"outliers.{column}.factor", "the share at each end is below 0.5")
        for column, value in self.fill_na.items():
            if value is None:
                yield Problem(f"fill_na.{column}", "null fills nothing; give a value or {strategy: …}")
            elif isinstance(value, fill.Fill) and (wrong := value.wrong()) is not None:
                yield Problem(f"fill_na.{column}", wrong)
        rule = self.drop_duplicates
        if isinstance(rule, DropDuplicates) and rule.order and rule.keep not in ("first", "last"):
            yield Problem("drop_duplicates.order_by", f"is for keep first or last; {rule.keep} knows no order")

    def again(self) -> Cleaner:
        return msgspec.structs.replace(self, missing_columns="ignore")

    def apply(self, frame: Frame, ctx: Context) -> Frame:
        with polars_errors.attributed(ctx.step):
            for step in (self._names, self._texts, self._types, self._filtered, self._filled, self._unique):
                frame = step(frame, ctx)
        return frame

    def _there(
        self, names: Iterable[str], known: Collection[str], ctx: Context, field: str, *, dot: bool = True
    ) -> list[str]:
        """Those of ``names`` that are columns; the others are errors or warnings at ``field`` (``field.name``)."""
        found = []
        for name in dict.fromkeys(names):
            where = f"{field}.{name}" if dot else field
            if name in known:
                found.append(name)
            elif self.missing_columns == "error":
                raise columns.missing(ctx, where, name, known)
            else:
                hint = errors.did_you_mean(name, known)
                ctx.warn(
                    "missing_column",
                    f"{where}: no column '{name}' here{hint}; ignored",
                    column=name,
                    field=f"config.{where}",
                )
        return found

    def _settings(self, settings: Mapping[str, T], frame: Frame, ctx: Context, field: str) -> dict[str, T]:
        return {name: settings[name] for name in self._there(settings, frame.schema, ctx, field)}

    # -- names -----------------------------------------------------------------------------------------------

    def _names(self, frame: Frame, ctx: Context) -> Frame:
        if self.normalize_names:
            frame = _renamed(frame, snake_case(list(frame.schema)))
        if self.rename_columns:
            known = list(frame.schema)
            chosen = {n: self.rename_columns[n] for n in self._there(self.rename_columns, known, ctx, "rename_columns")}
            for old, new in chosen.items():
                columns.free(ctx, f"rename_columns.{old}", new, [n for n in known if n not in chosen])
            frame = _renamed(frame, chosen)
        if self.drop_columns:
            gone = self._there(self.drop_columns, frame.schema, ctx, "drop_columns", dot=False)
            frame = frame.rows(lambda lf: lf.drop(gone))
        if self.select_columns:
            kept = self._there(self.select_columns, frame.schema, ctx, "select_columns", dot=False)
            frame = frame.rows(lambda lf: lf.select(kept))
        if not len(frame.schema):
            raise columns.refused(ctx, "select_columns" if self.select_columns else "drop_columns", "no column is left")
        return frame

    # -- values ----------------------------------------------------------------------------------------------

    def _texts(self, frame: Frame, ctx: Context) -> Frame:
        texts = [n for n, t in frame.schema.items() if isinstance(t, pl.String)]
        if self.strip_strings:
            chosen = texts
            if isinstance(self.strip_strings, list):
                chosen = self._there(self.strip_strings, frame.schema, ctx, "strip_strings", dot=False)
            for name in chosen:
                if name not in texts:
                    kind = dtypes.name_of(frame.schema[name])
                    raise columns.refused(ctx, "strip_strings", f"column '{name}' is {kind}, not text")
            if chosen:
                frame = frame.rows(lambda lf: lf.with_columns(pl.col(chosen).str.strip_chars()))
        marked = [*texts, *(n for n, t in frame.schema.items() if isinstance(t, pl.Categorical | pl.Enum))]
        if self.null_values and marked:
            marks = pl.Series(self.null_values, dtype=pl.String).implode()
            cleared = [pl.when(~pl.col(n).cast(pl.String).is_in(marks)).then(pl.col(n)).alias(n) for n in marked]
            frame = frame.rows(lambda lf: lf.with_columns(cleared))
        replaced = [
            self._replaced(n, m, frame.schema[n], ctx)
            for n, m in self._settings(self.replace, frame, ctx, "replace").items()
        ]
        return frame.rows(lambda lf: lf.with_columns(replaced)) if replaced else frame

    def _replaced(self, name: str, table: Mapping[str, Scalar], dtype: pl.DataType, ctx: Context) -> pl.Expr:
        if dtype.is_nested() or isinstance(dtype, pl.Binary):
            raise columns.refused(ctx, f"replace.{name}", f"values of a {dtypes.name_of(dtype)} cannot be replaced")
        if isinstance(dtype, pl.Null):
            return pl.col(name)
        inner = pl.String() if isinstance(dtype, pl.Categorical | pl.Enum) else dtype
        old = [columns.literal(ctx, f"replace.{name}.{k}", k, inner) for k in table]
        new = [columns.literal(ctx, f"replace.{name}.{k}", v, inner) for k, v in table.items()]
        if len(set(old)) < len(old):
            twice = next(v for i, v in enumerate(old) if v in old[:i])
            raise columns.refused(ctx, f"replace.{name}", f"two replacements for the one value {twice!r}")
        value, known = pl.col(name).cast(inner), pl.Series(old, dtype=inner)
        by_table = lookup.replaced(value, inner, known, pl.Series(new, dtype=inner))
        replaced = pl.when(lookup.place(value, inner, known).is_not_null()).then(by_table).otherwise(value)
        return replaced.cast(dtype, strict=False).alias(name)

    def _types(self, frame: Frame, ctx: Context) -> Frame:
        casts: list[pl.Expr] = []
        for name, setting in self._settings(self.cast, frame, ctx, "cast").items():
            wanted = _cast(setting)
            formats = [wanted.format] if isinstance(wanted.format, str) else wanted.format or []
            try:
                target = dtypes.parse(wanted.type)
                strict = wanted.on_error == "fail"
                at = (ctx.step, f"config.cast.{name}")
                casts.append(casting.cast(name, frame.schema[name], target, formats, strict=strict, at=at))
            except ValueError as error:
                raise columns.refused(ctx, f"cast.{name}", str(error)) from error
        return frame.rows(lambda lf: lf.with_columns(casts)) if casts else frame

    def _filtered(self, frame: Frame, ctx: Context) -> Frame:
        if self.filter is not None:
            frame = _where(frame, self.filter, ctx)
        rule = _rule(self.drop_na, DropMissing)
        if rule is None:
            return frame
        schema = frame.schema
        chosen = self._there(rule.columns, schema, ctx, "drop_na", dot=False) if rule.columns else list(schema)
        missing = [fill.gone(schema, n) for n in chosen]
        if not missing:
            return frame
        drop = pl.any_horizontal(missing) if rule.how == "any" else pl.all_horizontal(missing)
        return frame.rows(lambda lf: lf.filter(~drop))

    def _filled(self, frame: Frame, ctx: Context) -> Frame:
        if self.fill_na and (chosen := self._settings(self.fill_na, frame, ctx, "fill_na")):
            frame = fill.fill(frame, chosen, ctx)
        if self.outliers and (bounds := self._settings(self.outliers, frame, ctx, "outliers")):
            frame = fill.outliers(frame, bounds, ctx)
        return frame

    def _unique(self, frame: Frame, ctx: Context) -> Frame:
        rule = _rule(self.drop_duplicates, DropDuplicates)
        if rule is None:
            return frame
        order = self._there(rule.order, frame.schema, ctx, "drop_duplicates.order_by", dot=False)
        keys = list(frame.schema)
        if rule.columns:
            keys = self._there(rule.columns, frame.schema, ctx, "drop_duplicates", dot=False)
        if not order:
            return frame.distinct(keys, keep=rule.keep) if keys else frame
        place = columns.unused("_place", frame.schema)
        here, last = pl.int_range(pl.len()), pl.len() - 1
        kept = here == (0 if rule.keep == "first" else last)
        ordered = frame.per_group(keys, order, [kept.alias(place)])
        return ordered.rows(lambda lf: lf.filter(pl.col(place)).drop(place))


def _cast(setting: str | Cast) -> Cast:
    return Cast(setting) if isinstance(setting, str) else setting


def _rule(setting: bool | list[str] | Rule, kind: type[Rule]) -> Rule | None:
    """A rule in its long form: all columns are meant by ``true``, some by their names. None where there is none."""
    if isinstance(setting, bool):
        return kind() if setting else None
    return kind(setting) if isinstance(setting, list) else setting


def _twice(field: str, names: Iterable[str]) -> Iterable[Problem]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield Problem(field, f"'{name}' stands there twice")
        seen.add(name)


def _renamed(frame: Frame, names: Mapping[str, str]) -> Frame:
    return frame.rows(lambda lf: lf.rename(dict(names)))


def _where(frame: Frame, text: str, ctx: Context) -> Frame:
    try:
        condition = row_sql.compiled(text, frame.schema)
    except ValueError as error:
        raise columns.refused(ctx, "filter", str(error)) from error
    if not isinstance(condition.dtype, pl.Boolean):
        raise columns.refused(ctx, "filter", f"a condition is true or false; this is {dtypes.name_of(condition.dtype)}")
    return frame.rows(lambda lf: row_sql.where(lf, condition, (ctx.step, "config.filter")))


def snake_case(names: Sequence[str]) -> dict[str, str]:
    """Each name in snake_case, letters of all scripts kept; doubles get ``_2``, ``_3``; an empty one its place."""
    taken: set[str] = set()
    found: dict[str, str] = {}
    for place, name in enumerate(names, 1):
        text = unicodedata.normalize("NFKC", name)
        text = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text)
        text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", text)
        base = re.sub(r"[\W_]+", "_", text.lower()).strip("_") or f"column_{place}"
        new, count = base, 1
        while new in taken:
            count += 1
            new = f"{base}_{count}"
        taken.add(new)
        found[name] = new
    return found
