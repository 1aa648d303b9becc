"""Who asks: the caller of the present request, among whom places and disk are shared out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_caller: ContextVar[str] = ContextVar("caller", default="")


def current() -> str:
    """The caller; an empty text outside of requests (the command line, the service itself)."""
    return _caller.get()


@contextlib.contextmanager
def asking(who: str) -> Iterator[None]:
    """Let ``who`` be the caller meanwhile."""
    token = _caller.set(who)
    try:
        yield
    finally:
        _caller.reset(token)
