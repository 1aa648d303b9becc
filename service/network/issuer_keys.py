"""The keys of the OpenID Connect issuer, fetched from the address that the operator configured.

They are fetched when the first token needs them and again when they are old, which no request waits for, or when a
token names a key that they lack, which one request in some seconds may cause. While the issuer does not answer, known
keys stay. Answers have a bounded size and time; the egress rules of collectors do not apply.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx
import structlog

import service
from service.kit import errors
from service.kit.clock import Clock
from service.kit.issuer_tokens import KeySet

FRESH_SECONDS, PAUSE_SECONDS = 900.0, 10.0
"""How long keys are not looked up again, and the least time between two looks."""
SECONDS = 5.0
MOST_BYTES = 512 * 1024
_HEADERS = {
    "user-agent": f"penstock/{service.__version__}",
    "accept": "application/json",
    "accept-encoding": "identity",
}

_log = structlog.get_logger("penstock.auth")


class IssuerKeys:
    """The key set of ``issuer``. Its methods belong to the event loop."""

    def __init__(self, issuer: str, clock: Clock) -> None:
        self._issuer, self._clock = issuer, clock
        self._tls = httpx.create_ssl_context()  # SSL_CERT_FILE may name the authority of a private issuer
        self._keys: KeySet | None = None
        self._fetched = self._next = clock.monotonic()
        self._fetching: asyncio.Task[None] | None = None
        logging.getLogger("httpx").setLevel(logging.WARNING)  # its lines at INFO are not ours

    async def current(self) -> KeySet:
        """The known keys; they are fetched if there are none. Raises ``errors.Unavailable`` (ISSUER_UNAVAILABLE)."""
        if self._keys is None:
            await self._look()
        elif self._clock.monotonic() > self._fetched + FRESH_SECONDS:
            self._begin()
        if self._keys is None:
            raise errors.Unavailable(
                "the issuer of tokens (PENSTOCK_OIDC_ISSUER) does not answer; try again later",
                code="ISSUER_UNAVAILABLE", retry_after=max(1.0, self._next - self._clock.monotonic()),
            )  # fmt: skip
        return self._keys

    async def newer(self) -> KeySet:
        """The keys after another look, unless the last look was a moment ago."""
        await self._look()
        return await self.current()

    async def _look(self) -> None:
        self._begin()
        if self._fetching is not None:
            await asyncio.shield(self._fetching)  # a caller that gives up does not take the others' answer away

    def _begin(self) -> None:
        if self._fetching is None and self._clock.monotonic() >= self._next:
            self._fetching = asyncio.create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                document = await self._documents()
            if self._keys is None or self._keys.document != document:
                self._keep(KeySet(document))
            self._fetched = self._clock.monotonic()
        except Exception as error:  # whatever an issuer answers: known keys stay, and the next look is tried
            reason = str(error) or type(error).__name__
            _log.warning("oidc.keys_not_fetched", issuer=self._issuer, reason=reason, known=self._keys is not None)
        finally:
            self._next = self._clock.monotonic() + PAUSE_SECONDS
            self._fetching = None

    def _keep(self, keys: KeySet) -> None:
        if not len(keys):
            raise ValueError("its key set has no key that verifies RS256 or ES256")
        self._keys = keys
        _log.info("oidc.keys_fetched", issuer=self._issuer, keys=len(keys))

    async def _documents(self) -> bytes:
        """The key set, at the address in the issuer's description."""
        async with httpx.AsyncClient(verify=self._tls, trust_env=False, headers=_HEADERS, timeout=SECONDS) as client:
            address = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
            described = json.loads(await _body(client, address))
            if described.get("issuer") != self._issuer:
                raise ValueError(f"it calls itself '{_short(described.get('issuer'))}'; set exactly that")
            where = described.get("jwks_uri")
            if not isinstance(where, str) or not where.startswith(("https://", f"{self._issuer.partition(':')[0]}://")):
                raise ValueError(f"its jwks_uri '{_short(where)}' is not an https:// URL")
            return await _body(client, where)


async def _body(client: httpx.AsyncClient, url: str) -> bytes:
    """The body of a successful answer. Raises ValueError, ``httpx.HTTPError``."""
    async with client.stream("GET", url) as answer:
        if answer.status_code != 200:
            raise ValueError(f"{_short(url)} answers {answer.status_code}")
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise ValueError(f"{_short(url)} answers compressed, which was not asked for")
        body = bytearray()
        async for part in answer.aiter_raw():
            body += part
            if len(body) > MOST_BYTES:
                raise ValueError(f"{_short(url)} answers more than {MOST_BYTES} bytes")
        return bytes(body)


def _short(value: Any) -> str:
    return str(value)[:200]
