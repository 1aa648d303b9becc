"""Structured logs: structlog writes one line per event to stderr, with the bound context (``request_id``, ``run_id``).

It writes them itself, since each request has one. The loggers of the standard library (the server's, the framework's)
use the same processors. Secrets are removed last, after exceptions became text: values of keys that name a secret, and
texts that look like tokens.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import sys
import threading
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import msgspec
import structlog

MASK = "***"
_KEY = re.compile(r"(?i)(password|passwd|secret|token|authorization|cookie|credential|api[-_]?key|private[-_]?key)")
_VALUE = re.compile(
    r"(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"
    r"|\bpr_[A-Za-z0-9_-]{20,}"
)
_SHORTEST = len("eyJ") + 8 + len(".x")  # no text that looks like a token is shorter
_NOISY = ("httpx", "httpcore", "asyncio", "litestar")


def redact(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The event without secrets."""
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(key: str, value: Any) -> Any:
    if isinstance(value, str):
        if _is_secret(key):
            return MASK
        return value if len(value) < _SHORTEST else _VALUE.sub(MASK, value)
    if isinstance(value, Mapping):
        return {k: _redacted(f"{key}.{k}", v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(key, v) for v in value]
    return value


@functools.lru_cache(1024)
def _is_secret(key: str) -> bool:
    return _KEY.search(key) is not None


class _Lines:
    """Writes lines to a stream, each whole, whatever thread it comes from. What cannot be written stops no work."""

    def __init__(self, stream: TextIO, lock: threading.RLock, name: str | None = None) -> None:
        self.name = name
        self._stream = stream
        self._lock = lock

    def msg(self, line: str) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


def _line(event: Any, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()


def configure(format: Literal["json", "console"], level: str, stream: TextIO | None = None) -> None:
    """Write every log line of this process to ``stream`` (stderr) in one format. May be called again."""
    stream = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_line)
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    handler = logging.StreamHandler(stream)
    assert handler.lock is not None
    structlog.configure(
        processors=[*shared, redact, renderer],
        logger_factory=functools.partial(_Lines, stream, handler.lock),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=False,
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, renderer],
        )
    )
    handler.setLevel(level.upper())  # Granian's loggers choose their own
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def server_config() -> dict[str, Any]:
    """Granian's ``log_dictconfig``: its loggers have no handlers, so that the root logger gets their lines."""
    quiet = {"handlers": [], "level": "ERROR", "propagate": True}  # the service logs the rest
    return {"handlers": {}, "loggers": {"_granian": dict(quiet), "granian.access": dict(quiet)}}
