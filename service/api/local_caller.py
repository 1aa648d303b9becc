"""Callers through the socket in the data directory: commands of the user that the service runs as.

The modes of the socket and of the data directory authenticate them, so they need no token. Without one they are an
admin that has no account; no rate limit applies. The mark is a key of the ASGI scope, which no request can set.
"""

from __future__ import annotations

from datetime import UTC, datetime

from litestar.types import ASGIApp, Receive, Scope, Send

from service.model.user import User

USERNAME = "cli"
"""Who a run or a revision is by that a command made, with or without a running service."""
_MARK = "penstock.local"


def marked(app: ASGIApp) -> ASGIApp:
    """``app`` for requests that come through the socket."""

    async def local(scope: Scope, receive: Receive, send: Send) -> None:
        scope[_MARK] = True  # type: ignore[literal-required]
        await app(scope, receive, send)

    return local


def is_local(scope: Scope) -> bool:
    """Whether a request came through the socket."""
    return _MARK in scope


def user() -> User:
    """The user of such a request."""
    return User(username=USERNAME, role="admin", created=datetime.now(UTC))
