"""Schemas: what the engine says of a version's columns, kept."""

from __future__ import annotations

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from service.api.kept import Kept
from service.api.services import Services
from service.model.version import Version

_MOST = 64


class Schemas:
    """The schema of a version as JSON."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept = Kept(_MOST)

    async def of(self, version: Version) -> bytes:
        """The schema as JSON; of several that ask for the same at once one asks the engine."""
        key = (version.run_id, version.native is not None)  # the native form comes later, and is shown
        return await self._kept.of(key, lambda: self._ask(version))

    async def _ask(self, version: Version) -> bytes:
        return await self._services.engine.schema(self._services.source_of(version))


GivenSchemas = NamedDependency[SkipValidation[Schemas]]
"""The type of a handler's ``schemas`` parameter."""
