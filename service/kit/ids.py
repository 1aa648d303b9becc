"""Random identifiers that cannot be guessed and that sort by time."""

from __future__ import annotations

import re
import secrets
import time

_HARMLESS = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")


def new(prefix: str) -> str:
    """``<prefix>_<12 hex of milliseconds><12 hex random>``; sorts by the time it was made."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(6)}"


def request_id(proposed: str | None) -> str:
    """The client's request id if its letters are harmless, else a new one."""
    return proposed if proposed is not None and _HARMLESS.fullmatch(proposed) else new("req")
