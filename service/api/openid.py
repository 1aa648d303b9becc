"""Callers with a token of an OpenID Connect issuer (``PENSTOCK_OIDC_ISSUER``).

They have no account: each token names the caller and brings the role. The name is ``oidc:<sub>``; names of accounts
have no colon, so that neither takes the other's pipelines, limits or idempotency keys.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Protocol

import structlog

from service.kit import errors
from service.kit.clock import Clock
from service.kit.issuer_tokens import Header, IssuerClaims, IssuerTokens, KeySet, UnknownKey
from service.kit.settings import Settings
from service.model.user import ISSUED, RANK, User

_log = structlog.get_logger("penstock.auth")


class Keys(Protocol):
    """The keys of the issuer."""

    async def current(self) -> KeySet: ...

    async def newer(self) -> KeySet: ...


class OpenId:
    """Identifies callers by tokens of the issuer."""

    def __init__(self, tokens: IssuerTokens, keys: Keys) -> None:
        self._tokens, self._keys = tokens, keys

    async def user(self, token: str, header: Header) -> tuple[User, float]:
        """The caller that a token names, and when it expires.

        Raises ``errors.Unauthenticated``, ``errors.Forbidden`` without a role, ``errors.Unavailable``.
        """
        try:
            return _user(self._tokens.read(token, header, await self._keys.current()))
        except UnknownKey:
            return _user(self._tokens.read(token, header, await self._keys.newer()))


def _user(claims: IssuerClaims) -> tuple[User, float]:
    role = next((role for role in sorted(RANK, key=RANK.__getitem__, reverse=True) if role in claims.roles), None)
    if role is None:
        raise errors.Forbidden("the token brings no role of Penstock; PENSTOCK_OIDC_ROLE_MAP says which values do")
    since = datetime.fromtimestamp(claims.issued or claims.not_before, UTC)
    return User(username=ISSUED + claims.subject, role=role, created=since), claims.expires


def configured(settings: Settings, clock: Clock) -> OpenId | None:
    """The issuer of the settings. Raises ``errors.Invalid`` if the package that checks its signatures is missing."""
    issuer, audience = settings.oidc_issuer, settings.oidc_audience
    if issuer is None or audience is None:
        return None
    if find_spec("cryptography") is None:
        text = "PENSTOCK_OIDC_ISSUER: needs the extra oidc: pip install 'penstock[oidc]'"
        raise errors.Invalid(text, field="PENSTOCK_OIDC_ISSUER")
    if issuer.startswith("http://"):
        _log.warning("oidc.insecure", issuer=issuer, reason="whoever is between here and there can log in as anybody")
    from service.network.issuer_keys import IssuerKeys  # which needs httpx

    roles = settings.oidc_role_map or {role: role for role in RANK}
    tokens = IssuerTokens(issuer, audience, clock, role_claim=settings.oidc_role_claim, role_map=roles)
    return OpenId(tokens, IssuerKeys(issuer, clock))
