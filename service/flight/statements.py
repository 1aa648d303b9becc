"""Statements as clients hold them: SQL with values of parameters, in tickets and handles of prepared statements.

The server keeps nothing of a statement, so that it can be restarted, and any of several servers answers. A ticket
grants nothing: the service answers the statement in it with the rights of whoever shows it.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from service.client.relay import Party, Relay
from service.flight import arrow_stream
from service.flight.arrow_stream import Piece
from service.flight.errors import Refused

_RECENT_SECONDS, _MOST_RECENT = 2.0, 1_024


class Statement(msgspec.Struct, frozen=True, array_like=True):
    """A SELECT. ``parameters`` are the values of ``?`` (a list) or ``$name``; None if none are bound.

    ``prepared`` is the text that the client prepared, if that of its values has casts: other values may follow.
    """

    sql: str
    parameters: list[Any] | dict[str, Any] | None = None
    prepared: str | None = None

    @property
    def handle(self) -> bytes:
        """The statement as a client holds it."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def of(cls, handle: bytes) -> Statement:
        """The statement of a handle. Raises ``Refused``."""
        try:
            return msgspec.msgpack.decode(handle, type=cls)
        except msgspec.MsgspecError:
            raise Refused("this is not a handle or ticket of this server") from None


async def rows(
    relay: Relay, party: Party, statement: Statement, *, limit: int | None = None
) -> AsyncGenerator[Piece, None]:
    """The answer to a statement while the service makes it: its columns, then its rows.

    Raises ``ServiceError``, ``NoService``, ``arrow_stream.Cut``.
    """
    given = {"sql": statement.sql, "parameters": statement.parameters, "limit": limit}
    body = {name: value for name, value in given.items() if value is not None}
    async with relay.stream(party, "POST", "query", query={"format": "arrow"}, body=body) as parts:
        async for piece in arrow_stream.pieces(parts):
            yield piece


async def columns(relay: Relay, party: Party, statement: Statement) -> bytes:
    """The schema message of a statement, which is bound and not executed. Raises as ``rows``."""
    found = [piece async for piece in rows(relay, party, statement, limit=0)]
    return found[0].framed


class RecentColumns:
    """The columns of statements, kept for two seconds: drivers ask for them twice, to prepare and to execute."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._known: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()

    async def of(self, party: Party, statement: Statement) -> bytes:
        """As ``columns``; each token has its own."""
        key = hashlib.sha256(msgspec.msgpack.encode((party.token, statement))).digest()
        found, until = self._known.get(key, (b"", 0.0))
        if time.monotonic() < until:
            return found
        found = await columns(self._relay, party, statement)
        self._known[key] = found, time.monotonic() + _RECENT_SECONDS
        self._known.move_to_end(key)
        if len(self._known) > _MOST_RECENT:
            self._known.popitem(last=False)
        return found
