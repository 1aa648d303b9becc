"""Groups of rows by keys: one row a group, its columns SQL aggregates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import msgspec

from service.kit import lazy
from service.processors.settings import columns
from service.processors.settings.columns import Name
from service.steps.context import ProcessContext
from service.steps.frame import Frame

if TYPE_CHECKING:
    import polars as pl

    from service.engine import group_sql
    from service.engine.group_sql import GroupSql
    from service.expressions import scalar
else:
    group_sql = lazy.module("service.engine.group_sql")
    scalar = lazy.module("service.expressions.scalar")
    pl = lazy.module("polars")


class Aggregate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Group the rows; the groups are in the order of their first rows. Missing keys are a group.

    `stddev` and `variance` have ddof 1. Missing values are left out; NaN is the greatest number, as in DuckDB.
    """

    by: Annotated[list[Name], msgspec.Meta(min_length=1, description="The columns to group by.")]
    metrics: Annotated[
        dict[Name, str],
        msgspec.Meta(min_length=1, description="New column to a SQL aggregate, such as sum(price * n)."),
    ]

    def conflict(self) -> Iterable[tuple[str, str]]:
        """Faults that do not depend on the columns, as (setting, message)."""
        if len(set(self.by)) < len(self.by):
            yield "by", "a column is listed twice"
        for name, text in self.metrics.items():
            if name in self.by:
                yield f"metrics.{name}", "is also a column of 'by'"
            try:
                scalar.aggregate(text)
            except ValueError as error:
                yield f"metrics.{name}", str(error)


def aggregate(frame: Frame, setting: Aggregate, ctx: ProcessContext) -> Frame:
    """One row for each group. Whole numbers count in 64 bits; a sum that does not fit them is an error."""
    schema = frame.schema
    for key in setting.by:
        if key not in schema:
            raise columns.missing_column(ctx, "aggregate.by", key, schema)
    made: dict[str, GroupSql] = {}
    label = columns.unused_name("_aggregate", [*schema, *setting.metrics])
    for place, (name, text) in enumerate(setting.metrics.items()):
        try:
            made[name] = group_sql.compiled(text, schema, f"{label}_{place}")
        except ValueError as error:
            raise columns.setting_error(ctx, f"aggregate.metrics.{name}", str(error)) from error
    places = {name: (ctx.step, f"config.aggregate.metrics.{name}") for name in made}
    prepared = [expr for name, metric in made.items() for expr in metric.prepare(places[name])]
    groups = frame.group(
        setting.by, [expr for metric in made.values() for expr in metric.aggregate()], prepared=prepared
    )
    finished = {name: metric.finish(places[name]) for name, metric in made.items()}
    narrowed = [expr for narrow, _ in finished.values() for expr in narrow]
    values = [expr.alias(name) for name, (_, expr) in finished.items()]
    return groups.rows(lambda lf: lf.with_columns(narrowed).select([pl.col(k) for k in setting.by] + values))
