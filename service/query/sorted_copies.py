"""Rows of a version as somebody pages through them, sorted or filtered, kept as a file of their own.

A page far down a sort needs all rows sorted, and so does the next one: whoever scrolls through millions of rows would
wait for that each time. So the first page beyond the beginning has them written once, in their order, to a Parquet
file, where each page is a few row groups. The pages near the beginning are answered at once meanwhile; those far down
wait. There are at most ``most_bytes`` of such files; those that were read least recently go first, and all of them with
the process. A row filter of a reader, chance and time make no copy; nor do types that a copy would change.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec

from service.files.layout import Layout
from service.kit import errors
from service.query import repeatable
from service.query.answer import Answer
from service.query.scope import Scope
from service.sandbox.source import TableSource

LEAST_ROWS = 200_000
"""Rows of a version that is sorted for each page below this."""
DEEP = 5_000
"""The first row of pages that wait for a copy; those before it are found without."""
_AT_ONCE = 4
_PART = 4
"""No copy takes more than this part of the room for all."""

Read = Callable[..., Awaitable[Answer]]
"""``Engine.data``."""


class _Page(msgspec.Struct):
    columns: list[dict[str, str]]
    total_rows: int


class SortedCopies:
    """The copies of an engine, whose ``read`` makes and reads them."""

    def __init__(self, layout: Layout, read: Read, most_bytes: int) -> None:
        self._folder = layout.sorted
        self._read = read
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, TableSource | None] = OrderedDict()  # None: it cannot be kept
        self._sizes: dict[str, int] = {}
        self._making: dict[str, asyncio.Task[TableSource | None]] = {}
        self._turn = asyncio.Semaphore(1)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def of(
        self, source: TableSource, *, filter: str | None, sort: str | None, offset: int, scope: Scope
    ) -> TableSource | None:
        """The source with these rows in this order; None where the page is to be read from ``source`` itself."""
        hidden = scope.filters(source.pipeline) or source.row_filter
        if source.rows < LEAST_ROWS or source.united or hidden or not repeatable.is_repeatable(filter):
            return None
        key = hashlib.sha256(msgspec.msgpack.encode((source, filter, sort))).hexdigest()
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._making:
            if offset == 0 or len(self._making) >= _AT_ONCE:
                return None
            self._making[key] = asyncio.create_task(self._make(key, source, filter, sort, scope))
        return await asyncio.shield(self._making[key]) if offset >= DEEP else None

    def forget(self, chosen: Callable[[TableSource], bool]) -> None:
        """Remove the copies of chosen sources."""
        for key, source in list(self._kept.items()):
            if source is not None and chosen(source):
                self._drop(key)

    async def close(self) -> None:
        """End what is being made and remove all copies."""
        for task in list(self._making.values()):
            task.cancel()
        await asyncio.gather(*self._making.values(), return_exceptions=True)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _make(
        self, key: str, source: TableSource, filter: str | None, sort: str | None, scope: Scope
    ) -> TableSource | None:
        path = self._folder / f"{key}.parquet"
        copy: TableSource | None = None
        try:
            async with self._turn:
                before = await self._page(source, filter, scope)
                size = await self._write(path, await self._read(
                    source, filter=filter, sort=sort, format="parquet", scope=scope
                ))  # fmt: skip
                copy = TableSource(
                    table=f"{source.table.partition('@')[0]} {key[:16]}", pipeline=source.pipeline,
                    version=source.version, parts=[f"{self._folder.name}/{path.name}"], rows=before.total_rows,
                    run=source.run,
                )  # fmt: skip
                if (await self._page(copy, None, scope)).columns != before.columns:
                    copy = None
                self._keep(key, copy, size)
        except (errors.PenstockError, OSError):  # the page itself says what is wrong
            copy = None
        finally:
            del self._making[key]
            if copy is None:
                path.unlink(missing_ok=True)
        return copy

    async def _page(self, source: TableSource, filter: str | None, scope: Scope) -> _Page:
        """The columns and how many rows there are."""
        answer = await self._read(source, filter=filter, limit=0, scope=scope)
        return msgspec.json.decode(answer.content or b"", type=_Page)

    async def _write(self, path: Path, answer: Answer) -> int:
        """Write the rows and answer the size of the file. Raises ``OSError`` where it would be too large."""
        path.parent.mkdir(mode=0o700, exist_ok=True)
        size = 0
        try:
            with path.open("wb") as file:
                async for part in answer.body:
                    size += len(part)
                    if size > self._most_bytes // _PART:
                        raise OSError("the copy is too large")
                    await asyncio.to_thread(file.write, part)
        finally:
            await _close(answer.body)
        return size

    def _keep(self, key: str, copy: TableSource | None, size: int) -> None:
        self._kept[key], self._sizes[key] = copy, size if copy is not None else 0
        while sum(self._sizes.values()) > self._most_bytes or len(self._kept) > 1_000:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        del self._kept[key], self._sizes[key]
        (self._folder / f"{key}.parquet").unlink(missing_ok=True)


async def _close(body: AsyncIterator[bytes]) -> None:
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()
