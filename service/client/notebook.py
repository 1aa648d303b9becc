"""What a notebook shows of an answer: the page that its route answers to ``Accept: text/html``.

The page is asked for when the notebook shows the object, so that a run is shown as it is then. Where the service does
not answer (any more), the notebook shows the object as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import httpx
import msgspec

from service.client.errors import NoService, ServiceError

T = TypeVar("T")
Address = tuple[str, Mapping[str, Any]]
Fetch = Callable[[str, Mapping[str, Any]], bytes]
"""Answers the page at a path below ``/api/v1/`` with a query."""


class Shown(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A value that has a page, at an address made of its fields."""

    _ADDRESS: ClassVar[str]

    def _repr_html_(self) -> str | None:
        return _page(self, (self._ADDRESS.format(self), {}))


class Report(dict[str, Any]):
    """A JSON object that has a page."""

    def __init__(self, found: Mapping[str, Any], address: Address) -> None:
        super().__init__(found)
        self._address = address

    def _repr_html_(self) -> str | None:
        return _page(self, self._address)


def linked(found: T, fetch: Fetch) -> T:
    """``found``, whose page, or the pages of its items, ``fetch`` gets."""
    if isinstance(found, Shown | Report):
        vars(found)["_fetch"] = fetch
    elif isinstance(found, list | tuple):
        for item in found:
            linked(item, fetch)
    return found


def _page(shown: Shown | Report, address: Address) -> str | None:
    fetch: Fetch | None = vars(shown).get("_fetch")
    if fetch is None:
        return None
    try:
        return fetch(*address).decode()
    except (ServiceError, NoService, httpx.HTTPError, RuntimeError):  # RuntimeError: the client was closed
        return None
