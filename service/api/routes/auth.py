"""Routes of authentication: log in, refresh, log out, and the account behind a token."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from service.api import audit, audit_actions, examples, middleware, query_string, request_body, responses
from service.api.login import Authenticator, TokenPair
from service.api.route_docs import RequestBody, ResponseDoc, route
from service.api.route_handler import get, post
from service.api.services import TypedRequest
from service.model.user import User

AuthenticatorDependency = NamedDependency[SkipValidation[Authenticator]]
_MOST_BYTES = 16 * 1024
_CHANGED = "the password is changed; log in again with POST /api/v1/auth/token"


class Credentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A username and password; as a form, the OAuth2 password grant. ``scope`` and ``client_…`` are ignored."""

    username: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    grant_type: Literal["password"] = "password"
    scope: str = ""
    client_id: str | None = None
    client_secret: str | None = None


class RefreshRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A refresh token, which can be used once."""

    refresh_token: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    grant_type: Literal["refresh_token"] = "refresh_token"


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The present password of the caller, and the next one."""

    old: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    new: Annotated[str, msgspec.Meta(description="At least 12 characters.", max_length=1024)]


@post(
    "/auth/token",
    **route(
        "public",
        "Authentication",
        "Log in",
        "Answers a pair of tokens for a username and password, sent as JSON or as the form of OAuth2's password flow "
        "(the security scheme `password`). Send the access token as `Authorization: Bearer …`; the refresh token can "
        "be used once.",
        ResponseDoc(text="Logged in.", kind=TokenPair, example=examples.PAIR),
        errors=("INVALID_CREDENTIALS",),
        body=RequestBody(kind=Credentials, example=examples.LOGIN),
        action=audit_actions.LOG_IN,
    ),
)
async def log_in(request: TypedRequest, authenticator: AuthenticatorDependency) -> TokenPair:
    query_string.read(request, query_string.NoParameters)
    body = await request_body.value(request, Credentials, _MOST_BYTES, form=True)
    return await authenticator.log_in(body.username, body.password, middleware.address(request.scope))


@post(
    "/auth/refresh",
    **route(
        "public",
        "Authentication",
        "Refresh a login",
        "Answers a new pair, also for the form of OAuth2. The old refresh token is used up; its second use ends the "
        "whole login.",
        ResponseDoc(text="A new pair.", kind=TokenPair, example=examples.PAIR),
        errors=("UNAUTHORIZED",),
        body=RequestBody(kind=RefreshRequest, example={"refresh_token": "pr_…"}),
        action=audit_actions.REFRESH,
    ),
)
async def refresh(request: TypedRequest, authenticator: AuthenticatorDependency) -> TokenPair:
    query_string.read(request, query_string.NoParameters)
    body = await request_body.value(request, RefreshRequest, _MOST_BYTES, form=True)
    pair = await authenticator.refresh(body.refresh_token, middleware.address(request.scope))
    audit.acts(request, authenticator.username(pair))
    return pair


@post(
    "/auth/logout",
    **route(
        "viewer",
        "Authentication",
        "Log out",
        "Ends this login: its access tokens and its refresh token are refused from now on.",
        ResponseDoc(text="Logged out.", kind=responses.Message, example={"message": "logged out"}),
        action=audit_actions.LOG_OUT,
    ),
)
async def log_out(request: TypedRequest, authenticator: AuthenticatorDependency) -> responses.Message:
    query_string.read(request, query_string.NoParameters)
    await request_body.refuse(request, _MOST_BYTES)
    await authenticator.log_out(request.auth)
    return responses.Message(message="logged out")


@post(
    "/auth/password",
    **route(
        "viewer",
        "Authentication",
        "Change the own password",
        "Ends all logins of the caller, this one included: log in again with the new password. Attempts count as "
        "log-ins, and a wrong `old` is 401.",
        ResponseDoc(text="Changed.", kind=responses.Message, example={"message": _CHANGED}),
        errors=("INVALID_CREDENTIALS",),
        body=RequestBody(kind=PasswordChange, example={"old": examples.LOGIN["password"], "new": "another long one"}),
        action=audit_actions.CHANGE_PASSWORD,
    ),
)
async def change_password(request: TypedRequest, authenticator: AuthenticatorDependency) -> responses.Message:
    query_string.read(request, query_string.NoParameters)
    body = await request_body.value(request, PasswordChange, _MOST_BYTES)
    await authenticator.change_password(request.auth, body.old, body.new, middleware.address(request.scope))
    return responses.Message(message=_CHANGED)


@get(
    "/auth/me",
    **route(
        "viewer",
        "Authentication",
        "Who am I",
        "The account behind the access token, with its role as it is now.",
        ResponseDoc(text="The account.", kind=User, example=examples.USER),
    ),
)
async def who_am_i(request: TypedRequest) -> User:
    query_string.read(request, query_string.NoParameters)
    user: User = request.scope["identity"].user  # type: ignore[typeddict-item]
    return user


HANDLERS = [log_in, refresh, log_out, change_password, who_am_i]
