"""The middleware around every request, also around those that no route answers.

On the way in: the request id, the user, the rate limit, and the refusal of requests that a proxy and the server could
read differently. On the way out: the headers that every answer has, and one line in the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from service.api import compression, error_response, head, local_caller, rate_limit, request_span
from service.api.cors import Cors, Headers
from service.api.disconnects import Hearing
from service.api.early_answers import ALWAYS, UNLESS_SET
from service.api.login import Authenticator
from service.api.proxies import TrustedProxies
from service.api.services import Services
from service.kit import caller, errors, ids
from service.model.rights import Rights

_ALLOWANCE = "penstock.allowance"
_UNLIMITED = "/health"  # container platforms call it every few seconds
_MOST_HEADERS, _MOST_HEADER_BYTES = 64, 65_536  # the server's own 431, for more than 100 headers, has no body
_CONTROL = frozenset(map(chr, (*range(32), 127)))

_log = structlog.get_logger("penstock.api")


class RequestMiddleware:
    """An ASGI application around Litestar's own."""

    def __init__(self, app: ASGIApp, services: Services, authenticator: Authenticator) -> None:
        self._app = app
        self._clock, self._metrics, self._traces = services.clock, services.metrics, services.traces
        self._gatekeeper = authenticator
        self._rate_limiter = services.limiter(services.settings.rate_limit_per_minute, services.clock)
        self._cors = Cors(services.settings.cors_origins)
        self._proxies = TrustedProxies(services.settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.WEBSOCKET:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])  # the last of several; _refuse counts those that matter
        request_id = ids.request_id(_text(headers.get(b"x-request-id")))
        began, status, size = self._clock.monotonic(), 0, 0
        method = scope["method"]
        hearing = Hearing(receive, has_body=headers.get(b"content-length", b"0") != b"0")
        receive = hearing
        if method == "HEAD":
            scope["method"] = "GET"
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"range"]
            receive, send = head.without_body(receive, send)

        async def answer(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._with_headers(message["headers"], headers, request_id, scope.get(_ALLOWANCE))
            elif message["type"] == "http.response.body":
                size += len(message["body"])
            await send(message)

        span = self._traces.begin(_text(headers.get(b"traceparent")))
        trace = {} if span is None else {"trace_id": span.place.trace_id}
        bound = structlog.contextvars.bind_contextvars(request_id=request_id, **trace)
        try:
            who = await self._admit(scope, headers)
            preflight = self._cors.preflight(method, headers)
            if preflight is None:
                with caller.asking(who):
                    await self._app(scope, receive, answer)
            else:
                await _answer(204, preflight, b"", answer)
        except Exception as error:
            if status:
                _log.warning("request.broken_off", error=f"{type(error).__name__}: {error}")
                raise  # the server breaks the connection, so that the client sees an incomplete answer
            await send_error(error, scope, answer)
        finally:
            hearing.close()
            self._log_request(scope, method, status, size, began)
            if span is not None:
                request_span.end(span, scope, method, status, request_id)
            structlog.contextvars.reset_contextvars(**bound)

    def _with_headers(
        self, given: Iterable[tuple[bytes, bytes]], request: Mapping[bytes, bytes], id_: str, allowance: Any
    ) -> Headers:
        """The headers of an answer, with those that every answer has. Names are lower-case."""
        headers = compression.varying(given, b"Origin") if self._cors.varies else [*given]
        names = {name for name, _ in headers}
        headers += ALWAYS
        headers.append((b"x-request-id", id_.encode()))
        if allowance is not None and b"ratelimit-limit" not in names:
            headers += allowance.headers
        if b"origin" in request:
            headers += self._cors.headers(request)
        headers += [header for header in UNLESS_SET if header[0] not in names]
        return headers

    async def _admit(self, scope: Scope, headers: dict[bytes, bytes]) -> str:
        """Count the request for its user, or else its address, and answer that."""
        self._proxies.resolve(scope)
        local = local_caller.is_local(scope)
        who = await self._gatekeeper.identify(_text(headers.get(b"authorization")), local=local)
        scope["identity"] = who  # type: ignore[typeddict-unknown-key]
        scope["user"], scope["auth"] = who.rights, who.claims
        counted = f"user {who.user.username}" if who.user else f"address {rate_limit.network(address(scope))}"
        if scope["path"] != _UNLIMITED and not local:
            await self._count(scope, who.rights, counted)
        _refuse(scope, headers)
        return counted

    async def _count(self, scope: Scope, rights: Rights | None, counted: str) -> None:
        """Count a request. One that the limit of a key refuses costs the user of the key nothing."""
        limits: list[tuple[str, int | None]] = [(counted, None)]
        if rights is not None and rights.rate_limit_per_minute is not None:
            limits.insert(0, (rights.caller, rights.rate_limit_per_minute))
        least = None
        for who, per_minute in limits:
            allowance = await self._rate_limiter.take(who, per_minute)
            least = allowance if least is None or allowance.left < least.left else least
            scope[_ALLOWANCE] = least  # type: ignore[literal-required]
            allowance.require("requests")

    def _log_request(self, scope: Scope, method: str, status: int, size: int, began: float) -> None:
        who = scope.get("user")
        route, seconds = scope.get("path_template") or "(no route)", self._clock.monotonic() - began
        self._metrics.count_request(method, route, status, seconds)
        if (limit := scope.get(error_response.LIMIT)) is not None:
            self._metrics.limits_hit.add(1, str(limit), str(status))
        _log.info(
            "request.finished",
            method=method,
            path=route,
            status=status,
            bytes=size,
            duration=round(seconds, 6),
            **({"username": who.username} if who is not None else {}),
            **({"local": True} if local_caller.is_local(scope) else {}),
        )


def address(scope: Scope) -> str:
    """The address of the client; the one that a trusted proxy names (``TrustedProxies``)."""
    client = scope.get("client")
    return client[0] if client else "unknown"


def _text(value: bytes | None) -> str | None:
    return value.decode("latin-1") if value is not None else None


def _refuse(scope: Scope, headers: dict[bytes, bytes]) -> None:
    """Refuse a request that two readers could understand differently, or with characters that no name may hold."""
    given = [*scope["headers"]]
    if len(given) > _MOST_HEADERS or sum([len(name) + len(value) for name, value in given]) > _MOST_HEADER_BYTES:
        message = f"a request has at most {_MOST_HEADERS} headers, of {_MOST_HEADER_BYTES} bytes together"
        raise errors.TooLarge(message, code="HEADERS_TOO_LARGE")
    if b"transfer-encoding" in headers and b"content-length" in headers:  # Granian drops the length (RFC 9112, 6.3)
        raise errors.Invalid("a request has Content-Length or Transfer-Encoding, not both", field="transfer-encoding")
    if len(headers) < len(given):
        names = [name for name, _ in given]
        for name in (b"content-length", b"authorization", b"content-type", b"host"):
            if names.count(name) > 1:
                raise errors.Invalid(f"the header {name.decode()} must be sent once", field=name.decode())
    length = headers.get(b"content-length")
    if length is not None and not (length.isdigit() and len(length) < 20):
        raise errors.Invalid("Content-Length is not a number", field="content-length")
    if not _CONTROL.isdisjoint(scope["path"]) or "\ufffd" in scope["path"]:
        raise errors.Invalid("the path must not hold control characters or invalid UTF-8", field="path")
    query = scope.get("query_string", b"")
    if b"%00" in query or not query.isascii():
        raise errors.Invalid("the query string must be ASCII, percent-encoded, without NUL", field="query")


async def send_error(error: Exception, scope: Scope, send: Send) -> None:
    """Send the answer to an error that was raised outside of the routes."""
    response = error_response.respond(error, scope)
    body: bytes = response.content
    headers = {**response.headers, "content-type": "application/json", "content-length": str(len(body))}
    encoded = [(k.lower().encode(), str(v).encode("latin-1")) for k, v in headers.items()]
    await _answer(response.status_code or 500, encoded, body, send)


async def _answer(status: int, headers: Headers, body: bytes, send: Send) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
