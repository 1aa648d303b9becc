"""A hook: a URL that gets a message when a run ends (``notify`` in a configuration), and its deliveries."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

import msgspec

from service.kit import placeholders
from service.kit.errors import Problem
from service.network import request

HookEvent = Literal["completed", "failed", "cancelled", "interrupted", "held"]
"""The ends of a run, as in its status."""
SIGNATURE_HEADER = "Penstock-Signature"


class Hook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A URL that gets a POST when a run has ended.

    The body is `{"event", "id", "time", "run"}`. With a `secret` the header `Penstock-Signature` is `t=<Unix
    time>,v1=<HMAC-SHA256 of "t.body", in hexadecimal>`. Any answer other than 2xx is repeated for 24 hours.
    """

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=2000, examples=["https://example.org/hooks/penstock"])]
    events: Annotated[
        list[HookEvent], msgspec.Meta(min_length=1, description="The ends of a run that are sent; all by default.")
    ] = msgspec.field(default_factory=lambda: list(get_args(HookEvent)))
    secret: (
        Annotated[
            str,
            msgspec.Meta(
                min_length=1, description="Signs the body; write `${NAME}` to keep it out of the configuration."
            ),
        ]
        | None
    ) = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message to a hook and what became of it. Times are UTC; ``error`` is that of the last try.

    ``state`` is ``waiting`` until the hook accepted it (``delivered``) or 24 hours have passed (``failed``).
    """

    id: str
    event: str
    run_id: str
    url: str
    state: Literal["waiting", "delivered", "failed"]
    tries: int
    created: datetime
    next_try: datetime | None
    error: str | None


def problems(value: Any) -> Iterable[Problem]:
    """What is wrong with the URLs of hooks as they were written."""
    for place, hook in enumerate(value if isinstance(value, list) else []):
        url = hook.get("url") if isinstance(hook, dict) else None
        wrong = request.fault(url) if isinstance(url, str) and not placeholders.names(url) else None
        if wrong is not None:
            yield Problem(f"notify[{place}].url", wrong)


def sign(secret: str, body: bytes, at: int) -> str:
    """The value of the header ``Penstock-Signature``; ``at`` is the Unix time in seconds."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
