"""Redirects: which answers are one, where they may lead, and what the next request sends.

The target must be a URL that may be fetched (``request.fault``); ``egress`` checks its address like any other. The
user's headers, authentication and query parameters are not sent to another origin, and a request with a body
fails there (``client``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from service.kit import lazy
from service.network.request import Hop, fault

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy.module("httpx")

MOST = 3
"""Redirects that one request follows."""

STATUSES = frozenset({301, 302, 303, 307, 308})


class NotAllowed(Exception):
    """A redirect that is not followed, with the reason as its text."""


def target(url: str, location: str) -> Hop:
    """The address that an answer from ``url`` redirects to. Raises ``NotAllowed``."""
    address = str(httpx.URL(url).join(location))
    wrong = fault(address)
    if wrong is not None:
        raise NotAllowed(f"it redirects to a URL that is not allowed: {wrong}")
    return Hop.of(address)


def is_redirect(status: int, headers: Mapping[str, str]) -> bool:
    """Whether the answer redirects; ``headers`` are by lower-case name."""
    return status in STATUSES and "location" in headers


def becomes_get(status: int, method: str) -> bool:
    """Whether the next request is a GET without a body."""
    return status == 303 or (status in (301, 302) and method == "POST")
