"""Authentication: how a source knows us. Each kind answers headers and query parameters, and nothing else.

What it answers is sent to the origin of the endpoint only (``steps.http``), whatever redirects and links say.
"""

from __future__ import annotations

import base64
from typing import Annotated, Literal

import msgspec

from service.steps.context import Context

Secret = Annotated[str, msgspec.Meta(min_length=1, description="Usually a secret: ${NAME}.", examples=["${API_KEY}"])]


class Given(msgspec.Struct, frozen=True):
    """What a request gets for its authentication."""

    headers: dict[str, str] = {}
    params: tuple[tuple[str, str], ...] = ()


class Bearer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="bearer"):
    """``Authorization: Bearer <token>``."""

    token: Secret

    def given(self, ctx: Context) -> Given:
        return Given({"authorization": f"Bearer {ctx.fill(self.token)}"})


class Basic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="basic"):
    """``Authorization: Basic …`` (RFC 7617, in UTF-8)."""

    username: Annotated[str, msgspec.Meta(description="Without a colon.", pattern="^[^:]*$")]
    password: Secret

    def given(self, ctx: Context) -> Given:
        pair = f"{ctx.fill(self.username)}:{ctx.fill(self.password)}".encode()
        return Given({"authorization": f"Basic {base64.b64encode(pair).decode()}"})


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="api_key"):
    """A key under a name of the source's choice, in a header or in the query."""

    key: Secret
    name: Annotated[str, msgspec.Meta(min_length=1, description="Header or parameter.")] = "X-API-Key"
    location: Annotated[Literal["header", "query"], msgspec.Meta(description="Where the key is sent.")] = "header"

    def given(self, ctx: Context) -> Given:
        key = ctx.fill(self.key)
        return Given({self.name: key}) if self.location == "header" else Given(params=((self.name, key),))


Auth = Bearer | Basic | ApiKey
