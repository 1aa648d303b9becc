"""The services of the product inside a command, with logs switched off."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from service.files.layout import Layout
from service.kit import errors
from service.kit import settings as configuration
from service.kit.clock import SystemClock
from service.kit.settings import Settings
from service.telemetry import logs

if TYPE_CHECKING:
    from service.catalog.store import Store
    from service.cli.deed import Deed
    from service.runs.core import Core

T = TypeVar("T")


def settings(**chosen: Any) -> Settings:
    """The settings of a command. Raises ``errors.Invalid``."""
    return configuration.load(os.environ, **chosen)


def existing(*, data_dir: str | None, without_catalog: bool = False) -> Settings:
    """The settings of a command that reads a data directory.

    Raises ``errors.Missing`` if it is not there, or if it has no catalog. ``without_catalog`` accepts a directory that
    has only versions: from these a lost catalog can be made again.
    """
    found = settings(data_dir=data_dir)
    layout = Layout(found.root)
    catalogs = layout.catalog, layout.catalog_elsewhere
    if any(path.exists() for path in catalogs) or (without_catalog and layout.warehouse.exists()):
        return found
    if layout.warehouse.exists():
        raise errors.Missing(
            f"the catalog of {found.root} is missing; put it back, or take the versions back with "
            "'penstock verify --adopt'",
            field="data_dir",
        )
    raise errors.Missing(f"there is no data directory at {found.root}; name another with --data-dir", field="data_dir")


def with_catalog(chosen: Settings, work: Callable[[Layout, Store], T], deed: Deed | None = None) -> T:
    """The result of ``work``, which gets the data directory and its catalog and may block.

    ``deed`` is what it does, for the audit log.
    """
    from service.catalog import data_directory
    from service.catalog.audit_log import AuditLog
    from service.cli.deed import recorded

    async def inside() -> T:
        async with data_directory.opened(chosen) as (layout, store):
            result = asyncio.to_thread(work, layout, store)
            if deed is None:
                return await result
            async with AuditLog.opened(chosen, layout, store, SystemClock()) as log:
                return await recorded(log, deed, result)

    return asyncio.run(inside())


def with_core(chosen: Settings, work: Callable[[Core], Awaitable[T]], deed: Deed | None = None) -> T:
    """The result of ``work``, which gets the services over the data directory; a run of its own never waits.

    ``deed`` is what it does, for the audit log.
    """
    from service import bootstrap
    from service.cli.deed import recorded

    logs.configure("console", "critical")  # the command prints errors itself
    chosen = msgspec.structs.replace(chosen, max_concurrent_runs=max(1, chosen.max_concurrent_runs))

    async def inside() -> T:
        async with bootstrap.open_core(chosen, os.environ) as core:
            return await (work(core) if deed is None else recorded(core.audit, deed, work(core)))

    return asyncio.run(inside())
