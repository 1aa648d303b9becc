"""Caches of answers about versions. A version never changes, so that no entry goes stale; old entries are evicted."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from service.api.services import Services
from service.model.version import Version
from service.query.scope import EVERYTHING, Scope

_MAX_SCHEMAS = 64


class VersionCache:
    """A least-recently-used cache of at most ``max_entries`` answers, as bytes."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[Hashable, bytes] = OrderedDict()
        self._pending: dict[Hashable, asyncio.Task[bytes]] = {}

    async def get(self, key: Hashable, compute: Callable[[], Awaitable[bytes]]) -> bytes:
        """The answer under ``key``. On a miss ``compute`` makes it, once for all callers that wait for it."""
        if key not in self._entries:
            task = self._pending.get(key)
            if task is None:
                task = self._pending[key] = asyncio.ensure_future(compute())
                task.add_done_callback(lambda _: self._pending.pop(key, None))
            self._entries[key] = await asyncio.shield(task)
        self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
        return self._entries[key]


class SchemaCache:
    """The schemas of versions, in each format."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cache = VersionCache(_MAX_SCHEMAS)

    async def get(self, version: Version, form: str = "json", scope: Scope = EVERYTHING) -> bytes:
        """The schema of a version, which is the same for all who see it with the same rows."""
        key = (
            form,
            version.run_id,
            version.native is not None,
            scope.row_filters,
        )  # the native form appears later, and the schema names it
        return await self._cache.get(key, lambda: self._compute(version, form, scope))

    async def _compute(self, version: Version, form: str, scope: Scope) -> bytes:
        source = await self._services.source_of(version)
        return await self._services.engine.schema(source, form=form, scope=scope)


SchemaCacheDependency = NamedDependency[SkipValidation[SchemaCache]]
"""The type of a handler's ``schemas`` parameter."""
