"""Transformer: new and scaled columns for models, in one fixed order.

The fields stand in the order in which they apply. Numbers and categories are fitted by ``measure`` and go into the
plan as literals; what is recorded is what a model server needs to do the same to one row. A column that came in as
it is asked for where it came in, so that what an analyzer measured there is not computed twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

import msgspec
import polars as pl

from service.kit.errors import Problem
from service.processors import calendar, columns, encoding, scaling
from service.processors.columns import Name
from service.steps import expression, foreign
from service.steps.context import Context
from service.steps.frame import Frame
from service.steps.metric import Metric, Values
from service.steps.processor import Processor


class Transformer(Processor, frozen=True, kw_only=True, tag="transformer"):
    """Makes columns: derived, of date parts, scaled, encoded. The settings apply in the order they are listed."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "transformer",
        "config": {
            "derive": {"total": "price * quantity"},
            "datetime": {"ordered_at": {"parts": ["year", "month"], "cyclical": ["weekday"], "drop": False}},
            "normalize": {"price": "standard", "total": {"method": "minmax", "into": "total_scaled"}},
            "encode": {"city": {"method": "onehot", "max_categories": 20, "handle_unknown": "other"}},
            "sort": ["-price", "order_id"],
        },
    }

    rename_columns: Annotated[dict[Name, Name], msgspec.Meta(description="Old name to new name, all at once.")] = {}
    derive: Annotated[
        dict[Name, str], msgspec.Meta(description="New column to a SQL expression over one row; may use earlier ones.")
    ] = {}
    datetime: Annotated[
        dict[Name, calendar.Calendar], msgspec.Meta(description="Per column: the parts to make columns of.")
    ] = {}
    normalize: Annotated[
        dict[Name, scaling.Method | scaling.Normalize], msgspec.Meta(description="Per column: how to scale it.")
    ] = {}
    encode: Annotated[
        dict[Name, encoding.Method | encoding.Encode], msgspec.Meta(description="Per column: onehot or ordinal.")
    ] = {}
    select: Annotated[list[Name], msgspec.Meta(description="The only columns to keep, in this order.")] = []
    sort: Annotated[
        list[Name], msgspec.Meta(description="Columns to sort by; '-price' is descending; nulls last.")
    ] = []

    def problems(self) -> Iterable[Problem]:
        for name, text in self.derive.items():
            try:
                expression.parse(text)
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
        for field, names in (("rename_columns", list(self.rename_columns.values())), ("select", self.select)):
            for twice in sorted({n for n in names if names.count(n) > 1}):
                yield Problem(field, f"'{twice}' stands there twice")

    def apply(self, frame: Frame, ctx: Context) -> Frame:
        with foreign.attributed(ctx.step):
            for column in self.rename_columns:
                _known(ctx, f"rename_columns.{column}", column, frame.schema)
            # asked before anything is built on the frame, so that what is built starts from its stage
            early = frame.measure(self._early(frame.schema, ctx))
            made = self._derived(self._renamed(frame, ctx), ctx)
            made = self._encoded(self._scaled(made, early, ctx), early, ctx)
            return self._arranged(made, ctx)

    def _early(self, schema: pl.Schema, ctx: Context) -> list[Metric]:
        """The questions about columns that came in, under the names they came in with."""
        asked: list[Metric] = []
        for old, dtype in schema.items():
            for metric in self._questions(self.rename_columns.get(old, old), dtype, ctx):
                asked.append(_of(metric, old))
        return asked

    def _questions(self, name: str, dtype: pl.DataType, ctx: Context) -> list[Metric]:
        asked: list[Metric] = []
        if name in self.normalize:
            asked += scaling.questions(name, _normalize(self.normalize[name]), dtype, ctx)
        if name in self.encode:
            asked += encoding.questions(name, _encode(self.encode[name]), dtype, ctx)
        return asked

    def _answers(self, frame: Frame, early: Values, wanted: list[Metric]) -> dict[Metric, Any]:
        """The answers, from before where the column came in as it is (a derived one may have a former name)."""
        former = {new: old for old, new in self.rename_columns.items()}
        came = {old: new for new, old in former.items()}
        known: dict[Metric, Any] = {}
        for metric in wanted:
            first = _of(metric, former.get(metric.column, metric.column))
            if first in early and came.get(first.column, first.column) == metric.column:
                known[metric] = early[first]
        late = [m for m in wanted if m not in known]
        return {**known, **(frame.measure(late) if late else {})}

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
        made: list[pl.Expr] = []
        gone: list[str] = []
        names = list(frame.schema)
        for column, setting in self.datetime.items():
            _known(ctx, f"datetime.{column}", column, frame.schema)
            parts = calendar.parts(column, setting, frame.schema, ctx)
            for part in parts:
                columns.free(ctx, f"datetime.{column}", part.meta.output_name(), names)
                names.append(part.meta.output_name())
            made += parts
            gone += [column] if setting.drop else []
        return frame.rows(lambda lf: lf.with_columns(made).drop(gone)) if made else frame

    def _scaled(self, frame: Frame, early: Values, ctx: Context) -> Frame:
        if not self.normalize:
            return frame
        schema = frame.schema
        wanted: list[Metric] = []
        names = list(schema)
        for column, choice in self.normalize.items():
            _known(ctx, f"normalize.{column}", column, schema)
            setting = _normalize(choice)
            if setting.into is not None:
                columns.free(ctx, f"normalize.{column}.into", setting.into, names)
                names.append(setting.into)
            wanted += scaling.questions(column, setting, schema[column], ctx)
        answers = self._answers(frame, early, wanted)
        constants = {c: scaling.fitted(c, _normalize(s), answers, ctx) for c, s in self.normalize.items()}
        ctx.record("normalize", constants)
        made = [scaling.scaled(c, _normalize(s), constants[c]) for c, s in self.normalize.items()]
        return frame.rows(lambda lf: lf.with_columns(made))

    def _encoded(self, frame: Frame, early: Values, ctx: Context) -> Frame:
        if not self.encode:
            return frame
        schema = frame.schema
        settings = {c: _encode(s) for c, s in self.encode.items()}
        wanted: list[Metric] = []
        for column, setting in settings.items():
            _known(ctx, f"encode.{column}", column, schema)
            wanted += encoding.questions(column, setting, schema[column], ctx)
        answers = self._answers(frame, early, wanted)
        fitted = {c: encoding.fitted(c, s, schema[c], answers, ctx) for c, s in settings.items()}
        ctx.record("encode", {c: encoding.recorded(settings[c], fitted[c]) for c in settings})
        places: dict[str, list[pl.Expr]] = {}
        staying = [n for n in schema if n not in settings or settings[n].keep or settings[n].into is not None]
        names = list(staying)
        for column in schema:
            places[column] = [pl.col(column)] if column in staying else []
            if column in settings:
                made = encoding.encoded(column, settings[column], fitted[column], schema[column], ctx)
                for expr in made:
                    columns.free(ctx, f"encode.{column}", expr.meta.output_name(), names)
                    names.append(expr.meta.output_name())
                places[column] += made
        return frame.rows(lambda lf: lf.select([e for made in places.values() for e in made]))

    def _arranged(self, frame: Frame, ctx: Context) -> Frame:
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


def _with_derived(frame: Frame, name: str, text: str, ctx: Context) -> Frame:
    try:
        checked, _ = expression.typed(text, frame.schema)
    except ValueError as error:
        raise columns.refused(ctx, f"derive.{name}", str(error)) from error
    return frame.rows(lambda lf: expression.derive(lf, name, checked))


def _known(ctx: Context, field: str, column: str, schema: pl.Schema) -> None:
    if column not in schema:
        raise columns.missing(ctx, field, column, schema)


def _of(metric: Metric, column: str) -> Metric:
    return msgspec.structs.replace(metric, column=column) if metric.column else metric


def _normalize(setting: scaling.Method | scaling.Normalize) -> scaling.Normalize:
    return scaling.Normalize(setting) if isinstance(setting, str) else setting


def _encode(setting: encoding.Method | encoding.Encode) -> encoding.Encode:
    return encoding.Encode(setting) if isinstance(setting, str) else setting
