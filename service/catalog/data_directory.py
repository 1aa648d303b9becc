"""The data directory of a process: its layout and its catalog, which belong to this process alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from service.catalog.store import Store
from service.files import object_store, permissions
from service.files.layout import Layout
from service.files.reserve import Reserve
from service.kit.settings import Settings


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Layout, Store]]:
    """Open the data directory for this process alone, and the object store that its versions are in, if there is one.

    Raises ``errors.Conflict`` (DATA_DIR_IN_USE), ``errors.Invalid``.
    """
    layout = Layout(settings.root, permissions.group_id(settings.data_group))
    with permissions.private_umask():
        layout.open()
        store = await asyncio.to_thread(lambda: Store(layout.catalog, Reserve(layout.reserve)))
        try:
            with object_store.opened(
                settings.warehouse_url, settings.warehouse_timeout_seconds, layout.root
            ) as objects:
                yield replace(layout, objects=objects), store
        finally:
            await asyncio.to_thread(store.close)
