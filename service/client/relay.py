"""Requests of many users over one pool of connections, for a process that stands before the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from service.client import session


@dataclass(frozen=True)
class Party:
    """Whose requests they are: an access token (None before a log-in) and an address, as a proxy names it."""

    token: str | None
    address: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that say so."""
        found = {"authorization": f"Bearer {self.token}"} if self.token is not None else {}
        return {**found, **({"x-forwarded-for": self.address} if self.address is not None else {})}


class Relay:
    """The service at ``url``; each request is one of a ``Party``.

    ``seconds`` is the longest wait for the next part of an answer, ``connections`` how many there are at most.
    """

    def __init__(self, url: str, *, seconds: float, connections: int) -> None:
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/api/v1/",
            headers={"accept-encoding": "identity"},  # the service is near
            timeout=httpx.Timeout(10.0, read=seconds),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(
        self, party: Party, method: str, path: str, *, query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> bytes:  # fmt: skip
        """The whole answer of a route. Raises ``ServiceError``, ``NoService``."""
        async with self.stream(party, method, path, query=query, body=body) as parts:
            return b"".join([part async for part in parts])

    @asynccontextmanager
    async def stream(
        self, party: Party, method: str, path: str, *, query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:  # fmt: skip
        """The answer of a route in parts. Raises ``ServiceError``, ``NoService``; reading a part, ``NoService``."""
        try:
            sent = self._http.stream(method, path, params=query, json=body, headers=party.headers)
            async with sent as response:
                if response.status_code >= 400:
                    await response.aread()
                if (refused := session.failure(response)) is not None:
                    raise refused
                yield _parts(response)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise session.unreached(error) from error


async def _parts(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in response.aiter_raw():
            yield part
    except httpx.TransportError as error:
        raise session.unreached(error) from error
