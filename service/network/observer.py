"""An observer of the requests that a job sends, each hop and each repetition of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import NamedTuple

from service.network.request import Response


class Sent(NamedTuple):
    """A request that was answered or failed. Times are nanoseconds since 1970; the URL has no query."""

    step: str
    method: str
    url: str
    start: int
    end: int
    status: int | None
    error: str | None


_observe: ContextVar[Callable[[Sent], None] | None] = ContextVar("observe", default=None)


@contextlib.contextmanager
def observing(observe: Callable[[Sent], None]) -> Iterator[None]:
    """Tell ``observe`` of each request in the context."""
    token = _observe.set(observe)
    try:
        yield
    finally:
        _observe.reset(token)


async def observed(step: str, method: str, url: str, answer: Awaitable[Response]) -> Response:
    """The answer to a request."""
    observe = _observe.get()
    if observe is None:
        return await answer
    start, status, error = time.time_ns(), None, None
    try:
        found = await answer
        status = found.status
        return found
    except BaseException as failure:
        error = type(failure).__name__
        raise
    finally:
        observe(Sent(step, method, url, start, time.time_ns(), status, error))
