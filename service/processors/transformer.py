"""Transformer: new and scaled columns for models, in one fixed order.

The fields stand in the order in which they apply. Numbers and categories are fitted by ``measure`` and go into the
plan as literals; what is recorded is what a model server needs to do the same to one row. A column that came in as
it is asked for where it came in, so that what an analyzer measured there is not computed twice. Where a split came
before, only its training rows are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Annotated, Any, ClassVar, Self

import msgspec
import polars as pl

from service.engine import row_sql
from service.expressions import scalar
from service.kit.errors import Problem
from service.processors.features import aggregate as aggregating
from service.processors.features import bins, calendar, scale, windows
from service.processors.features import encode as encoding
from service.processors.features import split as splitting
from service.processors.settings import columns, texts
from service.processors.settings.columns import Name
from service.steps.context import Context
from service.steps.frame import Frame
from service.steps.metric import Metric, Values
from service.steps.processor import Processor
from service.values import polars_errors


class Transformer(Processor, frozen=True, kw_only=True, tag="transformer"):
    """Makes columns: derived, of date parts, scaled, encoded. The settings apply in the order they are listed."""

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
            description="New column to a SQL expression over one row; may use earlier ones. 5 / 2 is 2.5, 5 // 2 is 2, "
            "and whole numbers count in 64 bits; "
            "round goes to the even neighbour, a cast to whole numbers cuts, TRY_CAST makes what does not fit missing. "
            "A difference of times is a duration; cast in a cleaner it is seconds."
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
    lag: Annotated[dict[Name, windows.Lag], msgspec.Meta(description="Per column: values of rows before.")] = {}
    rolling: Annotated[
        dict[Name, windows.Rolling], msgspec.Meta(description="Per column: a statistic of the rows up to this one.")
    ] = {}
    aggregate: Annotated[
        aggregating.Aggregate | None, msgspec.Meta(description="One row a group, instead of the rows.")
    ] = None
    split: Annotated[
        splitting.SplitSettings | None,
        msgspec.Meta(description="A column that says which part a row is in: train, test …"),
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
                yield Problem(f"encode.{name}", "the column is scaled in place before; scale it 'into' another")
            wrong = _encode(self.encode[name]).wrong()
            if wrong:
                yield Problem(f"encode.{name}", wrong)
        for name, cut in self.bin.items():
            yield from _each(f"bin.{name}", cut.wrong())
            if name in self.normalize and cut.into is None:
                yield Problem(f"normalize.{name}", "the column is cut into bins in place before; bin it 'into' another")
        for name, lag in self.lag.items():
            yield from _each(f"lag.{name}", windows.wrong_lag(lag))
        for name, rolling in self.rolling.items():
            yield from _each(f"rolling.{name}", windows.wrong_rolling(rolling))
        for part, value in (("aggregate", self.aggregate), ("split", self.split)):
            yield from _each(part, value.wrong()) if value is not None else ()
        for field, names in (("rename_columns", list(self.rename_columns.values())), ("select", self.select)):
            for twice in sorted({n for n in names if names.count(n) > 1}):
                yield Problem(field, f"'{twice}' stands there twice")

    def apply(self, frame: Frame, ctx: Context) -> Frame:
        with polars_errors.attributed(ctx.step):
            for column in self.rename_columns:
                _known(ctx, f"rename_columns.{column}", column, frame.schema)
            # asked before anything is built on the frame, so that what is built starts from its stage
            early = splitting.measured(frame, self._early(frame.schema, ctx), ctx)
            made = self._derived(self._renamed(frame, ctx), ctx)
            made = self._binned(made, early, ctx)
            early = self._still(early, [c for c, s in self.bin.items() if s.into is None])
            made = self._scaled(made, early, ctx)
            early = self._still(early, [c for c, s in self.normalize.items() if _normalize(s).into is None])
            made = self._windowed(self._encoded(made, early, ctx), ctx)
            return self._arranged(made, ctx)

    def _still(self, early: Values, replaced: Collection[str]) -> Values:
        """The answers that hold where the columns ``replaced`` have other values now."""
        former = {new: old for old, new in self.rename_columns.items()}
        gone = {former.get(column, column) for column in replaced}
        return {metric: answer for metric, answer in early.items() if metric.column not in gone}

    def _early(self, schema: pl.Schema, ctx: Context) -> list[Metric]:
        """The questions about columns that came in, under the names they came in with."""
        renamed = pl.Schema({self.rename_columns.get(old, old): dtype for old, dtype in schema.items()})
        former = {new: old for old, new in self.rename_columns.items()}
        asked: list[Metric] = []
        for name, dtype in renamed.items():
            if name in self.bin:
                asked += bins.questions(name, self.bin[name], dtype, ctx)
            if name in self.bin and self.bin[name].into is None:
                continue
            if name in self.normalize:
                asked += scale.questions(name, _normalize(self.normalize[name]), dtype, ctx)
            if name in self.encode and _encode(self.encode[name]).method != "target":
                asked += encoding.questions(name, _encode(self.encode[name]), renamed, ctx)
        return [_of(metric, former.get(metric.column, metric.column)) for metric in asked]

    def _answers(self, frame: Frame, early: Values, wanted: list[Metric], ctx: Context) -> dict[Metric, Any]:
        """The answers, from before where the column came in as it is (a derived one may have a former name)."""
        former = {new: old for old, new in self.rename_columns.items()}
        came = {old: new for new, old in former.items()}
        known: dict[Metric, Any] = {}
        for metric in wanted:
            first = _of(metric, former.get(metric.column, metric.column))
            if first in early and came.get(first.column, first.column) == metric.column:
                known[metric] = early[first]
        return {**known, **splitting.measured(frame, [m for m in wanted if m not in known], ctx)}

    # -- in order ---------------------------------------------------------------------------------------------

    def _renamed(self, frame: Frame, ctx: Context) -> Frame:
        names = self.rename_columns
        for old, new in names.items():
            columns.free(ctx, f"rename_columns.{old}", new, [n for n in frame.schema if n not in names])
        return frame.rows(lambda lf: lf.rename(names)) if names else frame

    def _derived(self, frame: Frame, ctx: Context) -> Frame:
        for name, text in self.derive.items():
            columns.free(ctx, f"derive.{name}", name, frame.schema)
            frame = _with_derived(frame, name, text, ctx)
        gone = [c for c, s in self.datetime.items() if s.drop]
        frame = _with_new(frame, ctx, "datetime", self.datetime, lambda c, s: calendar.parts(c, s, frame.schema, ctx))
        return frame.rows(lambda lf: lf.drop(gone)) if gone else frame

    def _binned(self, frame: Frame, early: Values, ctx: Context) -> Frame:
        schema, names = frame.schema, list(frame.schema)
        wanted: list[Metric] = []
        for column, setting in self.bin.items():
            _known(ctx, f"bin.{column}", column, schema)
            _into(ctx, f"bin.{column}.into", setting.into, names)
            wanted += bins.questions(column, setting, schema[column], ctx)
        if not self.bin:
            return frame
        answers = self._answers(frame, early, wanted, ctx)
        constants = {c: bins.fitted(c, s, answers, ctx) for c, s in self.bin.items()}
        ctx.record("bin", constants)
        made = [bins.binned(c, s, constants[c], schema[c]) for c, s in self.bin.items()]
        return frame.rows(lambda lf: lf.with_columns(made))

    def _scaled(self, frame: Frame, early: Values, ctx: Context) -> Frame:
        schema, names = frame.schema, list(frame.schema)
        wanted: list[Metric] = []
        settings = {c: _normalize(s) for c, s in self.normalize.items()}
        for column, setting in settings.items():
            _known(ctx, f"normalize.{column}", column, schema)
            _into(ctx, f"normalize.{column}.into", setting.into, names)
            wanted += scale.questions(column, setting, schema[column], ctx)
        if not settings:
            return frame
        answers = self._answers(frame, early, wanted, ctx)
        constants = {c: scale.fitted(c, s, answers, ctx) for c, s in settings.items()}
        ctx.record("normalize", constants)
        made = [scale.scaled(c, s, constants[c]) for c, s in settings.items()]
        return frame.rows(lambda lf: lf.with_columns(made))

    def _encoded(self, frame: Frame, early: Values, ctx: Context) -> Frame:
        if not self.encode:
            return frame
        schema = frame.schema
        settings = {c: _encode(s) for c, s in self.encode.items()}
        wanted: list[Metric] = []
        for column, setting in settings.items():
            _known(ctx, f"encode.{column}", column, schema)
            wanted += encoding.questions(column, setting, schema, ctx)
        answers = self._answers(frame, early, wanted, ctx)
        fitted = {c: encoding.fitted(c, s, schema[c], answers, ctx) for c, s in settings.items()}
        ctx.dynamic_columns += [f"{ctx.step}.config.encode.{c}" for c, s in settings.items() if s.dynamic_columns]
        ctx.record("encode", {c: encoding.recorded(settings[c], fitted[c]) for c in settings})
        places: dict[str, list[pl.Expr]] = {}
        staying = [n for n in schema if n not in settings or settings[n].keep or settings[n].into is not None]
        names = list(staying)
        for column in schema:
            places[column] = [pl.col(column)] if column in staying else []
            if column in settings:
                made = encoding.encoded(column, settings[column], fitted[column], schema, ctx)
                for expr in made:
                    columns.free(ctx, f"encode.{column}", expr.meta.output_name(), names)
                    names.append(expr.meta.output_name())
                places[column] += made
        return frame.rows(lambda lf: lf.select([e for made in places.values() for e in made]))

    def _windowed(self, frame: Frame, ctx: Context) -> Frame:
        frame = _with_new(frame, ctx, "text", self.text, lambda c, f: texts.made(c, f, frame.schema[c], ctx))
        for column, lag in self.lag.items():
            windows.there("lag", column, lag, frame.schema, ctx)
            made = windows.lagged(column, lag)
            _all_free(ctx, f"lag.{column}", made, frame.schema)
            frame = frame.per_group(lag.groups, lag.order, made)
        for column, rolling in self.rolling.items():
            windows.there("rolling", column, rolling, frame.schema, ctx)
            made = windows.rolled(column, rolling, frame.schema, ctx)
            _all_free(ctx, f"rolling.{column}", made, frame.schema)
            frame = frame.per_group(rolling.groups, rolling.order, made)
        return frame

    def _arranged(self, frame: Frame, ctx: Context) -> Frame:
        if self.aggregate is not None:
            frame = aggregating.aggregate(frame, self.aggregate, ctx)
        if self.split is not None:
            frame = splitting.split(frame, self.split, ctx)
        for column in self.select:
            _known(ctx, "select", column, frame.schema)
        if self.select:
            frame = frame.rows(lambda lf: lf.select(self.select))
        if self.sort:
            keys = [k if k in frame.schema else k.removeprefix("-") for k in self.sort]
            for key in keys:
                _known(ctx, "sort", key, frame.schema)
            frame = frame.sort(keys, descending=[k != s for k, s in zip(keys, self.sort, strict=True)])
        return frame


def _with_new(
    frame: Frame, ctx: Context, field: str, settings: dict[str, Any], make: Callable[[str, Any], list[pl.Expr]]
) -> Frame:
    """The frame with the columns that each setting makes, their names free."""
    made: list[pl.Expr] = []
    names = list(frame.schema)
    for column, setting in settings.items():
        _known(ctx, f"{field}.{column}", column, frame.schema)
        for expr in make(column, setting):
            columns.free(ctx, f"{field}.{column}", expr.meta.output_name(), names)
            names.append(expr.meta.output_name())
            made.append(expr)
    return frame.rows(lambda lf: lf.with_columns(made)) if made else frame


def _with_derived(frame: Frame, name: str, text: str, ctx: Context) -> Frame:
    try:
        expression = row_sql.compiled(text, frame.schema)
    except ValueError as error:
        raise columns.refused(ctx, f"derive.{name}", str(error)) from error
    return frame.rows(lambda lf: row_sql.derive(lf, name, expression, (ctx.step, f"config.derive.{name}")))


def _each(field: str, wrong: Iterable[tuple[str, str]]) -> Iterable[Problem]:
    return (Problem(f"{field}.{setting}", message) for setting, message in wrong)


def _into(ctx: Context, field: str, new: str | None, names: list[str]) -> None:
    if new is not None:
        columns.free(ctx, field, new, names)
        names.append(new)


def _all_free(ctx: Context, field: str, made: list[pl.Expr], schema: pl.Schema) -> None:
    for expr in made:
        columns.free(ctx, field, expr.meta.output_name(), schema)


def _known(ctx: Context, field: str, column: str, schema: pl.Schema) -> None:
    if column not in schema:
        raise columns.missing(ctx, field, column, schema)


def _of(metric: Metric, column: str) -> Metric:
    return msgspec.structs.replace(metric, column=column) if metric.column else metric


def _normalize(setting: scale.Method | scale.Normalize) -> scale.Normalize:
    return scale.Normalize(setting) if isinstance(setting, str) else setting


def _encode(setting: encoding.Method | encoding.Encode) -> encoding.Encode:
    return encoding.Encode(setting) if isinstance(setting, str) else setting
