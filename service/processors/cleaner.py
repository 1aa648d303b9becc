"""Cleaner: names, types, missing values, outliers and duplicates, in one fixed order.

The settings apply in the order of the fields; use two cleaners for another order. Everything is row-local but the
fits (``fill_na``, ``outliers``) and ``drop_duplicates``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar

import msgspec

from service.kit import errors, lazy
from service.kit.errors import Problem
from service.processors.cleaning import cast_quarantine, fill, names, rows, strings, types
from service.processors.settings import columns
from service.processors.settings.columns import Name, Scalar
from service.processors.validation import originals
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.steps.metric import Metric
from service.steps.processor import Processor
from service.values import dtypes
from service.values.losses import ORIGINALS

if TYPE_CHECKING:
    import polars as pl

    from service.engine import row_sql
    from service.expressions import scalar
    from service.values import polars_errors
else:
    row_sql = lazy.module("service.engine.row_sql")
    scalar = lazy.module("service.expressions.scalar")
    pl = lazy.module("polars")
    polars_errors = lazy.module("service.values.polars_errors")

Names = Annotated[list[Name], msgspec.Meta(min_length=1)]
T = TypeVar("T")


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
        bool,
        msgspec.Meta(description="snake_case for all names: 'Order ID' becomes order_id; repeated ones get _2, _3."),
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
        dict[Name, dict[str, Scalar]], msgspec.Meta(description="Per column: old value to new value.")
    ] = {}
    cast: Annotated[
        dict[Name, str | types.Cast],
        msgspec.Meta(
            description="Per column: the type it gets. Text is trimmed; 12.0 and 1e3 are whole numbers, too, booleans "
            "true/t/yes/y/on/1 and false/f/no/n/off/0 in any case, dates and times ISO 8601. An offset is followed; "
            "without one a time is local in datetime[zone] (the earlier of two; a skipped one is bad). A duration "
            "becomes seconds. A JSON array as text becomes a list, each of its values by these rules."
        ),
    ] = {}
    filter: Annotated[str | None, msgspec.Meta(description="A SQL condition over one row; other rows are dropped.")] = (
        None
    )
    drop_na: Annotated[
        bool | Names | rows.DropMissing,
        msgspec.Meta(description="Drop rows with missing values: anywhere, or in these."),
    ] = False
    fill_na: Annotated[
        dict[Name, Scalar | fill.Fill], msgspec.Meta(description="Per column: a value, or {strategy: …}.")
    ] = {}
    outliers: Annotated[
        dict[Name, fill.Outlier], msgspec.Meta(description="Per column: how to find outliers and what to do with them.")
    ] = {}
    drop_duplicates: Annotated[
        bool | Names | rows.DropDuplicates, msgspec.Meta(description="Drop repeated rows, or rows with a repeated key.")
    ] = False
    missing_columns: Annotated[
        Literal["error", "ignore"],
        msgspec.Meta(
            description="Absent columns in settings: an error, or a warning. In filter and fill_na always an error."
        ),
    ] = "error"

    max_lost_share: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=1,
            description="The run fails where a cast turns a greater share of a column's values into missing ones, also "
            "under on_error: null; 1 accepts all.",
        ),
    ] = 0.5

    def spelled_out(self) -> Self:
        cast = {name: types.long_form(setting) for name, setting in self.cast.items()}
        return msgspec.structs.replace(
            self,
            cast=cast,
            drop_na=rows.long_form(self.drop_na, rows.DropMissing) or False,
            drop_duplicates=rows.long_form(self.drop_duplicates, rows.DropDuplicates) or False,
        )

    def problems(self) -> Iterable[Problem]:
        for column, setting in self.cast.items():
            yield from types.problems(f"cast.{column}", setting)
        if self.filter is not None:
            try:
                scalar.parse(self.filter)
            except ValueError as error:
                yield Problem("filter", str(error))
        yield from columns.repeated("rename_columns", self.rename_columns.values())
        yield from columns.repeated("select_columns", self.select_columns)
        for column, outlier in self.outliers.items():
            if outlier.method == "quantile" and (outlier.factor or 0) >= 0.5:
                yield Problem(f"outliers.{column}.factor", "the share at each end must be below 0.5")
        for column, value in self.fill_na.items():
            if value is None:
                yield Problem(f"fill_na.{column}", "null fills nothing; give a value or {strategy: …}")
            elif isinstance(value, fill.Fill) and (wrong := value.conflict()) is not None:
                yield Problem(f"fill_na.{column}", wrong)
        rule = self.drop_duplicates
        if isinstance(rule, rows.DropDuplicates) and rule.order and rule.keep not in ("first", "last"):
            yield Problem("drop_duplicates.order_by", f"applies to keep first or last, not to {rule.keep}")

    def again(self) -> Cleaner:
        return msgspec.structs.replace(self, missing_columns="ignore")

    def must_repeat(self, schema: pl.Schema) -> bool:
        wanted = {column: types.long_form(setting).target for column, setting in self.cast.items()}
        return any(isinstance(schema.get(c), pl.String) and not isinstance(t, pl.String) for c, t in wanted.items())

    def apply(self, frame: Frame, ctx: ProcessContext) -> Frame:
        with polars_errors.attributed(ctx.step):
            if self._quarantines and not ctx.replay:
                frame.measure([Metric("", "rows")])  # stages: rows that fail are read again as they came
            typed = self._types(frame, self._texts(self._names(frame, ctx), ctx), ctx)
            result = self._unique(self._filled(self._filtered(typed, ctx), ctx), ctx)
            return originals.settle(result, wanted=ctx.keep_originals)

    @property
    def carries_originals(self) -> bool:
        return True

    @property
    def shows_originals(self) -> bool:
        return self._quarantines

    def former_names(self) -> Mapping[str, str]:
        return {new: old for old, new in self.rename_columns.items()}

    @property
    def _quarantines(self) -> bool:
        return any(types.long_form(setting).on_error == "quarantine" for setting in self.cast.values())

    def _existing(
        self, names: Iterable[str], known: Collection[str], ctx: ProcessContext, field: str, *, dot: bool = True
    ) -> list[str]:
        """The ``names`` that are columns. Raises ``errors.Permanent`` for another, or warns under ``missing_columns``.

        The error is at ``field``; with ``dot`` at ``field.name``.
        """
        existing = []
        for name in dict.fromkeys(names):
            where = f"{field}.{name}" if dot else field
            if name in known:
                existing.append(name)
            elif self.missing_columns == "error":
                raise columns.missing_column(ctx, where, name, known)
            else:
                hint = errors.did_you_mean(name, known)
                ctx.warn(
                    "missing_column",
                    f"{where}: no column '{name}' here{hint}; ignored",
                    column=name,
                    field=f"config.{where}",
                )
        return existing

    def _settings(self, settings: Mapping[str, T], frame: Frame, ctx: ProcessContext, field: str) -> dict[str, T]:
        return {name: settings[name] for name in self._existing(settings, frame.schema, ctx, field)}

    # -- names -----------------------------------------------------------------------------------------------

    def _names(self, frame: Frame, ctx: ProcessContext) -> Frame:
        if self.normalize_names:
            frame = originals.follow(frame, names.snake_case(originals.visible(frame.schema)))
        if self.rename_columns:
            known = originals.visible(frame.schema)
            chosen = {
                n: self.rename_columns[n] for n in self._existing(self.rename_columns, known, ctx, "rename_columns")
            }
            for old, new in chosen.items():
                columns.require_free(ctx, f"rename_columns.{old}", new, [n for n in known if n not in chosen])
            frame = originals.follow(frame, chosen)
        if self.drop_columns:
            dropped = self._existing(self.drop_columns, frame.schema, ctx, "drop_columns", dot=False)
            frame = frame.rows(lambda lf: lf.drop(dropped))
        if self.select_columns:
            selected = self._existing(self.select_columns, frame.schema, ctx, "select_columns", dot=False)
            hidden = [name for name in frame.schema if name == ORIGINALS]
            frame = frame.rows(lambda lf: lf.select(*selected, *hidden))
        if not originals.visible(frame.schema):
            raise columns.setting_error(
                ctx, "select_columns" if self.select_columns else "drop_columns", "no column is left"
            )
        return frame

    # -- values ----------------------------------------------------------------------------------------------

    def _texts(self, frame: Frame, ctx: ProcessContext) -> Frame:
        if self.strip_strings:
            named = None
            if isinstance(self.strip_strings, list):
                named = self._existing(self.strip_strings, frame.schema, ctx, "strip_strings", dot=False)
            frame = strings.strip(frame, named, ctx)
        if self.null_values:
            frame = strings.clear(frame, self.null_values)
        return strings.replace(frame, self._settings(self.replace, frame, ctx, "replace"), ctx)

    def _types(self, incoming: Frame, frame: Frame, ctx: ProcessContext) -> Frame:
        settings = {c: types.long_form(s) for c, s in self._settings(self.cast, frame, ctx, "cast").items()}
        most = None if ctx.partial else self.max_lost_share
        quarantining = {c: s for c, s in settings.items() if s.on_error == "quarantine"}
        if quarantining:
            frame = cast_quarantine.take_out(incoming, frame, quarantining, ctx)
        return types.cast_columns(frame, settings, most, ctx)

    def _filtered(self, frame: Frame, ctx: ProcessContext) -> Frame:
        if self.filter is not None:
            frame = _where(frame, self.filter, ctx)
        rule = rows.long_form(self.drop_na, rows.DropMissing)
        if rule is None:
            return frame
        schema = frame.schema
        chosen = (
            self._existing(rule.columns, schema, ctx, "drop_na", dot=False)
            if rule.columns
            else originals.visible(schema)
        )
        missing = [columns.is_missing(schema, n) for n in chosen]
        if not missing:
            return frame
        drop = pl.any_horizontal(missing) if rule.how == "any" else pl.all_horizontal(missing)
        return frame.rows(lambda lf: lf.filter(~drop))

    def _filled(self, frame: Frame, ctx: ProcessContext) -> Frame:
        if self.fill_na and (chosen := self._settings(self.fill_na, frame, ctx, "fill_na")):
            frame = fill.fill(frame, chosen, ctx)
        if self.outliers and (bounds := self._settings(self.outliers, frame, ctx, "outliers")):
            frame = fill.outliers(frame, bounds, ctx)
        return frame

    def _unique(self, frame: Frame, ctx: ProcessContext) -> Frame:
        rule = rows.long_form(self.drop_duplicates, rows.DropDuplicates)
        if rule is None:
            return frame
        order = self._existing(rule.order, frame.schema, ctx, "drop_duplicates.order_by", dot=False)
        keys = originals.visible(frame.schema)
        if rule.columns:
            keys = self._existing(rule.columns, frame.schema, ctx, "drop_duplicates", dot=False)
        if not order:
            return frame.distinct(keys, keep=rule.keep) if keys else frame
        mark = columns.unused_name("_chosen", frame.schema)
        position, last = pl.int_range(pl.len()), pl.len() - 1
        chosen = position == (0 if rule.keep == "first" else last)
        ordered = frame.per_group(keys, order, [chosen.alias(mark)])
        return ordered.rows(lambda lf: lf.filter(pl.col(mark)).drop(mark))


def _where(frame: Frame, text: str, ctx: ProcessContext) -> Frame:
    try:
        condition = row_sql.compiled(text, frame.schema)
    except ValueError as error:
        raise columns.setting_error(ctx, "filter", str(error)) from error
    if not isinstance(condition.dtype, pl.Boolean):
        raise columns.setting_error(
            ctx, "filter", f"a condition must be boolean; this is {dtypes.name_of(condition.dtype)}"
        )
    return frame.rows(lambda lf: row_sql.where(lf, condition, (ctx.step, "config.filter")))
