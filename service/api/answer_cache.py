"""Answers of saved queries that are given again for a while (``cache_seconds``), within a budget of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from service.kit.clock import Clock

_MOST_BYTES = 64 << 20
_MOST_ENTRY_BYTES = 4 << 20


@dataclass(frozen=True)
class CachedAnswer:
    """A whole answer, its ETag if it has one, and the monotonic times at which it was made and expires."""

    content: bytes
    etag: str | None
    made: float
    expires: float


class AnswerCache:
    """The answers by key; those that were used least recently go first."""

    def __init__(self, clock: Clock, most_bytes: int = _MOST_BYTES) -> None:
        self._clock = clock
        self._most_bytes = most_bytes
        self._answers: OrderedDict[Hashable, CachedAnswer] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> tuple[CachedAnswer, int] | None:
        """The answer under ``key`` and its age in seconds, or None if there is none or it is too old."""
        known = self._answers.get(key)
        if known is None:
            return None
        now = self._clock.monotonic()
        if known.expires <= now:
            self._drop(key)
            return None
        self._answers.move_to_end(key)
        return known, int(now - known.made)

    def put(self, key: Hashable, content: bytes, etag: str | None, seconds: int) -> None:
        """Keep an answer for ``seconds``; large ones are not kept."""
        self._drop(key)
        if len(content) > _MOST_ENTRY_BYTES:
            return
        now = self._clock.monotonic()
        self._answers[key] = CachedAnswer(content, etag, now, now + seconds)
        self._bytes += len(content)
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._answers)))

    def _drop(self, key: Hashable) -> None:
        known = self._answers.pop(key, None)
        if known is not None:
            self._bytes -= len(known.content)


AnswerCacheDependency = NamedDependency[SkipValidation[AnswerCache]]
"""The type of a handler's ``answers`` parameter."""
