"""Asking: the requests of one collection from an API, with what all of them have in common."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from service.collectors.fetching.client_pool import Clients
from service.collectors.http_api.authentication import AuthParts, Session
from service.collectors.http_api.for_each import RecordList
from service.collectors.http_api.pagination import Next
from service.kit import errors
from service.network.request import Request, Response


@dataclass(frozen=True)
class Asking:
    """``clients`` ask in the name of ``session``; ``headers`` and ``content`` go with every request. ``whole`` says
    whether a body is one, where nothing else does."""

    clients: Clients
    session: Session
    method: str
    accept: str
    headers: Mapping[str, str]
    content: bytes | None
    whole: Callable[[bytes], bool] | None = None

    def fetch(
        self, listing: RecordList, extra: Sequence[tuple[str, str]] = ()
    ) -> Callable[[Next], Awaitable[Response]]:
        """What fetches the pages of that list; ``extra`` are parameters beside its own."""
        common = (*_pairs(listing.params), *extra)

        async def page(step: Next) -> Response:
            given = await self.session.given()
            try:
                return await self.clients.fetch(self._request(listing, step, common, given))
            except errors.Permanent as error:
                if error.details.get("status") != 401 or not await self.session.refused(given):
                    raise
            return await self.clients.fetch(self._request(listing, step, common, await self.session.given()))

        return page

    def _request(
        self, listing: RecordList, step: Next, common: tuple[tuple[str, str], ...], given: AuthParts
    ) -> Request:
        return Request(
            url=step.url or listing.url,
            method=self.method,
            accept=self.accept,
            params=() if step.url is not None else (*common, *step.params.items()),
            headers={**self.headers, **given.headers},
            auth_params=given.params,
            content=self.content,
            home=listing.url,
            whole=self.whole,
        )


def content(body: Any, *, compressed: bool) -> bytes | None:
    """The body of a request, as JSON."""
    if body is None:
        return None
    written = msgspec.json.encode(body)
    return gzip.compress(written, mtime=0) if compressed else written


def _pairs(params: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in params.items():
        for item in value if isinstance(value, list) else [value]:
            yield name, str(item).lower() if isinstance(item, bool) else str(item)
