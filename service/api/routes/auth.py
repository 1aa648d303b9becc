"""Auth: in with a password, on with a refresh token, out; and who am I."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from service.api import examples, middleware, query_string, request_body, responses
from service.api.login import Gatekeeper, Pair
from service.api.route_docs import JSON, RequestBody, ResponseDoc, route
from service.api.services import TypedRequest
from service.model.user import User

GivenGatekeeper = NamedDependency[SkipValidation[Gatekeeper]]
_FORM = "application/x-www-form-urlencoded"
_MOST_BYTES = 16 * 1024


class Credentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name and its password; as a form it is OAuth2's password grant. ``scope`` and clients are not used."""

    username: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    grant_type: Literal["password"] = "password"
    scope: str = ""
    client_id: str | None = None
    client_secret: str | None = None


class RefreshRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A refresh token to spend."""

    refresh_token: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    grant_type: Literal["refresh_token"] = "refresh_token"


@post(
    "/auth/token",
    **route(
        "public",
        "Authentication",
        "Log in",
        "A pair of tokens for a name and its password, as JSON or as the OAuth2 password form. The access token goes "
        "into `Authorization: Bearer …`; the refresh token is good for one use.",
        ResponseDoc(text="Logged in.", kind=Pair, example=examples.PAIR),
        errors=("INVALID_CREDENTIALS",),
        body=RequestBody(kind=Credentials, example=examples.LOGIN, media=(JSON, _FORM)),
    ),
)
async def log_in(request: TypedRequest, gatekeeper: GivenGatekeeper) -> Pair:
    query_string.read(request, query_string.Nothing)
    given = await request_body.value(request, Credentials, _MOST_BYTES, form=True)
    return await gatekeeper.log_in(given.username, given.password, middleware.address(request.scope))


@post(
    "/auth/refresh",
    **route(
        "public",
        "Authentication",
        "Refresh a login",
        "A new pair; the old refresh token is spent, and its second use ends the whole login.",
        ResponseDoc(text="A new pair.", kind=Pair, example=examples.PAIR),
        errors=("UNAUTHORIZED",),
        body=RequestBody(kind=RefreshRequest, example={"refresh_token": "pr_…"}, media=(JSON, _FORM)),
    ),
)
async def refresh(request: TypedRequest, gatekeeper: GivenGatekeeper) -> Pair:
    query_string.read(request, query_string.Nothing)
    given = await request_body.value(request, RefreshRequest, _MOST_BYTES, form=True)
    return await gatekeeper.refresh(given.refresh_token, middleware.address(request.scope))


@post(
    "/auth/logout",
    **route(
        "viewer",
        "Authentication",
        "Log out",
        "Ends this login: its access tokens and its refresh token are refused from now on.",
        ResponseDoc(text="Logged out.", kind=responses.Message, example={"message": "logged out"}),
    ),
)
async def log_out(request: TypedRequest, gatekeeper: GivenGatekeeper) -> responses.Message:
    query_string.read(request, query_string.Nothing)
    await request_body.nothing(request, _MOST_BYTES)
    await gatekeeper.log_out(request.auth)
    return responses.Message(message="logged out")


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
    query_string.read(request, query_string.Nothing)
    return request.user


HANDLERS = [log_in, refresh, log_out, who_am_i]
