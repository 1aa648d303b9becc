"""Schemas: what the engine says of a version's columns, kept. A version never changes, so nothing goes stale."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from service.api.services import Services
from service.model.version import Version

_MOST = 64


class Schemas:
    """The schema of a version as JSON; the least used are forgotten."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept: OrderedDict[tuple[str, bool], bytes] = OrderedDict()
        self._asking: dict[tuple[str, bool], asyncio.Task[bytes]] = {}

    async def of(self, version: Version) -> bytes:
        """The schema as JSON; of several that ask for the same at once one asks the engine."""
        key = (version.run_id, version.native is not None)  # the native form comes later, and is shown
        if key not in self._kept:
            task = self._asking.get(key)
            if task is None:
                task = self._asking[key] = asyncio.create_task(self._ask(version))
                task.add_done_callback(lambda _: self._asking.pop(key, None))
            self._kept[key] = await asyncio.shield(task)
        self._kept.move_to_end(key)
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return self._kept[key]

    async def _ask(self, version: Version) -> bytes:
        return await self._services.engine.schema(self._services.source_of(version))


GivenSchemas = NamedDependency[SkipValidation[Schemas]]
"""The type of a handler's ``schemas`` parameter."""
