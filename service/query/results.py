"""Answers that are given again, within a budget of bytes: a version never changes, so that its answers stay right.

An answer is known by the message to the worker that made it: the query, its parameters, and the sources that it reads
with the runs that made them. Newer versions make other messages, so that nothing here goes stale. Callers of
another scope never share an answer.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from service.model.formats import FORMATS
from service.query import repeatable
from service.query.messages import DataQuery, LookupQuery, Query, SchemaQuery, SqlQuery
from service.query.scope import Scope
from service.sandbox.source import TableSource

_PART = 16
"""No answer takes more than this part of the budget."""
_OVERHEAD = 512  # bytes of an entry beside its content

_ELAPSED = re.compile(rb'"elapsed_ms":[0-9.e+-]+\}\Z')
_ELAPSED_BYTES = 64

Key = tuple[Scope, bytes]


def key_of(query: Query, scope: Scope) -> Key | None:
    """The key of an answer that may be given again to callers of that scope.

    It is a whole answer over known versions. The API keeps schemas itself.
    """
    if not scope.is_repeatable:
        return None
    if isinstance(query, SchemaQuery) or FORMATS[query.format].streamed:
        return None
    if isinstance(query, SqlQuery) and (query.rehearsal or query.known is None or query.known.snapshots):
        return None
    return scope, hashlib.sha256(msgspec.msgpack.encode(query)).digest()


def is_repeatable(query: Query) -> bool:
    """Whether the answer to a query depends on nothing but the versions that it reads."""
    if isinstance(query, SqlQuery):
        return repeatable.is_repeatable_statement(query.statement)
    return isinstance(query, LookupQuery) or (isinstance(query, DataQuery) and repeatable.is_repeatable(query.filter))


class _Kept(NamedTuple):
    media_type: str
    content: bytes
    sources: Sequence[TableSource]


class Results:
    """The answers of late, at most ``most_bytes``; those that were used least recently go first. 0 keeps none."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._bytes = 0

    def get(self, key: Key) -> tuple[str, bytes] | None:
        """Media type and content of an answer, or None."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._kept.move_to_end(key)
        return kept.media_type, kept.content

    def put(self, key: Key, media_type: str, content: bytes, sources: Sequence[TableSource]) -> None:
        """Keep an answer that is the same at all times; a large one is not kept."""
        self._drop(key)
        if len(content) + _OVERHEAD > self._most_bytes // _PART:
            return
        self._kept[key] = _Kept(media_type, content, sources)
        self._bytes += len(content) + _OVERHEAD
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def forget(self, chosen: Callable[[TableSource], bool]) -> None:
        """Drop the answers that read a chosen source."""
        for key in [key for key, kept in self._kept.items() if any(map(chosen, kept.sources))]:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept.content) + _OVERHEAD


def timed(content: bytes, seconds: float) -> bytes:
    """The answer with the time that it took now, if it tells one; it is the last member of it."""
    end = content[-_ELAPSED_BYTES:]
    found = _ELAPSED.search(end)
    if found is None:
        return content
    return content[: len(content) - len(end) + found.start()] + b'"elapsed_ms":%.3f}' % (seconds * 1000)
