"""Child log: log lines of a child, sent to the process that writes the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog


def logger(send: Callable[[dict[str, Any]], None]) -> Any:
    """A structlog logger that sends its lines to ``send``, as flat fields."""
    return structlog.wrap_logger(
        _Relay(send),
        processors=[structlog.processors.format_exc_info, _as_fields],
        wrapper_class=structlog.BoundLogger,
    )


class _Relay:
    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send

    def __getattr__(self, level: str) -> Any:
        def emit(**fields: Any) -> None:
            self._send({"level": level, **fields})

        return emit


def _as_fields(_: Any, level: str, event: Any) -> tuple[tuple[()], dict[str, Any]]:
    return (), {
        key: value if isinstance(value, int | float | bool | None) else str(value) for key, value in event.items()
    }
