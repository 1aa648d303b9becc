"""Answers with the rows of a version: a page of JSON with its cursor, a stream, or the stored Parquet file itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec
from litestar import Response

from service.api import cursors, disconnects, streaming
from service.api.cursors import RowsQuery
from service.api.services import EngineAnswer, Services, TypedRequest
from service.model.formats import FORMATS
from service.model.version import Version

Q = TypeVar("Q", bound=RowsQuery)
Read = Callable[[Q, str], Coroutine[None, None, EngineAnswer]]
"""Reads the rows of a query in a format."""
_END = re.compile(rb'"next_offset":(null|[0-9]+)\}$')
_END_BYTES = 64


async def respond(
    request: TypedRequest, services: Services, version: Version, query: Q, form: str, read: Read[Q], *,
    rows: int | None, name: str, headers: dict[str, str],
) -> Response[Any]:  # fmt: skip
    """The answer to ``query``, offered as a file ``name``; ``rows`` are all rows that there are
    (None: they must be counted).

    A page of JSON has ``next`` in it, and every answer that ``limit`` cuts has a ``Link`` to the next page.
    """
    streamed = FORMATS[form].streamed
    offset = await _next_of_stream(query, read, rows) if streamed else None
    answer = await disconnects.unless_gone(request.receive, read(query, form))
    content = answer.content
    if not streamed:
        assert content is not None
        offset = _next_of_page(content)
    cursor = cursors.following(request, services, version, query, offset) if offset is not None else None
    if cursor is not None:
        headers = headers | cursors.link(request, cursor, query, form)
    if content is not None and not streamed:
        content = b"".join((memoryview(content)[:-1], b',"next":', msgspec.json.encode(cursor), b"}"))
        return Response(content, media_type=answer.media_type, headers={**answer.headers, **headers})
    return streaming.respond(answer, name, form, headers)


def _next_of_page(content: bytes) -> int | None:
    """Where the next page begins. A page ends with it, as the query worker found it."""
    found = _END.search(content[-_END_BYTES:])
    return int(found[1]) if found is not None and found[1] != b"null" else None


async def _next_of_stream(query: Q, read: Read[Q], rows: int | None) -> int | None:
    """Where the rows after a stream begin that ``limit`` ends. The headers are sent before the last row is known."""
    if not query.limit or (rows is not None and query.offset + query.limit >= rows):
        return None
    after = query.offset + query.limit
    if rows is None or getattr(query, "filter", None) is not None:
        counted = await read(msgspec.structs.replace(query, limit=0, offset=0), "json")
        rows = msgspec.json.decode(counted.content or b"{}", type=_Counted).total_rows
    return after if after < rows else None


class _Counted(msgspec.Struct):
    total_rows: int
