"""Routes of sessions in browsers: the refresh token is a cookie that no script can read.

A page holds the access token in memory, so that a reload asks for another one. The cookie is sent to these routes only,
and by pages of the same site only. A form of another site could still post to the refresh where a browser does not
know ``SameSite``; it cannot send the header that the refresh needs.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import Response
from litestar.datastructures import Cookie

from service.api import audit, audit_actions, examples, middleware, query_string, request_body
from service.api.login import Authenticator, TokenPair
from service.api.route_docs import RequestBody, ResponseDoc, route
from service.api.route_handler import delete, post
from service.api.routes.auth import AuthenticatorDependency
from service.api.services import Services, ServicesDependency, TypedRequest
from service.kit import errors
from service.model.user import User

COOKIE = "penstock_session"
PATH = "/api/v1/auth/session"
HEADER = "X-Penstock-CSRF"
_MOST_BYTES = 16 * 1024
_SETS = {"Set-Cookie": f"`{COOKIE}`: HttpOnly, SameSite=Strict, for this path; Secure over https."}


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """The access token of a session, and the account that it is for. ``expires_in`` is in seconds."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a kind of token, not one
    expires_in: int = 86400
    user: User


class SignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A username and password."""

    username: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token of a one-time link."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


_EXAMPLE = {name: value for name, value in examples.PAIR.items() if name != "refresh_token"} | {"user": examples.USER}


@post(
    "/auth/session",
    **route(
        "public",
        "Authentication",
        "Sign in with a browser",
        "Answers an access token, and sets a cookie that scripts cannot read. A session that the browser had ends.",
        ResponseDoc(text="Signed in.", kind=Access, example=_EXAMPLE, headers=_SETS),
        errors=("INVALID_CREDENTIALS",),
        body=RequestBody(kind=SignIn, example=examples.LOGIN),
        action=audit_actions.LOG_IN,
    ),
)
async def sign_in(
    request: TypedRequest, services: ServicesDependency, authenticator: AuthenticatorDependency
) -> Response[Access]:
    query_string.read(request, query_string.NoParameters)
    body = await request_body.value(request, SignIn, _MOST_BYTES)
    pair = await authenticator.log_in(body.username, body.password, middleware.address(request.scope))
    await _end(request, authenticator)
    return _answer(request, services, pair)


@post(
    "/auth/session/link",
    **route(
        "public",
        "Authentication",
        "Sign in with a one-time link",
        f"For the token of the link that `penstock demo --serve` prints; it is good once, for a few minutes. Needs the "
        f"header `{HEADER}: 1`. Answers as signing in does; attempts count as log-ins.",
        ResponseDoc(text="Signed in.", kind=Access, example=_EXAMPLE, headers=_SETS),
        errors=("FORBIDDEN", "UNAUTHORIZED"),
        body=RequestBody(kind=Link, example={"token": "pl_…"}),
        headers={HEADER: "`1`: a form of another site cannot send it."},
        action=audit_actions.FOLLOW_LINK,
    ),
)
async def follow_link(
    request: TypedRequest, services: ServicesDependency, authenticator: AuthenticatorDependency
) -> Response[Access]:
    query_string.read(request, query_string.NoParameters)
    _require_header(request)
    body = await request_body.value(request, Link, _MOST_BYTES)
    pair = await authenticator.follow_link(body.token, middleware.address(request.scope))
    audit.acts(request, authenticator.username(pair))
    await _end(request, authenticator)
    return _answer(request, services, pair)


@post(
    "/auth/session/refresh",
    **route(
        "public",
        "Authentication",
        "Refresh the session of a browser",
        f"Needs the header `{HEADER}: 1`. Answers a new access token and a new cookie; the old cookie is used up, and "
        "its second use ends the session. Without a session: 204.",
        ResponseDoc(text="A new access token.", kind=Access, example=_EXAMPLE, headers=_SETS),
        ResponseDoc(status=204, text="There is no session.", media=()),
        errors=("FORBIDDEN",),
        headers={HEADER: "`1`: a form of another site cannot send it."},
        action=audit_actions.REFRESH,
    ),
)
async def refresh_session(
    request: TypedRequest, services: ServicesDependency, authenticator: AuthenticatorDependency
) -> Response[Access] | Response[None]:
    query_string.read(request, query_string.NoParameters)
    await request_body.refuse(request, _MOST_BYTES)
    _require_header(request)
    token = request.cookies.get(COOKIE)
    if token is None:
        return Response(None, status_code=204)
    try:
        pair = await authenticator.refresh(token, middleware.address(request.scope))
    except errors.Unauthenticated as error:
        audit.refused(request, error)
        return _signed_out(request)
    audit.acts(request, authenticator.username(pair))
    return _answer(request, services, pair)


@delete(
    "/auth/session",
    **route(
        "public",
        "Authentication",
        "Sign out with a browser",
        "Ends the session of the cookie, with its access tokens, and removes the cookie; also 204 without a session.",
        ResponseDoc(status=204, text="Signed out.", media=()),
        action=audit_actions.LOG_OUT,
    ),
)
async def sign_out(request: TypedRequest, authenticator: AuthenticatorDependency) -> Response[None]:
    query_string.read(request, query_string.NoParameters)
    await request_body.refuse(request, _MOST_BYTES)
    audit.acts(request, await _end(request, authenticator))
    return _signed_out(request)


def _require_header(request: TypedRequest) -> None:
    if request.headers.get(HEADER.lower()) != "1":
        raise errors.Forbidden(f"send the header {HEADER}: 1", field=HEADER)


async def _end(request: TypedRequest, authenticator: Authenticator) -> str | None:
    token = request.cookies.get(COOKIE)
    return await authenticator.end(token) if token is not None else None


def _answer(request: TypedRequest, services: Services, pair: TokenPair) -> Response[Access]:
    account = services.users.account(services.tokens.read(pair.access_token).username)
    if account is None:  # it was deleted this moment
        raise errors.Unauthenticated("this account can no longer log in")
    access = Access(access_token=pair.access_token, expires_in=pair.expires_in, user=account.user)
    seconds = int(services.settings.refresh_token_days * 24 * 3600)
    return Response(access, status_code=200, cookies=[_cookie(request, pair.refresh_token, seconds)])


def _signed_out(request: TypedRequest) -> Response[None]:
    return Response(None, status_code=204, cookies=[_cookie(request, "", 0)])


def _cookie(request: TypedRequest, value: str, seconds: int) -> Cookie:
    return Cookie(
        key=COOKIE, value=value, path=PATH, max_age=seconds, httponly=True, samesite="strict",
        secure=request.scope["scheme"] == "https",
    )  # fmt: skip


HANDLERS = [sign_in, follow_link, refresh_session, sign_out]
