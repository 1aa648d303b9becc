"""Home: the house as a command uses it, with quiet logs and relative files found where a person expects them."""

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
    """What ``work`` answers, done in the house over the data directory."""
    logs.configure("console", "critical")  # a command tells by itself what went wrong

    async def inside() -> T:
        async with bootstrap.open_core(chosen, os.environ) as core:
            return await work(core)

    return asyncio.run(inside())
