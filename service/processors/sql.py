"""SQL: one SELECT over the current data, where a cleaner and a transformer would be long-winded.

The whole data is one table, ``input``; nothing else can be reached. DuckDB runs it. Without an ORDER BY the order of
grouped and joined rows is the engine's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from service.kit import lazy
from service.kit.errors import Problem
from service.processors.settings import columns
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.steps.processor import Processor

if TYPE_CHECKING:
    from service.expressions import select
    from service.values import polars_errors
else:
    select = lazy.module("service.expressions.select")
    polars_errors = lazy.module("service.values.polars_errors")


class Sql(Processor, frozen=True, kw_only=True, tag="sql"):
    """Replaces the data by the result of one SELECT over it."""

    at_once: ClassVar[bool] = True
    static: ClassVar[bool] = True
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "sql",
        "config": {"query": "SELECT city, sum(price) AS total FROM input GROUP BY city ORDER BY total DESC, city"},
    }

    query: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            description="One SELECT, as DuckDB understands it; the table is called input. Joins with itself and CTEs "
            "work. Missing values are last in every order, unless NULLS FIRST says otherwise; whole numbers count in "
            "64 bits, and columns that go through as they are keep their type.",
        ),
    ]

    def problems(self) -> Iterable[Problem]:
        try:
            select.parse(self.query)
        except ValueError as error:
            yield Problem("query", str(error))

    def apply(self, frame: Frame, ctx: ProcessContext) -> Frame:
        with polars_errors.attributed(ctx.step):
            try:
                return frame.query(self.query)
            except ValueError as error:
                raise columns.setting_error(ctx, "query", str(error)) from error
