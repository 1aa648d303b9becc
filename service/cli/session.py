"""The services of the product inside a command, with logs switched off."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from service import bootstrap
from service.bootstrap import Core
from service.kit import settings as configuration
from service.kit.settings import Settings
from service.telemetry import logs

T = TypeVar("T")


def settings(**chosen: Any) -> Settings:
    """The settings of a command. Raises ``errors.Invalid``."""
    return configuration.load(os.environ, **chosen)


def with_core(chosen: Settings, work: Callable[[Core], Awaitable[T]]) -> T:
    """The result of ``work``, which gets the services over the data directory."""
    logs.configure("console", "critical")  # the command prints errors itself

    async def inside() -> T:
        async with bootstrap.open_core(chosen, os.environ) as core:
            return await work(core)

    return asyncio.run(inside())
