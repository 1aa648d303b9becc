"""Checks of the request headers that a user sets: valid names and values, and none that the client itself sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from service.kit.errors import Problem

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset({
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer",
    "accept-encoding", "proxy-authorization", "proxy-connection", "expect",
})  # fmt: skip


def problems(headers: Mapping[str, str]) -> Iterable[Problem]:
    """What is wrong with ``headers``."""
    for name, value in headers.items():
        field = f"headers.{name}"
        if not _NAME.fullmatch(name):
            yield Problem(field, "not the name of a header")
        elif name.lower() in _OURS:
            yield Problem(field, "this header is set by the service")
        elif any(c in value for c in "\r\n\0"):
            yield Problem(field, "a header's value is one line of text")
