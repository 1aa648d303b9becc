"""What the log lines of a piece of work carry: the request that it serves, or that began it, and the run."""

from __future__ import annotations

import contextvars
from typing import Any

import structlog


def request_id() -> str | None:
    """The id of the present request; None in work that no request began."""
    found = structlog.contextvars.get_contextvars().get("request_id")
    return str(found) if found is not None else None


def bind(**fields: Any) -> None:
    """Let the lines of the present task, and of what it starts, carry these fields; None is left out."""
    structlog.contextvars.bind_contextvars(**{key: value for key, value in fields.items() if value is not None})


def nobody() -> contextvars.Context:
    """A context without a request and a run: for work that outlives what happens to begin it."""
    return contextvars.Context()
