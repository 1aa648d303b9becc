"""What the audit log gets of requests: an event for each that reaches a route with an action, before it is answered.

The route declares its action (``api.audit_actions``); who, what and the outcome are read from the ASGI scope, where the
middleware, the router, ``request_body`` and ``error_response`` leave them. No event has a password, a token or a body,
nor a name that was typed into a log-in and is not one of an account.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import msgspec
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers.base import BaseRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog import contextvars

from service.api import error_response, local_caller, middleware, rate_limit, request_body
from service.api.audit_actions import CHANGE_USER, LOG_IN, LOG_OUT, REFRESH, Action
from service.api.services import Services, TypedRequest
from service.kit import errors
from service.kit.codes import CODES
from service.model import audit_event
from service.model.audit_event import AuditEvent, Outcome
from service.model.rights import Rights

_STATE, _ACTOR = "penstock.audit", "penstock.audit.actor"
_STRANGERS_PER_MINUTE = 10
"""Refusals of requests without a login that are recorded of one address, beside its log-ins; others fill no disk."""
_LONGEST = 200  # characters of a name
_NOT_NOW = ("OVERLOADED", "STORAGE_FULL")


class _State:
    """Whether a request is recorded already."""

    def __init__(self, audit: Audit) -> None:
        self.audit = audit
        self.recorded = False


class Audit:
    """An ASGI application around the routes, inside of the request's middleware."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services
        self.log = services.audit
        self._strangers = services.limiter(_STRANGERS_PER_MINUTE, services.clock)
        self._queries = services.settings.audit_queries != "off"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        replaced = False
        state = _State(self)
        scope[_STATE] = state  # type: ignore[literal-required]

        async def record(message: Message) -> None:
            nonlocal replaced
            if not state.recorded and message["type"] == "http.response.start":
                state.recorded = True
                action = _action(scope)
                try:
                    if action is not None:
                        await self._record(action, scope, message)
                except errors.Unavailable as error:
                    replaced = True
                    await middleware.send_error(error, scope, send)
            if not replaced:
                await send(message)

        try:
            await self._app(scope, receive, record)
        finally:
            if not state.recorded and scope.get("user") is not None:  # the client has gone, or the service stops
                self.note(scope, "failed")

    def note(self, scope: Scope, outcome: Outcome, more: dict[str, Any] | None = None) -> None:
        """Record a request without waiting for the disk."""
        action = _action(scope)
        event = self._event(action, scope, outcome, None, more) if action is not None else None
        if event is not None:
            self.log.submit(event)

    async def _record(self, action: Action, scope: Scope, start: Any) -> None:
        """Record a request that is about to be answered. Raises ``errors.Unavailable`` if it must not be without."""
        error: Exception | None = scope.get(error_response.RAISED)  # type: ignore[assignment]
        code = error_response.translated(error).error_code if error is not None else None
        outcome: Outcome = "ok"
        if error is not None or start["status"] >= 400:
            failed = code is None or (CODES[code].status >= 500 and code not in _NOT_NOW)
            outcome = "failed" if failed else "refused"
        event = self._event(action, scope, outcome, code, _of_headers(start["headers"]))
        if event is None:
            return
        stranger = scope.get("user") is None
        if stranger and outcome == "refused" and await self._is_too_much(action, code, event.address):
            return
        if not action.at_once or (stranger and outcome != "ok" and action not in (LOG_IN, REFRESH)):
            self.log.submit(event)
            return
        try:
            await self.log.record(event)
        except errors.Unavailable:
            if outcome == "ok" and not action.goes_on:
                raise

    def _event(
        self, action: Action, scope: Scope, outcome: Outcome, code: str | None, more: dict[str, Any] | None = None
    ) -> AuditEvent | None:
        """The event of a request; None if it is not to be recorded."""
        body: Any = scope.get(request_body.READ)
        options = parse_qs(scope["query_string"].decode("ascii", "replace")) if scope["query_string"] else {}
        query = _field(body, options, action.query) if action.query else None
        if (action.is_query and not self._queries) or (action.filtered and query is None):
            return None
        actor, address = self._actor(action, scope, body), _address(scope)
        if actor is None and outcome == "ok" and action in (REFRESH, LOG_OUT):
            return None  # there was no session
        key: str | None = getattr(scope.get("user"), "key", None)
        details: dict[str, Any] = {"key": key} if key is not None else {}
        if outcome == "ok":
            details |= {name: value for name in action.shown if (value := _field(body, options, name)) is not None}
            if action is CHANGE_USER:
                details["changes"] = [name for name in body.__struct_fields__ if getattr(body, name) is not None]
            details |= more or {}
        return self.log.event(
            action.name, actor=actor, key=_key(scope), address=address, outcome=outcome, code=code,
            object=self._object(action, scope, body, outcome), details=details,
            request_id=contextvars.get_contextvars().get("request_id"), **_query(query),
        )  # fmt: skip

    def _actor(self, action: Action, scope: Scope, body: Any) -> str | None:
        """The account that acts: of the token, of a refresh token, or the one that was named and exists."""
        if action is LOG_IN:
            name = getattr(body, "username", None)
            return name if name is not None and self._services.users.account(name) is not None else None
        user: Rights | None = scope.get("user")
        if user is not None and action is not REFRESH:
            return user.username
        of_error: str | None = getattr(scope.get(error_response.RAISED), "username", None)
        found: str | None = scope.get(_ACTOR)  # type: ignore[assignment]
        return found or of_error

    def _object(self, action: Action, scope: Scope, body: Any, outcome: Outcome) -> str | None:
        """The name of what the action was done to. One in a body that was refused may be anything."""
        if action is LOG_IN:
            return None
        if action.of is not None:
            value = _field(body, {}, action.of) if outcome == "ok" else None
            return value[:_LONGEST] if isinstance(value, str) else None
        name = "/".join(str(part).strip("/") for part in scope["path_params"].values())
        if action.account and outcome != "ok" and self._services.users.account(name) is None:
            return None
        return name[:_LONGEST] or None

    async def _is_too_much(self, action: Action, code: str | None, address: str | None) -> bool:
        """Whether a refusal is one of a flood that would fill the disk. The request log has each."""
        if action in (LOG_IN, REFRESH) and code in ("INVALID_CREDENTIALS", "UNAUTHORIZED"):
            return False  # these have a limit of their own
        return (await self._strangers.take(rate_limit.network(address or ""))).wait > 0


def begun(request: TypedRequest, location: str) -> None:
    """Record a request that has done its work, and is answered when what it began has ended."""
    state: _State = request.scope[_STATE]  # type: ignore[literal-required]
    state.recorded = True
    state.audit.note(request.scope, "ok", {"location": location})


def acts(request: TypedRequest, username: str | None) -> None:
    """Name the account that a request without an access token acts for."""
    request.scope[_ACTOR] = username  # type: ignore[literal-required]


def refused(request: TypedRequest, error: errors.PenstockError) -> None:
    """Note the refusal of a request that is not answered with an error."""
    request.scope[error_response.RAISED] = error  # type: ignore[literal-required]


async def admit(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of routes that add something. Raises ``errors.Unavailable`` while that could not be recorded."""
    action: Action | None = handler.opt.get("action")
    if action is not None and action.adds:
        state: _State = connection.scope[_STATE]  # type: ignore[literal-required]
        state.audit.log.admit()


def _action(scope: Scope) -> Action | None:
    handler: Any = scope.get("route_handler")
    return handler.opt.get("action") if handler is not None else None


def _address(scope: Scope) -> str:
    return "socket" if local_caller.is_local(scope) else middleware.address(scope)


def _key(scope: Scope) -> str | None:
    rights: Rights | None = scope.get("user")
    return rights.key if rights is not None else None


def _of_headers(headers: Any) -> dict[str, Any]:
    """What the headers of an answer say of what was done."""
    given = dict(headers)
    found: dict[str, Any] = {"repeated": True} if b"idempotency-replayed" in given else {}
    return {**found, "location": given[b"location"].decode()[:_LONGEST]} if b"location" in given else found


def _field(body: Any, options: dict[str, list[str]], name: str) -> Any:
    """A field of a body or a parameter, if it is a plain value."""
    if name in options:
        return options[name][0]
    value = body.get(name) if isinstance(body, dict) else getattr(body, name, None)
    return value if isinstance(value, str | int | float | bool) and not isinstance(value, msgspec.Raw) else None


def _query(query: Any) -> dict[str, str]:
    if not isinstance(query, str):
        return {}
    long = len(query) > audit_event.LONGEST_QUERY
    hashed = {"query_sha256": audit_event.hash_of(query)} if long else {}
    return {"query": query[: audit_event.LONGEST_QUERY], **hashed}
