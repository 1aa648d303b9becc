"""Authentication of requests. Each kind produces headers and query parameters, and nothing else.

They are sent to the origin of the endpoint only (``network.client``), wherever redirects and links lead. A ``Session``
holds them for one collection: an OAuth2 token is fetched once, used by all pages, and renewed shortly before it expires
or when the source no longer accepts it.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Literal
from urllib.parse import quote_plus, urlencode

import msgspec

from service.kit import errors
from service.kit.errors import Problem
from service.network import request
from service.network.request import Request, Response
from service.steps.context import CollectContext

Secret = Annotated[str, msgspec.Meta(min_length=1, description="Usually a secret: ${NAME}.", examples=["${API_KEY}"])]


class AuthParts(msgspec.Struct, frozen=True):
    """The headers and query parameters that authenticate a request."""

    headers: dict[str, str] = {}
    params: tuple[tuple[str, str], ...] = ()


class Bearer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="bearer"):
    """``Authorization: Bearer <token>``."""

    token: Secret

    def parts(self, ctx: CollectContext) -> AuthParts:
        return AuthParts({"authorization": f"Bearer {ctx.fill(self.token)}"})


class Basic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="basic"):
    """``Authorization: Basic …`` (RFC 7617, in UTF-8)."""

    username: Annotated[str, msgspec.Meta(description="Without a colon.", pattern=r"^[^:]*\Z")]
    password: Secret

    def parts(self, ctx: CollectContext) -> AuthParts:
        pair = f"{ctx.fill(self.username)}:{ctx.fill(self.password)}".encode()
        return AuthParts({"authorization": f"Basic {base64.b64encode(pair).decode()}"})


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="api_key"):
    """A key in a header or a query parameter."""

    key: Secret
    name: Annotated[str, msgspec.Meta(min_length=1, description="Name of the header or parameter.")] = "X-API-Key"
    location: Annotated[Literal["header", "query"], msgspec.Meta(description="Where the key is sent.")] = "header"

    def parts(self, ctx: CollectContext) -> AuthParts:
        key = ctx.fill(self.key)
        name = ctx.fill(self.name)
        return AuthParts({name: key}) if self.location == "header" else AuthParts(params=((name, key),))


class ClientCredentials(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type",
    tag="oauth2_client_credentials",
):  # fmt: skip
    """The OAuth2 client credentials grant (RFC 6749, 4.4): a token fetched with a client id and secret."""

    token_url: Annotated[str, msgspec.Meta(min_length=1, max_length=4096, description="URL of the token endpoint.")]
    client_id: Annotated[str, msgspec.Meta(min_length=1, description="Client id at the token endpoint.")]
    client_secret: Secret
    scope: Annotated[str | None, msgspec.Meta(description="Scopes, separated by spaces.")] = None
    params: Annotated[dict[str, str], msgspec.Meta(description="Further form fields, e.g. 'audience'.")] = {}
    client_auth: Annotated[
        Literal["basic", "body"], msgspec.Meta(description="Where the token endpoint expects id and secret.")
    ] = "basic"

    def problems(self) -> Iterable[Problem]:
        """What is wrong with the settings."""
        wrong = request.fault(self.token_url) if "${" not in self.token_url else None
        if wrong is not None:
            yield Problem("auth.token_url", wrong)

    def request(self, ctx: CollectContext) -> Request:
        """The request for a token."""
        form = {"grant_type": "client_credentials", **ctx.fill_all(self.params)}
        if self.scope:
            form["scope"] = ctx.fill(self.scope)
        client, secret = ctx.fill(self.client_id), ctx.fill(self.client_secret)
        headers = {}
        if self.client_auth == "basic":
            pair = f"{quote_plus(client)}:{quote_plus(secret)}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        else:
            form |= {"client_id": client, "client_secret": secret}
        return Request(
            ctx.fill(self.token_url), method="POST", accept="application/json", headers=headers,
            content=urlencode(form).encode(), content_type="application/x-www-form-urlencoded", max_bytes=1024 * 1024,
        )  # fmt: skip


Auth = Bearer | Basic | ApiKey | ClientCredentials
_EARLY_SECONDS = 30.0


class Token(msgspec.Struct, frozen=True):
    """The fields of a token endpoint's answer that are used."""

    access_token: Annotated[str, msgspec.Meta(min_length=1)]
    token_type: str = "bearer"  # noqa: S105 - the type of a token, not a secret
    expires_in: float | None = None


class Session:
    """The authentication of one collection. ``fetch`` sends the token request."""

    def __init__(
        self,
        auth: Auth | None,
        ctx: CollectContext,
        fetch: Callable[[Request], Awaitable[Response]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._auth, self._ctx, self._fetch, self._clock = auth, ctx, fetch, clock
        self._lock = asyncio.Lock()
        self._parts: AuthParts | None = None
        self._until = float("inf")

    async def parts(self) -> AuthParts:
        """The headers and parameters for the next request."""
        if not isinstance(self._auth, ClientCredentials):
            return self._auth.parts(self._ctx) if self._auth is not None else AuthParts()
        async with self._lock:
            if self._parts is None or self._clock() >= self._until:
                await self._renew(self._auth)
            assert self._parts is not None
            return self._parts

    async def renew_rejected(self, rejected: AuthParts) -> bool:
        """Renew what the source rejected; whether there is something new to try."""
        if not isinstance(self._auth, ClientCredentials):
            return False
        async with self._lock:
            if self._parts is rejected:  # no other request renewed it in the meantime
                await self._renew(self._auth)
            return True

    async def _renew(self, auth: ClientCredentials) -> None:
        try:
            answer = await self._fetch(auth.request(self._ctx))
            token = msgspec.json.decode(answer.body, type=Token, strict=False)
        except errors.StepError as error:
            error.details["field"] = "auth.token_url"
            raise
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise errors.Permanent(
                f"{auth.token_url.split('?', 1)[0]}: the answer holds no access_token",
                step=self._ctx.step, field="auth.token_url",
            ) from None  # fmt: skip
        if token.token_type.lower() != "bearer":
            raise errors.Permanent(
                f"the token is of type '{token.token_type}'; only bearer tokens are used",
                step=self._ctx.step, field="auth.token_url",
            )  # fmt: skip
        self._parts = AuthParts({"authorization": f"Bearer {token.access_token}"})
        life = float("inf") if token.expires_in is None else token.expires_in
        self._until = self._clock() + max(life - _EARLY_SECONDS, life / 2)
