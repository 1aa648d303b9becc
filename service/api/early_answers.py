"""What the port answers while the service starts: it is alive, and nothing else works yet.

This module is loaded before the framework, the catalog and the plug-ins are, and imports none of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

import service
from service.kit import ids

if TYPE_CHECKING:
    from litestar.types import ASGIApp

Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]
ALWAYS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
"""Headers of every answer."""
UNLESS_SET: Headers = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Headers of every answer that does not have them already."""

_RETRY_SECONDS = b"1"
_ALIVE = {"status": "healthy", "version": service.__version__}
_NOT_READY = {
    "status": "not ready", "version": service.__version__, "checks": {"start": "running"}, "sandbox": "none",
}  # fmt: skip
_STARTING = {"code": "OVERLOADED", "message": "the service is starting; try again", "details": {}}


class StartingApp:
    """An ASGI application that passes requests to ``app`` as soon as that is set."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await _answer(scope, send)


async def _answer(scope: dict[str, Any], send: Send) -> None:
    status = 503
    value: dict[str, Any] = {"error": _STARTING}
    if scope["method"] in ("GET", "HEAD"):
        if scope["path"] == "/health":
            status, value = 200, _ALIVE
        elif scope["path"] == "/health/ready":
            value = _NOT_READY
    await respond(scope, send, status, msgspec.json.encode(value))


async def respond(
    scope: dict[str, Any], send: Send, status: int, body: bytes, media_type: bytes = b"application/json"
) -> None:
    """Answer a request without the framework; a 503 says when to try again."""
    given = dict(scope["headers"]).get(b"x-request-id")
    headers = [
        (b"content-type", media_type), (b"content-length", str(len(body)).encode()), *ALWAYS, *UNLESS_SET,
        (b"x-request-id", ids.request_id(given.decode("latin-1") if given is not None else None).encode()),
    ]  # fmt: skip
    if status == 503:
        headers.append((b"retry-after", _RETRY_SECONDS))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
