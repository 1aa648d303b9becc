"""Identifiers: random, unguessable, and sortable by time where that helps a reader of a log."""

from __future__ import annotations

import re
import secrets
import time

_SANE = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")


def new(prefix: str) -> str:
    """``<prefix>_<12 hex of milliseconds><12 hex random>``; sorts by the time it was made."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(6)}"


def request_id(given: str | None) -> str:
    """The caller's request id where it is sane, else a new one."""
    return given if given is not None and _SANE.fullmatch(given) else new("req")
