"""Who calls: an access token, or a name and password that become one, and how many calls a user has at the same time.

The service judges each token with each request. The user of a token is asked for once in some seconds: it decides which
calls count together, and without a valid token nothing of a call is read.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import msgspec
from grpc import StatusCode

from service.client.errors import NotLoggedInError
from service.client.relay import Party, Relay
from service.flight.errors import Refused

MOST_OF_A_USER = 32
_HEADER = "authorization"
_KNOWN_SECONDS, _MOST_KNOWN = 10.0, 1_024
_SHARED_PART = 0.1  # of its time, so that no connection gets a token that is about to expire
_WHO = "send 'authorization: Bearer <access token>', or log in with a name and a password (UNAUTHORIZED)"
_BUSY = f"a user has at most {MOST_OF_A_USER} calls at the same time (OVERLOADED)"


class _Pair(msgspec.Struct):
    access_token: str
    expires_in: int


class _Account(msgspec.Struct):
    username: str


_PAIR, _ACCOUNT = msgspec.json.Decoder(_Pair), msgspec.json.Decoder(_Account)


class Callers:
    """Finds the caller of each call, and counts the calls of each user."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._users: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._calls: Counter[str] = Counter()
        self._logins: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._key = secrets.token_bytes(32)

    @contextlib.asynccontextmanager
    async def entered(self, context: Any) -> AsyncIterator[Party]:
        """The caller of a call while it lasts. Raises ``Refused``, and what a request to the service raises."""
        party = await self._party(context)
        user = await self._user(party)
        if self._calls[user] >= MOST_OF_A_USER:
            raise Refused(_BUSY, StatusCode.RESOURCE_EXHAUSTED)
        self._calls[user] += 1
        try:
            yield party
        except NotLoggedInError:
            self._users.pop(party.token or "", None)
            raise
        finally:
            self._calls[user] -= 1
            if not self._calls[user]:
                del self._calls[user]

    async def _party(self, context: Any) -> Party:
        """The token of a call; a log-in answers one, which the client sends from then on."""
        address = _address(context.peer())
        given = dict(context.invocation_metadata()).get(_HEADER, "")
        scheme, _, value = str(given).partition(" ")
        if scheme.lower() == "bearer":
            return Party(value.strip(), address)
        if scheme.lower() != "basic":
            raise Refused(_WHO, StatusCode.UNAUTHENTICATED)
        party = await self._logged_in(value.strip(), address)
        await context.send_initial_metadata(((_HEADER, f"Bearer {party.token}"),))
        return party

    async def _logged_in(self, credentials: str, address: str | None) -> Party:
        """A token for a name and a password. Pools connect often: a young login serves all their connections."""
        digest = hmac.digest(self._key, credentials.encode(), "sha256")
        token, until = self._logins.get(digest, ("", 0.0))
        if time.monotonic() < until:
            with contextlib.suppress(NotLoggedInError):
                await self._user(Party(token, address))
                return Party(token, address)
        try:  # some clients leave the padding out
            text = base64.b64decode(credentials + "=" * (-len(credentials) % 4), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Refused(_WHO, StatusCode.UNAUTHENTICATED) from None
        name, _, password = text.partition(":")
        body = {"username": name, "password": password}
        pair = _PAIR.decode(await self._relay.ask(Party(None, address), "POST", "auth/token", body=body))
        token = pair.access_token
        self._logins[digest] = token, time.monotonic() + pair.expires_in * _SHARED_PART
        self._logins.move_to_end(digest)
        if len(self._logins) > _MOST_KNOWN:
            self._logins.popitem(last=False)
        return Party(token, address)

    async def _user(self, party: Party) -> str:
        token = party.token or ""
        user, until = self._users.get(token, ("", 0.0))
        if time.monotonic() < until:
            return user
        self._users.pop(token, None)
        user = _ACCOUNT.decode(await self._relay.ask(party, "GET", "auth/me")).username
        self._users[token] = user, time.monotonic() + _KNOWN_SECONDS
        self._users.move_to_end(token)
        if len(self._users) > _MOST_KNOWN:
            self._users.popitem(last=False)
        return user


def _address(peer: str) -> str | None:
    """The IP address of a peer, which gRPC writes as ``ipv4:127.0.0.1:50000``."""
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else None
