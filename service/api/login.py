"""Authentication and authorisation: the user of a request, what the user may do, logging in and out.

Every request is identified before it is routed, so that rate limits also count for paths that do not exist. A route
then demands its role (``authorise``, a guard of the whole application: a route that names no role is closed).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal

import msgspec
import structlog
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Scope

from service.api import local_caller, openid, sign_in_link
from service.api.log_in_limits import LogInLimits
from service.api.services import Services
from service.catalog import api_keys
from service.catalog.sessions import Refresh, Reused
from service.kit import errors, issuer_tokens
from service.kit.issuer_tokens import Header
from service.kit.tokens import Claims
from service.model.rights import Rights
from service.model.user import Role, User

PUBLIC = "public"
_HASHES_AT_ONCE = 2
_LINK = "(link)"
"""What attempts with a link are counted by; an account cannot have this name."""
_FOLLOWED = ("api_keys", "revoked_tokens", "users")

_log = structlog.get_logger("penstock.auth")


class TokenPair(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of a login. ``expires_in`` is in seconds."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a kind of token, not one
    expires_in: int = 86400


class Identity(msgspec.Struct, frozen=True):
    """The user of a request, what the request may do, and the claims of the token; or the reason why there is none."""

    user: User | None = None
    rights: Rights | None = None
    claims: Claims | None = None
    refusal: errors.PenstockError | None = None
    until: float | None = None
    """When the token of the request expires, in seconds since 1970. What was admitted before may be finished."""
    again: Callable[[], Awaitable[Identity]] | None = None

    async def confirm(self) -> None:
        """Raise ``errors.Unauthenticated`` if the user, or what the request may do, has changed since."""
        if self.again is not None and (await self.again()).rights != self.rights:
            raise errors.Unauthenticated("what this login or key may do has changed meanwhile; send the request again")


def _identity(user: User, claims: Claims | None = None, *, local: bool = False) -> Identity:
    account = None if local else user.username
    return Identity(user, Rights(username=user.username, role=user.role, account=account), claims)


_ANONYMOUS = "log in with POST /api/v1/auth/token and send 'Authorization: Bearer <access token>'"


class Authenticator:
    """Identifies users by access tokens, logs them in and out."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._hashing = asyncio.Semaphore(_HASHES_AT_ONCE)
        limit = services.settings.login_rate_limit_per_minute
        self._limits = services.log_in_limits or LogInLimits(limit, services.clock, services.limiter)
        self._openid = openid.configured(services.settings, services.clock)
        self._seen: int | None = None

    async def identify(self, authorization: str | None, *, local: bool = False) -> Identity:
        """The user that an ``Authorization`` header names. Never raises, since open routes need no user.

        A ``local`` caller without this header is an admin.
        """
        if authorization is None and local:
            return _identity(local_caller.user(), local=True)
        if authorization is None:
            return Identity(refusal=errors.Unauthenticated(_ANONYMOUS))
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return Identity(refusal=errors.Unauthenticated(_ANONYMOUS))
        token = token.strip()
        try:
            if token.startswith(api_keys.START):
                return await self._machine(token)
            if self._openid is not None and (header := issuer_tokens.header_of(token)) is not None:
                return await self._issued(self._openid, token, header)
            return await self._login(self._services.tokens.read(token))
        except (errors.Unauthenticated, errors.Forbidden, errors.Unavailable) as refusal:
            return Identity(refusal=refusal)

    async def _follow(self) -> None:
        """Read accounts, keys and ended logins again if another process has changed some. Raises as ``Store.rows``."""
        if not self._services.store.shared:
            return
        stamp = self._services.store.stamp(_FOLLOWED)
        if stamp != self._seen:
            for kept in (self._services.users, self._services.sessions, self._services.keys):
                await asyncio.to_thread(kept.refresh)
            self._seen = stamp

    async def _machine(self, secret: str) -> Identity:
        """The user of an API key, with the rights that both have now."""
        await self._follow()
        key = self._services.keys.find(secret)
        account = self._services.users.account(key.owner) if key is not None else None
        if key is None or account is None or account.user.disabled:
            raise errors.Unauthenticated("this API key is not valid: it is unknown, expired or removed")
        if self._services.keys.note_use(key):
            asyncio.get_running_loop().run_in_executor(None, self._services.keys.write_uses)
        rights = key.rights(account.user)
        user = msgspec.structs.replace(account.user, role=rights.role)
        return Identity(user, rights, again=partial(self._machine, secret))

    async def _issued(self, issuer: openid.OpenId, token: str, header: Header) -> Identity:
        """The user of a token of the issuer, who has no account that could change."""
        user, until = await issuer.user(token, header)
        return msgspec.structs.replace(_identity(user), until=until)

    async def _login(self, claims: Claims) -> Identity:
        """The user of an access token, as long as that login lasts."""
        await self._follow()
        return msgspec.structs.replace(
            _identity(self._user(claims), claims), until=claims.expires, again=partial(self._login, claims)
        )

    def _user(self, claims: Claims) -> User:
        """The account behind a token, as it is now."""
        account = self._services.users.account(claims.username)
        if account is None or account.user.disabled or not account.accepts(claims):
            raise errors.Unauthenticated("this login has ended; log in again with POST /api/v1/auth/token")
        if self._services.sessions.is_revoked(claims):
            raise errors.Unauthenticated("this login has ended; log in again with POST /api/v1/auth/token")
        return account.user

    async def log_in(self, username: str, password: str, address: str) -> TokenPair:
        """A pair of tokens for a name and its password.

        Raises ``errors.Unauthenticated`` (INVALID_CREDENTIALS, whatever was wrong), ``errors.Throttled``.
        """
        key = await self._limits.count(address, username)
        await self._follow()
        before = self._services.users.account(username)  # a change of the account meanwhile ends this login
        async with self._hashing:
            user = await asyncio.to_thread(self._services.users.log_in, username, password)
        if user is None:
            await self._limits.failed(key)
            # The name is not logged: people type passwords into the wrong field.
            _log.warning("auth.refused", address=address, known=self._services.users.account(username) is not None)
            raise errors.Unauthenticated("the username or the password is wrong", code="INVALID_CREDENTIALS")
        await self._limits.succeeded(key)
        _log.info("auth.logged_in", username=user.username, address=address)
        generation = before.valid_after if before is not None else None
        return self._pair(await asyncio.to_thread(self._services.sessions.open, user.username, generation))

    async def follow_link(self, token: str, address: str) -> TokenPair:
        """A pair of tokens for the token of a one-time link.

        Raises ``errors.Unauthenticated`` (what became of the link), ``errors.Throttled`` as for passwords.
        """
        key = await self._limits.count(address, _LINK)
        await self._follow()
        try:
            username = sign_in_link.redeem(self._services.link, token)
            account = self._services.users.account(username)
            if account is None or account.user.disabled:
                raise errors.Unauthenticated("this account can no longer log in")
        except errors.Unauthenticated as error:
            await self._limits.failed(key)
            _log.warning("auth.link_refused", address=address, reason=error.message)
            raise
        await self._limits.succeeded(key)
        _log.info("auth.logged_in", username=username, address=address, by="link")
        return self._pair(await asyncio.to_thread(self._services.sessions.open, username, account.valid_after))

    async def refresh(self, token: str, address: str) -> TokenPair:
        """A new pair for a refresh token, which is used up. Raises ``errors.Unauthenticated``."""
        await self._limits.count_address(address)
        try:
            fresh = await asyncio.to_thread(self._services.sessions.rotate, token)
        except Reused as error:
            _log.warning("auth.refresh_reused", username=error.username, address=address)
            raise
        await self._follow()
        account = self._services.users.account(fresh.username)
        if account is None or account.user.disabled:
            await asyncio.to_thread(self._services.sessions.end, fresh.family)
            raise errors.Unauthenticated("this account can no longer log in")
        return self._pair(fresh)

    async def change_password(self, claims: Claims | None, old: str, new: str, address: str) -> None:
        """Change the password of a login's user, which ends all logins of that user.

        Attempts count as those of ``log_in``. Raises ``errors.Unauthenticated`` (INVALID_CREDENTIALS) for a wrong
        ``old``, ``errors.Throttled``, and ``errors.Invalid`` for a bad ``new`` or a request without a login.
        """
        if claims is None:
            raise errors.Invalid("only a login with a password can change it", field="authorization")
        key = await self._limits.count(address, claims.username)
        async with self._hashing:
            try:
                changed = await asyncio.to_thread(self._services.users.change_password, claims.username, old, new)
            except errors.Invalid as error:
                raise errors.Invalid(error.message.replace("password:", "new:", 1), field="new") from None
        if changed is None:
            await self._limits.failed(key)
            _log.warning("auth.password_refused", username=claims.username, address=address)
            raise errors.Unauthenticated("old: this is not the password", code="INVALID_CREDENTIALS", field="old")
        await self._limits.succeeded(key)
        _log.info("auth.password_changed", username=claims.username, address=address)

    async def end(self, refresh_token: str) -> str | None:
        """End the login of a refresh token, if there is one, and return its user."""
        return await asyncio.to_thread(self._services.sessions.end_of, refresh_token)

    async def log_out(self, claims: Claims | None) -> None:
        """End the login that an access token belongs to. Raises ``errors.Invalid`` for a request without a token."""
        if claims is None:
            message = "this request has no access token of a login here, so there is no login to end"
            raise errors.Invalid(message, field="authorization")
        await asyncio.to_thread(self._services.sessions.end, claims.family, claims.id)
        _log.info("auth.logged_out", username=claims.username)

    def username(self, pair: TokenPair) -> str:
        """Whom a pair of tokens belongs to."""
        return self._services.tokens.read(pair.access_token).username

    def _pair(self, refresh: Refresh) -> TokenPair:
        tokens = self._services.tokens
        account = self._services.users.account(refresh.username) if "." not in refresh.family else None
        not_before = account.valid_after if account is not None else 0  # only for logins of older releases
        access = tokens.issue(refresh.username, refresh.family, not_before=not_before)
        return TokenPair(access_token=access, refresh_token=refresh.token, expires_in=tokens.seconds)


async def authorise(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of every route: the user needs at least the role that the route names, unless the route is public.

    A route that names no role (OPTIONS, which Litestar adds) needs any user. Raises ``errors.Unauthenticated``,
    ``errors.Forbidden``.
    """
    role = handler.opt.get("role", "viewer")
    if role != PUBLIC:
        require(connection.scope, role)


def require(scope: Scope, role: Role) -> None:
    """Refuse a request whose user has less than ``role``. Raises as ``authorise``."""
    identity: Identity = scope["identity"]  # type: ignore[typeddict-item]
    rights = identity.rights
    if rights is None:
        raise identity.refusal or errors.Unauthenticated(_ANONYMOUS)
    if not rights.may(role):
        raise errors.Forbidden(
            f"this needs the role {role}; '{rights.username}' is {rights.role}", required=role, role=rights.role
        )
