"""Gatekeeper: who is asking, may they, and how they get in and out.

Every request is identified before it is routed, so that limits count for paths that do not exist too; a route
then demands its role (``authorise``, a guard of the whole application: a route that names none is closed).
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec
import structlog
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from service.api.rate_limit import Throttle
from service.api.services import Services
from service.catalog.sessions import Refresh, Reused
from service.kit import errors
from service.kit.tokens import Claims
from service.model.user import User

PUBLIC = "public"
_HASHES_AT_ONCE = 2
_ADDRESS_FACTOR = 10  # logins an address may try in all, as a multiple of those for one name

_log = structlog.get_logger("penstock.auth")


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """What a login answers. ``expires_in`` is in seconds."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a kind of token, not one
    expires_in: int = 86400


class Identity(msgspec.Struct, frozen=True):
    """Who asks: a user with the token's claims, or the reason why nobody."""

    user: User | None = None
    claims: Claims | None = None
    refusal: errors.Unauthenticated | None = None


_ANONYMOUS = "log in with POST /api/v1/auth/token and send 'Authorization: Bearer <access token>'"


class Gatekeeper:
    """Knows tokens and accounts."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._hashing = asyncio.Semaphore(_HASHES_AT_ONCE)
        limit = services.settings.login_rate_limit_per_minute
        self._per_name = Throttle(limit, services.clock)
        self._per_address = Throttle(limit * _ADDRESS_FACTOR, services.clock)

    def identify(self, authorization: str | None) -> Identity:
        """Who an ``Authorization`` header names. Never raises: open routes do not care."""
        if authorization is None:
            return Identity(refusal=errors.Unauthenticated(_ANONYMOUS))
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return Identity(refusal=errors.Unauthenticated(_ANONYMOUS))
        try:
            claims = self._services.tokens.read(token.strip())
            return Identity(self._user(claims), claims)
        except errors.Unauthenticated as refusal:
            return Identity(refusal=refusal)

    def _user(self, claims: Claims) -> User:
        """The account behind a token, as it is now."""
        account = self._services.users.account(claims.username)
        if account is None or account.user.disabled or claims.issued < account.valid_after:
            raise errors.Unauthenticated("this login has ended; log in again with POST /api/v1/auth/token")
        if self._services.sessions.is_revoked(claims):
            raise errors.Unauthenticated("this login has ended; log in again with POST /api/v1/auth/token")
        return account.user

    async def log_in(self, username: str, password: str, address: str) -> Pair:
        """A pair of tokens for a name and its password.

        Raises ``errors.Unauthenticated`` (INVALID_CREDENTIALS, whatever was wrong), ``errors.Throttled``.
        """
        self._per_address.take(address)
        self._per_name.take(f"{address} {username[:256]}")
        async with self._hashing:
            user = await asyncio.to_thread(self._services.users.log_in, username, password)
        if user is None:
            # The name is not logged: people type passwords into the wrong field.
            _log.warning("auth.refused", address=address, known=self._services.users.account(username) is not None)
            raise errors.Unauthenticated("the username or the password is wrong", code="INVALID_CREDENTIALS")
        _log.info("auth.logged_in", username=user.username, address=address)
        return self._pair(await asyncio.to_thread(self._services.sessions.open, user.username))

    async def refresh(self, token: str, address: str) -> Pair:
        """A new pair for a refresh token, which is spent. Raises ``errors.Unauthenticated``."""
        self._per_address.take(address)
        try:
            fresh = await asyncio.to_thread(self._services.sessions.rotate, token)
        except Reused as error:
            _log.warning("auth.refresh_reused", username=error.username, address=address)
            raise
        account = self._services.users.account(fresh.username)
        if account is None or account.user.disabled:
            await asyncio.to_thread(self._services.sessions.end, fresh.family)
            raise errors.Unauthenticated("this account can no longer log in")
        return self._pair(fresh)

    async def log_out(self, claims: Claims) -> None:
        """End the login that an access token came of."""
        await asyncio.to_thread(self._services.sessions.end, claims.family, claims.id)
        _log.info("auth.logged_out", username=claims.username)

    def _pair(self, refresh: Refresh) -> Pair:
        account = self._services.users.account(refresh.username)
        tokens = self._services.tokens
        access = tokens.issue(
            refresh.username, refresh.family, not_before=account.valid_after if account is not None else 0
        )
        return Pair(access_token=access, refresh_token=refresh.token, expires_in=tokens.seconds)


async def authorise(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of every route: open only where it says so, else at least the role that it names.

    A route that names no role (OPTIONS, which Litestar adds) wants any user.
    """
    role = handler.opt.get("role", "viewer")
    if role == PUBLIC:
        return
    who: Identity = connection.scope["identity"]  # type: ignore[typeddict-item]
    if who.user is None:
        raise who.refusal or errors.Unauthenticated(_ANONYMOUS)
    if not who.user.may(role):
        raise errors.Forbidden(
            f"this needs the role {role}; '{who.user.username}' is {who.user.role}", required=role, role=who.user.role
        )
