"""The answer to a query, as the API relays it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """The answer to a query. ``content`` is all of it if it was complete at once, else None: read ``body``.

    Iterating ``body`` raises if the worker fails on the way; the response must then be broken off. Closing it
    (``aclose``) ends the worker.
    """

    media_type: str
    body: AsyncIterator[bytes]
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None

    @classmethod
    def whole(cls, media_type: str, content: bytes) -> Answer:
        """An answer that is complete."""
        return cls(media_type, _once(content), content=content)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
