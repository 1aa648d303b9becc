"""The first read of a version whose files are in the object store: it answers with the parts that are here.

The parts are fetched in their order. A page waits for those that have its rows and those before it; a stream of all
rows as CSV or NDJSON begins with the first part, and goes on as the others come. Filters, sorts, SQL and other formats
need all parts and wait for them (``query.sources``), and so do callers with a row filter.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

from service.model.formats import FORMATS
from service.model.version import Version
from service.query.answer import Answer
from service.query.engine import Engine
from service.query.scope import EVERYTHING, Scope
from service.query.sources import Sources
from service.sandbox.source import TableSource

_PAGE = 1_000  # rows of a page without a limit
_IN_PIECES = frozenset({"csv", "ndjson"})


class FirstRead:
    """Reads rows of versions of which not all files are here."""

    def __init__(self, sources: Sources, engine: Engine) -> None:
        self._sources = sources
        self._engine = engine

    async def data(
        self, version: Version, *, filter: str | None, sort: str | None, limit: int | None, offset: int, format: str,
        scope: Scope = EVERYTHING, **options: Any,
    ) -> Answer | None:  # fmt: skip
        """The answer of ``Engine.data``; None if it needs all parts, or all are here.

        Raises as ``Engine.data`` and ``Sources.of_version``.
        """
        if filter or sort or scope.filters(version.pipeline) or len(version.files) < 2:
            return None
        if await self._sources.has_parts(version):
            return None
        wanted = limit if FORMATS[format].streamed else (_PAGE if limit is None else limit)
        options |= {"scope": scope, "format": format}
        if wanted is not None:
            count = parts_of(version, offset + wanted)
            if count == len(version.files):
                return None
            source, _ = await self._sources.of_parts(version, 0, count)
            return await self._engine.data(source, limit=limit, offset=offset, **options)
        if format not in _IN_PIECES or offset:
            return None
        source, following = await self._sources.of_parts(version, 0, 1)
        if following == len(version.files):
            return None
        head = await self._head(source, options) if format == "csv" else 0
        first = await self._engine.data(source, **options)
        pieces = self._pieces(first.body, version, following, head, options)
        return Answer(first.media_type, _Pieces(first.body, pieces), first.headers)

    async def _head(self, source: TableSource, options: dict[str, Any]) -> int:
        """How many bytes the line with the columns' names has."""
        return sum([len(piece) async for piece in (await self._engine.data(source, limit=0, **options)).body])

    async def _pieces(
        self, first: AsyncIterator[bytes], version: Version, following: int, head: int, options: dict[str, Any]
    ) -> AsyncGenerator[bytes, None]:
        async for piece in first:
            yield piece
        await _close(first)
        while following < len(version.files):
            source, following = await self._sources.of_parts(version, following, following + 1)
            left = head
            answer = await self._engine.data(source, **options)
            try:
                async for piece in answer.body:
                    skipped = min(left, len(piece))
                    left -= skipped
                    if skipped < len(piece):
                        yield piece[skipped:]
            finally:
                await _close(answer.body)


class _Pieces:
    """``pieces``, whose beginning comes from ``first``: that is closed, too, also if nobody has begun to read."""

    def __init__(self, first: AsyncIterator[bytes], pieces: AsyncGenerator[bytes, None]) -> None:
        self._first = first
        self._pieces = pieces

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """End the worker."""
        await self._pieces.aclose()
        await _close(self._first)


async def _close(body: AsyncIterator[bytes]) -> None:
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()


def parts_of(version: Version, rows: int) -> int:
    """How many parts have the first ``rows`` rows; at least one."""
    before: Sequence[int] = list(itertools.accumulate(file.rows for file in version.files))
    return next((count for count, total in enumerate(before, 1) if total >= rows), len(version.files))
