"""Transformer: new and scaled columns for models, in one fixed order.

The settings apply in the order of the fields. Constants and categories are fitted by ``measure`` and go into the
plan as literals; the same numbers are recorded, so that a model server can transform one row alike. Metrics of
unchanged input columns are measured on the input frame, where an analyzer may have measured them already. After a
split, only its training rows are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import msgspec

from service.kit import lazy
from service.kit.errors import Problem
from service.processors.features import aggregate as aggregating
from service.processors.features import bins, calendar, category_room, scale, windows
from service.processors.features import encode as encoding
from service.processors.features import split as splitting
from service.processors.settings import columns, texts
from service.processors.settings.columns import Name
from service.processors.validation import originals
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.steps.metric import Metric, Values
from service.steps.processor import Processor
from service.values.losses import ORIGINALS, Conversion

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


class Transformer(Processor, frozen=True, kw_only=True, tag="transformer"):
    """Makes columns: derived, date parts, scaled, encoded. The settings apply in the order in which they are listed."""

    static: ClassVar[bool] = True
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "transformer",
        "config": {
            "derive": {"total": "price * quantity"},
            "datetime": {"ordered_at": {"parts": ["year", "month"], "cyclical": ["weekday"], "drop": False}},
            "bin": {"age": {"method": "edges", "edges": [0, 18, 65, 120], "labels": ["child", "adult", "senior"]}},
            "normalize": {"price": "standard", "total": {"method": "minmax", "into": "total_scaled"}},
            "encode": {"city": {"method": "onehot", "max_categories": 20, "handle_unknown": "other"}},
            "text": {"notes": ["length", "words"]},
            "lag": {"total": {"by": ["customer_id"], "order_by": ["ordered_at"], "periods": [1]}},
            "rolling": {"total": {"function": "mean", "window": 7, "order_by": ["ordered_at"]}},
            "split": {"key": "customer_id", "shares": {"train": 0.8, "test": 0.2}},
            "sort": ["-price", "order_id"],
        },
    }

    rename_columns: Annotated[dict[Name, Name], msgspec.Meta(description="Old name to new name, all at once.")] = {}
    derive: Annotated[
        dict[Name, str],
        msgspec.Meta(
            description="New column to a SQL expression over one row, which may use earlier new columns. 5 / 2 is 2.5, "
            "5 // 2 is 2, and whole numbers have 64 bits; round goes to the even neighbour, a cast to whole numbers "
            "cuts, TRY_CAST turns a bad value into null. A difference of times is a duration; a cleaner can "
            "cast it to seconds."
        ),
    ] = {}
    datetime: Annotated[
        dict[Name, calendar.Calendar], msgspec.Meta(description="Per column: the parts to make columns of.")
    ] = {}
    bin: Annotated[dict[Name, bins.Bin], msgspec.Meta(description="Per column: how to cut it into bins.")] = {}
    normalize: Annotated[
        dict[Name, scale.Method | scale.Normalize], msgspec.Meta(description="Per column: how to scale it.")
    ] = {}
    encode: Annotated[
        dict[Name, encoding.Method | encoding.Encode], msgspec.Meta(description="Per column: how to encode it.")
    ] = {}
    text: Annotated[
        dict[Name, Annotated[list[texts.Feature], msgspec.Meta(min_length=1)]],
        msgspec.Meta(description="Per text column: length, words, lower."),
    ] = {}
    lag: Annotated[dict[Name, windows.Lag], msgspec.Meta(description="Per column: values of earlier rows.")] = {}
    rolling: Annotated[
        dict[Name, windows.Rolling], msgspec.Meta(description="Per column: a statistic of the rows up to this one.")
    ] = {}
    aggregate: Annotated[
        aggregating.Aggregate | None, msgspec.Meta(description="One row per group instead of the rows.")
    ] = None
    split: Annotated[
        splitting.SplitSettings | None,
        msgspec.Meta(description="A column that names the part of each row: train, test …"),
    ] = None
    select: Annotated[list[Name], msgspec.Meta(description="The only columns to keep, in this order.")] = []
    sort: Annotated[
        list[Name], msgspec.Meta(description="Columns to sort by; '-price' is descending; missing (NaN too) last.")
    ] = []

    def spelled_out(self) -> Self:
        normalize = {name: _normalize(setting) for name, setting in self.normalize.items()}
        encode = {name: _encode(setting) for name, setting in self.encode.items()}
        return msgspec.structs.replace(self, normalize=normalize, encode=encode)

    def problems(self) -> Iterable[Problem]:
        for name, text in self.derive.items():
            try:
                scalar.parse(text)
            except ValueError as error:
                yield Problem(f"derive.{name}", str(error))
        for name, setting in self.datetime.items():
            if not setting.parts and not setting.cyclical:
                yield Problem(f"datetime.{name}", "name parts or cyclical parts")
        for name in self.encode:
            if name in self.normalize and _normalize(self.normalize[name]).into is None:
                yield Problem(f"encode.{name}", "'normalize' replaces the column first; scale it 'into' another column")
            wrong = _encode(self.encode[name]).conflict()
            if wrong:
                yield Problem(f"encode.{name}", wrong)
        for name, cut in self.bin.items():
            yield from _prefixed(f"bin.{name}", cut.conflict())
            if name in self.normalize and cut.into is None:
                yield Problem(f"normalize.{name}", "'bin' replaces the column first; bin it 'into' another column")
        for name, lag in self.lag.items():
            yield from _prefixed(f"lag.{name}", windows.lag_problems(lag))
        for name, rolling in self.rolling.items():
            yield from _prefixed(f"rolling.{name}", windows.rolling_problems(rolling))
        for part, value in (("aggregate", self.aggregate), ("split", self.split)):
            yield from _prefixed(part, value.conflict()) if value is not None else ()
        for field, names in (("rename_columns", list(self.rename_columns.values())), ("select", self.select)):
            yield from columns.repeated(field, names)

    @property
    def carries_originals(self) -> bool:
        return self.aggregate is None

    def former_names(self) -> Mapping[str, str]:
        return {new: old for old, new in self.rename_columns.items()}

    def apply(self, frame: Frame, ctx: ProcessContext) -> Frame:
        former = {new: old for old, new in self.rename_columns.items()}
        with polars_errors.attributed(ctx.step), category_room.attributed(self.encode, former, ctx):
            for column in self.rename_columns:
                _require_column(ctx, f"rename_columns.{column}", column, frame.schema)
            # measured before any plan is built on the frame, so that the plan starts from its stage
            early = splitting.measure(frame, self._early_metrics(frame.schema, ctx), ctx)
            result = self._derived(self._renamed(frame, ctx), ctx)
            result = self._binned(result, early, ctx)
            early = self._still_valid(early, [c for c, s in self.bin.items() if s.into is None])
            result = self._scaled(result, early, ctx)
            early = self._still_valid(early, [c for c, s in self.normalize.items() if _normalize(s).into is None])
            result = self._windowed(self._encoded(result, early, ctx), ctx)
            return originals.settle(self._arranged(result, ctx), wanted=ctx.keep_originals)

    def _still_valid(self, early: Values, replaced: Collection[str]) -> Values:
        """The answers that are still valid when the columns ``replaced`` have new values."""
        former = {new: old for old, new in self.rename_columns.items()}
        stale = {former.get(column, column) for column in replaced}
        return {metric: answer for metric, answer in early.items() if metric.column not in stale}

    def _early_metrics(self, schema: pl.Schema, ctx: ProcessContext) -> list[Metric]:
        """The metrics of input columns, under their input names."""
        renamed = pl.Schema({self.rename_columns.get(old, old): dtype for old, dtype in schema.items()})
        former = {new: old for old, new in self.rename_columns.items()}
        early: list[Metric] = []
        for name, dtype in renamed.items():
            if name in self.bin:
                early += bins.metrics(name, self.bin[name], dtype, ctx)
            if name in self.bin and self.bin[name].into is None:
                continue
            if name in self.normalize:
                early += scale.metrics(name, _normalize(self.normalize[name]), dtype, ctx)
            if name in self.encode and _encode(self.encode[name]).method != "target":
                early += encoding.metrics(name, _encode(self.encode[name]), renamed, ctx)
        return [_with_column(metric, former.get(metric.column, metric.column)) for metric in early]

    def _answers(self, frame: Frame, early: Values, wanted: list[Metric], ctx: ProcessContext) -> dict[Metric, Any]:
        """The answers: from ``early`` where the column is an unchanged input column (a new one may reuse its name)."""
        former = {new: old for old, new in self.rename_columns.items()}
        came = {old: new for new, old in former.items()}
        known: dict[Metric, Any] = {}
        for metric in wanted:
            first = _with_column(metric, former.get(metric.column, metric.column))
            if first in early and came.get(first.column, first.column) == metric.column:
                known[metric] = early[first]
        return {**known, **splitting.measure(frame, [m for m in wanted if m not in known], ctx)}

    # -- the parts, in order ------------------------------------------------------------------------------------

    def _renamed(self, frame: Frame, ctx: ProcessContext) -> Frame:
        names = self.rename_columns
        for old, new in names.items():
            columns.require_free(ctx, f"rename_columns.{old}", new, [n for n in frame.schema if n not in names])
        return originals.follow(frame, names) if names else frame

    def _derived(self, frame: Frame, ctx: ProcessContext) -> Frame:
        for name, text in self.derive.items():
            columns.require_free(ctx, f"derive.{name}", name, frame.schema)
            frame = _with_derived(frame, name, text, ctx)
        dropped = [c for c, s in self.datetime.items() if s.drop]
        frame = _with_new(frame, ctx, "datetime", self.datetime, lambda c, s: calendar.parts(c, s, frame.schema, ctx))
        return frame.rows(lambda lf: lf.drop(dropped)) if dropped else frame

    def _binned(self, frame: Frame, early: Values, ctx: ProcessContext) -> Frame:
        schema, names = frame.schema, list(frame.schema)
        wanted: list[Metric] = []
        for column, setting in self.bin.items():
            _require_column(ctx, f"bin.{column}", column, schema)
            _reserve_name(ctx, f"bin.{column}.into", setting.into, names)
            wanted += bins.metrics(column, setting, schema[column], ctx)
        if not self.bin:
            return frame
        answers = self._answers(frame, early, wanted, ctx)
        constants = {c: bins.fit(c, s, answers, ctx) for c, s in self.bin.items()}
        ctx.record("bin", constants)
        binned = [bins.expression(c, s, constants[c], schema[c]) for c, s in self.bin.items()]
        return frame.convert(ctx.step, binned)

    def _scaled(self, frame: Frame, early: Values, ctx: ProcessContext) -> Frame:
        schema, names = frame.schema, list(frame.schema)
        wanted: list[Metric] = []
        settings = {c: _normalize(s) for c, s in self.normalize.items()}
        for column, setting in settings.items():
            _require_column(ctx, f"normalize.{column}", column, schema)
            _reserve_name(ctx, f"normalize.{column}.into", setting.into, names)
            wanted += scale.metrics(column, setting, schema[column], ctx)
        if not settings:
            return frame
        answers = self._answers(frame, early, wanted, ctx)
        constants = {c: scale.fit(c, s, answers, ctx) for c, s in settings.items()}
        ctx.record("normalize", constants)
        scaled = [scale.expression(c, s, constants[c]) for c, s in settings.items()]
        return frame.convert(ctx.step, scaled)

    def _encoded(self, frame: Frame, early: Values, ctx: ProcessContext) -> Frame:
        if not self.encode:
            return frame
        schema = frame.schema
        settings = {c: _encode(s) for c, s in self.encode.items()}
        wanted: list[Metric] = []
        for column, setting in settings.items():
            _require_column(ctx, f"encode.{column}", column, schema)
            wanted += encoding.metrics(column, setting, schema, ctx)
        answers = self._answers(frame, early, wanted, ctx)
        fitted = {c: encoding.fit(c, s, schema[c], answers, ctx) for c, s in settings.items()}
        for column in [c for c, s in settings.items() if s.dynamic_columns]:
            ctx.add_dynamic_columns(f"config.encode.{column}")
        ctx.record("encode", {c: encoding.record(settings[c], fitted[c]) for c in settings})
        outputs: dict[str, list[pl.Expr | Conversion]] = {}
        staying = [n for n in schema if n not in settings or settings[n].keep or settings[n].into is not None]
        names = list(staying)
        for column in schema:
            outputs[column] = [pl.col(column)] if column in staying else []
            if column in settings:
                encoded = encoding.expressions(column, settings[column], fitted[column], schema, ctx)
                for expr in encoded:
                    columns.require_free(ctx, f"encode.{column}", expr.meta.output_name(), names)
                    names.append(expr.meta.output_name())
                outputs[column] += encoding.count_unknown(
                    column, settings[column], fitted[column], schema, encoded, ctx
                )
        return frame.convert(ctx.step, [e for expressions in outputs.values() for e in expressions], only=True)

    def _windowed(self, frame: Frame, ctx: ProcessContext) -> Frame:
        frame = _with_new(frame, ctx, "text", self.text, lambda c, f: texts.expressions(c, f, frame.schema[c], ctx))
        for column, lag in self.lag.items():
            windows.require_columns("lag", column, lag, frame.schema, ctx)
            lagged = windows.lag(column, lag)
            _require_all_free(ctx, f"lag.{column}", lagged, frame.schema)
            frame = frame.per_group(lag.groups, lag.order, lagged)
        for column, rolling in self.rolling.items():
            windows.require_columns("rolling", column, rolling, frame.schema, ctx)
            rolled = windows.rolling(column, rolling, frame.schema, ctx)
            _require_all_free(ctx, f"rolling.{column}", rolled, frame.schema)
            frame = frame.per_group(rolling.groups, rolling.order, rolled)
        return frame

    def _arranged(self, frame: Frame, ctx: ProcessContext) -> Frame:
        if self.aggregate is not None:
            frame = aggregating.aggregate(frame, self.aggregate, ctx)
        if self.split is not None:
            frame = splitting.split(frame, self.split, ctx)
        for column in self.select:
            _require_column(ctx, "select", column, frame.schema)
        if self.select:
            hidden = [name for name in frame.schema if name == ORIGINALS]
            frame = frame.rows(lambda lf: lf.select(*self.select, *hidden))
        if self.sort:
            keys = [k if k in frame.schema else k.removeprefix("-") for k in self.sort]
            for key in keys:
                _require_column(ctx, "sort", key, frame.schema)
            frame = frame.sort(keys, descending=[k != s for k, s in zip(keys, self.sort, strict=True)])
        return frame


def _with_new(
    frame: Frame, ctx: ProcessContext, field: str, settings: dict[str, Any], make: Callable[[str, Any], list[pl.Expr]]
) -> Frame:
    """The frame with the new columns of each setting. Raises ``errors.Permanent`` where a name is taken."""
    added: list[pl.Expr] = []
    names = list(frame.schema)
    for column, setting in settings.items():
        _require_column(ctx, f"{field}.{column}", column, frame.schema)
        for expr in make(column, setting):
            columns.require_free(ctx, f"{field}.{column}", expr.meta.output_name(), names)
            names.append(expr.meta.output_name())
            added.append(expr)
    return frame.rows(lambda lf: lf.with_columns(added)) if added else frame


def _with_derived(frame: Frame, name: str, text: str, ctx: ProcessContext) -> Frame:
    try:
        expression = row_sql.compiled(text, frame.schema)
    except ValueError as error:
        raise columns.setting_error(ctx, f"derive.{name}", str(error)) from error
    return frame.rows(lambda lf: row_sql.derive(lf, name, expression, (ctx.step, f"config.derive.{name}")))


def _prefixed(field: str, wrong: Iterable[tuple[str, str]]) -> Iterable[Problem]:
    return (Problem(f"{field}.{setting}", message) for setting, message in wrong)


def _reserve_name(ctx: ProcessContext, field: str, new: str | None, names: list[str]) -> None:
    if new is not None:
        columns.require_free(ctx, field, new, names)
        names.append(new)


def _require_all_free(ctx: ProcessContext, field: str, new: list[pl.Expr], schema: pl.Schema) -> None:
    for expr in new:
        columns.require_free(ctx, field, expr.meta.output_name(), schema)


def _require_column(ctx: ProcessContext, field: str, column: str, schema: pl.Schema) -> None:
    if column not in schema:
        raise columns.missing_column(ctx, field, column, schema)


def _with_column(metric: Metric, column: str) -> Metric:
    return msgspec.structs.replace(metric, column=column) if metric.column else metric


def _normalize(setting: scale.Method | scale.Normalize) -> scale.Normalize:
    return scale.Normalize(setting) if isinstance(setting, str) else setting


def _encode(setting: encoding.Method | encoding.Encode) -> encoding.Encode:
    return encoding.Encode(setting) if isinstance(setting, str) else setting
