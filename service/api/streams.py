"""Answers without an end: how many one caller may have open, since each keeps one of the server's few connections."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from weakref import WeakSet

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from service.api.services import TypedRequest
from service.kit import errors

MOST = 100
"""Streams that one caller has at once; a page has two or three."""


class Stream:
    """The parts of an answer, counted until it is closed or nobody holds it any more."""

    def __init__(self, parts: AsyncGenerator[bytes, None], held: WeakSet[Stream]) -> None:
        self._parts, self._held = parts, held
        held.add(self)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._parts)

    async def aclose(self) -> None:
        """End it."""
        self._held.discard(self)
        await self._parts.aclose()


class Streams:
    """The streams of this process by caller. Belongs to the event loop."""

    def __init__(self) -> None:
        self._by_caller: dict[str, WeakSet[Stream]] = {}

    def counted(self, request: TypedRequest, parts: AsyncGenerator[bytes, None]) -> Stream:
        """A stream of the caller. Raises ``errors.Throttled`` if there are too many."""
        held = self._of(request.scope["user"].username)
        if len(held) >= MOST:
            message = f"{MOST} streams of events of yours are open; close some"
            raise errors.Throttled(message, retry_after=5, limit="streams")
        return Stream(parts, held)

    def _of(self, caller: str) -> WeakSet[Stream]:
        for idle in [name for name, held in self._by_caller.items() if not held]:
            del self._by_caller[idle]
        return self._by_caller.setdefault(caller, WeakSet())


StreamsDependency = NamedDependency[SkipValidation[Streams]]
"""The type of a handler's ``streams`` parameter."""
