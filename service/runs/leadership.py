"""Leadership: of the processes that serve an installation one does the work that starts by itself.

It goes to another process when the one that has it stops, or has not renewed its lease. A process that could not renew
it in time ends the work before others may begin it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

import structlog

from service.catalog.named_lease import NamedLease

_log = structlog.get_logger("penstock.server")


@asynccontextmanager
async def led(lease: NamedLease, work: Callable[[], AbstractAsyncContextManager[None]]) -> AsyncIterator[None]:
    """Let ``work`` be in its context while this process has the lease, until the end of the context."""
    task = asyncio.create_task(_lead(lease, work))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _lead(lease: NamedLease, work: Callable[[], AbstractAsyncContextManager[None]]) -> None:
    while True:
        if await _holds(lease):
            _log.info("leadership.taken")
            try:
                async with AsyncExitStack() as stack:
                    await stack.enter_async_context(work())
                    await _until_lost(lease)
                _log.warning("leadership.lost")
            except Exception as error:  # the catalog cannot be read now, for example
                _log.error("leadership.failed", reason=str(error), exception=type(error).__name__)
            finally:
                with suppress(Exception):  # then it runs out
                    await asyncio.shield(asyncio.to_thread(lease.release))
        await asyncio.sleep(lease.seconds / 3)


async def _until_lost(lease: NamedLease) -> None:
    held = time.monotonic()
    while time.monotonic() - held < lease.seconds * 2 / 3:
        await asyncio.sleep(lease.seconds / 6)
        began = time.monotonic()
        try:
            async with asyncio.timeout(lease.seconds / 6):
                if not await asyncio.to_thread(lease.hold):
                    return
            held = began
        except Exception as error:
            _log.warning("leadership.not_renewed", reason=str(error), exception=type(error).__name__)


async def _holds(lease: NamedLease) -> bool:
    try:
        return await asyncio.to_thread(lease.hold)
    except Exception as error:
        _log.warning("leadership.not_known", reason=str(error), exception=type(error).__name__)
        return False
