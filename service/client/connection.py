"""Requests to a running service, by URL or through a socket, for the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from service.client.errors import NoService, error_of

_SECONDS = httpx.Timeout(10.0, read=120.0)
_PATIENT = httpx.Timeout(10.0, read=None)


class Connection:
    """A service at ``url`` (such as ``http://127.0.0.1:8000``), used with an access token.

    With ``socket``, the path of a Unix socket, requests go there, and need no token. ``patient`` waits for an answer
    without a limit.
    """

    def __init__(self, url: str, token: str | None = None, *, socket: str | None = None, patient: bool = False) -> None:
        self._client = httpx.Client(
            base_url=url.rstrip("/") + "/api/v1/",
            headers={"authorization": f"Bearer {token}"} if token is not None else {},
            timeout=_PATIENT if patient else _SECONDS,
            transport=httpx.HTTPTransport(uds=socket) if socket is not None else None,
        )

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer of a route. Raises ``ServiceError``, ``NoService``."""
        return json.loads(b"".join(self.stream("GET", path, query=query)))

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer of a route, or None if it is empty. Raises ``ServiceError``, ``NoService``."""
        answer = b"".join(self.stream(method, path, body=body))
        return json.loads(answer) if answer else None

    def stream(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None
    ) -> Iterator[bytes]:
        """The answer of a route in parts. Raises ``ServiceError``, ``NoService``."""
        try:
            with self._client.stream(method, path, params=query, json=body) as answer:
                if answer.status_code >= 400:
                    raise error_of(answer.status_code, answer.read())
                yield from answer.iter_bytes()
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise NoService(str(error) or type(error).__name__) from error
