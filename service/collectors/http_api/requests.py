"""The requests of one collection from an API, and the parts that all of them share."""

from __future__ import annotations

import functools
import gzip
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import msgspec

from service.collectors.fetching.client_pool import Clients
from service.collectors.http_api.authentication import AuthParts, Session
from service.collectors.http_api.for_each import RecordList
from service.collectors.http_api.pagination import Next
from service.kit import errors
from service.network.request import Request, Response

_INDEX = re.compile(r"-?\d{1,9}")


@dataclass(frozen=True)
class Requests:
    """The shared parts of all requests. ``clients`` send them, ``session`` authenticates them; ``headers`` and ``body``
    (a JSON value or None) go with each. ``whole`` tells whether a body without a declared length is complete."""

    clients: Clients
    session: Session
    method: str
    accept: str
    headers: Mapping[str, str]
    body: Any = None
    compressed: bool = False
    whole: Callable[[bytes], bool] | None = None

    @functools.cached_property
    def _content(self) -> bytes | None:
        return content(self.body, compressed=self.compressed)

    def fetch(self, listing: RecordList, beside: Next | None = None) -> Callable[[Next], Awaitable[Response]]:
        """A function that fetches the pages of a record list; ``beside`` are parameters of each request."""
        extra = beside or Next({})
        common = (*_pairs(listing.params), *extra.params.items())

        async def page(asked: Next) -> Response:
            step = _merged(extra, asked)
            auth = await self.session.parts()
            try:
                return await self.clients.fetch(self._request(listing, step, common, auth))
            except errors.Permanent as error:
                if error.details.get("status") != 401 or not await self.session.renew_rejected(auth):
                    raise
            return await self.clients.fetch(self._request(listing, step, common, await self.session.parts()))

        return page

    def _request(
        self, listing: RecordList, step: Next, common: tuple[tuple[str, str], ...], auth: AuthParts
    ) -> Request:
        return Request(
            url=step.url or filled(listing.url, step.path),
            method=self.method,
            accept=self.accept,
            params=() if step.url is not None else (*common, *step.params.items()),
            headers={**self.headers, **step.headers, **auth.headers},
            auth_params=auth.params,
            content=self._content
            if not step.body
            else content(with_parameters(self.body, step.body), compressed=self.compressed),
            home=listing.url,
            whole=self.whole,
        )


def _merged(beside: Next, step: Next) -> Next:
    """``step`` with the parameters ``beside`` it that are not in the query."""
    if not (beside.body or beside.headers or beside.path):
        return step
    return replace(
        step, body={**beside.body, **step.body}, headers={**beside.headers, **step.headers},
        path={**beside.path, **step.path},
    )  # fmt: skip


def content(body: Any, *, compressed: bool) -> bytes | None:
    """The body of a request as JSON, optionally compressed with gzip; None without a body."""
    if body is None:
        return None
    written = msgspec.json.encode(body)
    return gzip.compress(written, mtime=0) if compressed else written


def with_parameters(body: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """``body`` (an object or None) with the parameters at their paths, ``a.b`` or ``a.0.b``; what is in the way is
    replaced."""
    found = dict(body) if isinstance(body, dict) else {}
    for path, value in parameters.items():
        found = _with(found, path, value)
    return found


def _with(here: Any, path: str, value: Any) -> Any:
    """``here`` with ``value`` at ``path``; an index replaces an item that is there."""
    name, _, rest = path.partition(".")
    if isinstance(here, list) and _INDEX.fullmatch(name) and -len(here) <= int(name) < len(here):
        items = list(here)
        items[int(name)] = _with(items[int(name)], rest, value) if rest else value
        return items
    found = dict(here) if isinstance(here, dict) else {}
    found[name] = _with(found.get(name), rest, value) if rest else value
    return found


def filled(url: str, parameters: Mapping[str, str | None]) -> str:
    """``url`` with the parameters in place of ``{name}`` in its path; without a value its segment is left out.

    Raises ``errors.Permanent`` for a value that would change the path.
    """
    path, mark, query = url.partition("?")
    for name, value in parameters.items():
        if value in (".", ".."):
            raise errors.Permanent(f"'{value}' cannot stand for {{{name}}} in a path", field="pagination.in")
        if value is None:
            path = path.replace(f"/{{{name}}}", "")
        path = path.replace(f"{{{name}}}", quote(value or "", safe=""))
    return path + mark + query


def _pairs(params: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in params.items():
        for item in value if isinstance(value, list) else [value]:
            yield name, str(item).lower() if isinstance(item, bool) else str(item)
