"""Times the queries of an engine, by their kind and how they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from service.kit import errors
from service.query import messages
from service.telemetry.metrics import Metrics

P = ParamSpec("P")
T = TypeVar("T")
_KINDS = {
    messages.SqlQuery: "sql", messages.DataQuery: "data", messages.LookupQuery: "lookup",
    messages.SchemaQuery: "schema",
}  # fmt: skip


class _Metered(Protocol):
    @property
    def metrics(self) -> Metrics: ...


E = TypeVar("E", bound=_Metered)
_Asked = Callable[Concatenate[E, messages.Query, P], Coroutine[Any, Any, T]]


def timed(answer: _Asked[E, P, T]) -> _Asked[E, P, T]:
    """``answer``, whose time is observed; the outcome is ``ok`` or the code of its error."""

    async def measured(engine: E, query: messages.Query, /, *others: P.args, **named: P.kwargs) -> T:
        began, outcome = time.perf_counter(), "broken_off"
        try:
            found = await answer(engine, query, *others, **named)
            outcome = "ok"
            return found
        except errors.PenstockError as error:
            outcome = error.error_code
            raise
        finally:
            engine.metrics.query_seconds.observe(time.perf_counter() - began, _KINDS[type(query)], outcome)

    return measured
