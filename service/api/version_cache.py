"""Kept: answers about versions, which never change, so that nothing goes stale; the least used are forgotten."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from service.api.services import Services
from service.model.version import Version

_MOST = 64


class VersionCache:
    """At most ``most`` answers, as bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._making: dict[Hashable, asyncio.Task[bytes]] = {}

    async def of(self, key: Hashable, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """What is kept under ``key``, or what ``make`` answers; of several that ask at once one makes it."""
        if key not in self._kept:
            task = self._making.get(key)
            if task is None:
                task = self._making[key] = asyncio.ensure_future(make())
                task.add_done_callback(lambda _: self._making.pop(key, None))
            self._kept[key] = await asyncio.shield(task)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return self._kept[key]


class Schemas:
    """The schema of a version as JSON."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept = VersionCache(_MOST)

    async def of(self, version: Version) -> bytes:
        """The schema as JSON; of several that ask for the same at once one asks the engine."""
        key = (version.run_id, version.native is not None)  # the native form comes later, and is shown
        return await self._kept.of(key, lambda: self._ask(version))

    async def _ask(self, version: Version) -> bytes:
        return await self._services.engine.schema(self._services.source_of(version))


SchemasDependency = NamedDependency[SkipValidation[Schemas]]
"""The type of a handler's ``schemas`` parameter."""
