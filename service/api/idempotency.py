"""``Idempotency-Key``: a POST that is sent again under its key gets its first answer again, and does nothing twice.

``claim`` is the ``before_request`` hook of the routes with ``idempotent=True``; it runs after their guards. The
middleware lets it read the body before the handler, and captures the answer. Handlers pass ``claimed(request)`` on, so
that the key is committed together with the work.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from litestar import Response
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from service.api import request_body
from service.api.services import Services, TypedRequest
from service.catalog.history import Alongside
from service.catalog.idempotency import Answer, Claim, IdempotencyKeys
from service.catalog.store import Transaction
from service.kit import errors
from service.model.run import Run

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_MOST = 255
_STATE = "idempotency"

_log = structlog.get_logger("penstock.api")


class _Exchange:
    """A request with a key: its body, which can be read twice, its claim and its answer."""

    def __init__(self, app: Idempotency, receive: Receive) -> None:
        self.app = app
        self.claim: Claim | None = None
        self._receive = receive
        self._body: bytes | None = None
        self.kept: bytes | None = None

    async def receive(self) -> Any:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    def rewind(self, body: bytes) -> None:
        self._body = body


class _Turn:
    """The lock of one key, and how many requests want it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class Idempotency:
    """An ASGI application around the routes. The first of ``secrets`` keys the fingerprints of requests.

    The others recognise fingerprints from before a rotation.
    """

    def __init__(self, app: ASGIApp, services: Services, secrets: Sequence[bytes]) -> None:
        self.services = services
        self.keys = IdempotencyKeys(services.store, services.clock)
        self._app = app
        self._secrets = secrets
        self._turns: dict[tuple[str, str], _Turn] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = next((value for name, value in scope["headers"] if name == HEADER.lower().encode()), None)
        if header is None or scope["type"] != ScopeType.HTTP or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(self, receive)
        scope[_STATE] = exchange  # type: ignore[literal-required]
        held: list[Message] = []

        async def hold(message: Message) -> None:
            if exchange.claim is None:
                await send(message)
                return
            held.append(message)

        try:
            await self._app(scope, exchange.receive, hold)
            if exchange.claim is not None:
                await self._keep(exchange.claim, held, exchange.kept)
        finally:
            if exchange.claim is not None:
                self._leave(exchange.claim)
        for message in held:
            await send(message)

    async def enter(self, scope: HTTPScope, key: str, body: bytes) -> Claim | Answer:
        """The claim of a request, once no other request has its key; or the answer to repeat.

        Raises ``errors.Conflict`` (IDEMPOTENCY_CONFLICT).
        """
        fingerprints = self._fingerprints(scope, body)
        fingerprint = fingerprints[0]
        caller = scope["user"].caller
        turn = self._turns.setdefault((caller, key), _Turn())
        turn.users += 1
        claim = Claim(caller=caller, key=key, fingerprint=fingerprint, at=self.services.clock.now())
        try:
            await turn.lock.acquire()
        except BaseException:
            self._drop(caller, key)
            raise
        try:
            known = await asyncio.to_thread(self.keys.find, caller, key)
            if known is None:
                return claim
            if not any(hmac.compare_digest(known.fingerprint, mine) for mine in fingerprints):
                raise errors.Conflict(
                    f"the {HEADER} was used for another request; send a new key", code="IDEMPOTENCY_CONFLICT",
                    field=HEADER,
                )  # fmt: skip
            if known.answer is None:
                return Claim(caller=caller, key=key, fingerprint=fingerprint, at=claim.at, resource=known.resource)
        except BaseException:
            self._leave(claim)
            raise
        self._leave(claim)
        return known.answer

    def _leave(self, claim: Claim) -> None:
        self._turns[claim.caller, claim.key].lock.release()
        self._drop(claim.caller, claim.key)

    def _drop(self, caller: str, key: str) -> None:
        turn = self._turns[caller, key]
        turn.users -= 1
        if not turn.users:
            del self._turns[caller, key]

    def _fingerprints(self, scope: HTTPScope, body: bytes) -> list[str]:
        parts = (scope["method"].encode(), scope["path"].encode(), scope.get("query_string", b""), body)
        text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return [hmac.new(secret, text, hashlib.sha256).hexdigest() for secret in self._secrets]

    async def _keep(self, claim: Claim, held: list[Message], kept: bytes | None) -> None:
        """Store the answer before it is sent. Without it the next try makes the answer from what was committed."""
        start: Any = held[0] if held else {"status": 500}
        if not 200 <= start["status"] < 300:
            return
        answer = Answer(
            status=start["status"],
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]],
            body=kept or b"".join(message.get("body", b"") for message in held[1:]),  # type: ignore[misc]
        )
        try:
            await asyncio.to_thread(self.keys.store, claim, answer)
        except Exception as error:
            _log.error("idempotency.not_written", reason=str(error))


async def claim(request: TypedRequest) -> Response[bytes] | None:
    """Claim the key of a request, or answer the first answer again.

    Raises ``errors.Invalid`` for a bad key, ``errors.Conflict`` (IDEMPOTENCY_CONFLICT), and what reading a body raises.
    """
    exchange: _Exchange | None = request.scope.get(_STATE)  # type: ignore[assignment]
    if exchange is None:
        return None
    key = _valid(request.headers.getall(HEADER.lower()))
    body = await request_body.read(request, exchange.app.services.settings.max_body_bytes)
    exchange.rewind(body)
    found = await exchange.app.enter(request.scope, key, body)
    if isinstance(found, Claim):
        exchange.claim = found
        return None
    headers = {name.lower(): value for name, value in found.headers}
    headers.pop("content-length", None)
    media_type = headers.pop("content-type", None)
    again = {**headers, REPLAYED.lower(): "true"}
    return Response(found.body, status_code=found.status, headers=again, media_type=media_type)


def claimed(request: TypedRequest) -> Claim | None:
    """The claim of a request that has a key."""
    exchange: _Exchange | None = request.scope.get(_STATE)  # type: ignore[assignment]
    return exchange.claim if exchange is not None else None


def withhold(request: TypedRequest, body: bytes) -> None:
    """Let ``body`` be what a repeated request gets and what is stored: the first answer tells a secret."""
    exchange: _Exchange | None = request.scope.get(_STATE)  # type: ignore[assignment]
    if exchange is not None:
        exchange.kept = body


async def claimed_run(
    request: TypedRequest, services: Services, queue: Callable[[Sequence[Alongside]], Awaitable[Run]]
) -> Run:
    """The run that ``queue`` starts, or that an earlier try of the request has started."""
    mine = claimed(request)
    if mine is None:
        return await queue(())
    if mine.resource is not None:
        return await services.supervisor.run(mine.resource)

    def note(transaction: Transaction, run: Run) -> None:
        mine.note(transaction, run.run_id)

    return await queue((note,))


def _valid(given: list[str]) -> str:
    if len(given) > 1:
        raise errors.Invalid(f"the header {HEADER} must be sent once", field=HEADER)
    key = given[0]
    if not 0 < len(key) <= _MOST or not all("!" <= letter <= "~" for letter in key):
        raise errors.Invalid(f"{HEADER}: 1 to {_MOST} visible ASCII characters", field=HEADER)
    return key
