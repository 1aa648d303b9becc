"""Access tokens, which are signed, and refresh tokens, of which only a hash is stored.

The only module that imports ``jwt``. An access token is HS256 with exactly the header ``alg``, ``typ``, ``kid`` and
exactly the claims of ``Claims``; its ``typ`` claim must be that of an access token. PyJWT checks the signature, the
issuer and the audience. Times are checked here, against the clock that was passed in, and must be integers (PyJWT
accepts ``"9999999999"``). ``kid`` names the key, so that an older key can stay valid for a while after a change.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import jwt
import msgspec

from service.kit import errors, ids
from service.kit.clock import Clock

LEEWAY_SECONDS = 10
LONGEST_SECONDS = 24 * 3600
_ISSUER, _AUDIENCE, _KIND = "penstock", "penstock-api", "access"
_MAX_LENGTH = 4096
_MOST_VERIFIED = 4096
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_HEADER = {"alg", "typ", "kid"}
_CLAIMS = {"iss", "aud", "sub", "iat", "nbf", "exp", "jti", "typ", "fam"}


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of an access token. Times are seconds since 1970; ``family`` is the login that it belongs to."""

    username: str
    id: str
    family: str
    issued: int
    not_before: int
    expires: int


class Tokens:
    """Issues and reads access tokens. The first secret signs; all of them verify."""

    def __init__(self, keys: Sequence[str], clock: Clock, *, hours: float = 24) -> None:
        if not keys or any(len(k.encode()) < 32 for k in keys):
            raise errors.Invalid("the signing secret needs at least 32 bytes", field="PENSTOCK_JWT_SECRET")
        self._keys = {_kid(k): k.encode() for k in keys}
        self._current = _kid(keys[0])
        self._clock = clock
        self.seconds = min(int(hours * 3600), LONGEST_SECONDS)
        self._jwt = jwt.PyJWT()
        self._verified: OrderedDict[bytes, Claims] = OrderedDict()  # by the hash of the token

    def derived(self, purpose: str) -> tuple[bytes, ...]:
        """Keys of 32 bytes for another purpose, one of each secret; the first signs, all of them verify."""
        return tuple(hmac.digest(key, purpose.encode(), "sha256") for key in self._keys.values())

    def issue(self, username: str, family: str, *, not_before: int = 0) -> str:
        """A new access token, issued now, or at ``not_before`` if that is later."""
        now = max(int(self._clock.now().timestamp()), not_before)
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": username,
            "iat": now,
            "nbf": now,
            "exp": now + self.seconds,
            "jti": ids.new("at"),
            "typ": _KIND,
            "fam": family,
        }
        key = self._keys[self._current]
        return self._jwt.encode(claims, key, algorithm="HS256", headers={"kid": self._current, "typ": "JWT"})

    def read(self, token: str) -> Claims:
        """The claims of a token that is valid now. The signature of a token is verified once.

        Raises ``errors.Unauthenticated`` (TOKEN_EXPIRED if the token is otherwise valid).
        """
        try:
            key = hashlib.sha256(token.encode()).digest()
            claims = self._verified.get(key) or self._claims(token)
        except errors.Unauthenticated:
            raise
        except Exception as error:  # any error that a hostile token provokes is the token's fault
            raise _refused() from error
        now = int(self._clock.now().timestamp())
        if max(claims.issued, claims.not_before) > now + LEEWAY_SECONDS:
            raise _refused()
        if claims.expires <= now - LEEWAY_SECONDS:
            self._verified.pop(key, None)
            raise errors.Unauthenticated(
                "the access token has expired; get a new one with POST /api/v1/auth/refresh", code="TOKEN_EXPIRED"
            )
        self._verified[key] = claims
        if len(self._verified) > _MOST_VERIFIED:
            self._verified.popitem(last=False)
        return claims

    def _claims(self, token: str) -> Claims:
        claims = self._decoded(token)
        if not 0 < claims["exp"] - claims["iat"] <= LONGEST_SECONDS:
            raise _refused()
        return Claims(
            username=claims["sub"],
            id=claims["jti"],
            family=claims["fam"],
            issued=claims["iat"],
            not_before=claims["nbf"],
            expires=claims["exp"],
        )

    def _decoded(self, token: str) -> dict[str, Any]:
        if len(token) > _MAX_LENGTH or not _SHAPE.fullmatch(token):
            raise _refused()
        header = jwt.get_unverified_header(token)
        if set(header) != _HEADER or header["alg"] != "HS256" or header["typ"] != "JWT":
            raise _refused()
        key = self._keys.get(header["kid"]) if isinstance(header["kid"], str) else None
        if key is None:
            raise _refused()
        claims = self._jwt.decode(
            token,
            key,
            algorithms=["HS256"],
            audience=_AUDIENCE,
            issuer=_ISSUER,
            options={
                "require": sorted(_CLAIMS),
                "strict_aud": True,
                "enforce_minimum_key_length": True,
                "verify_exp": False,  # read checks them against the clock
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
        texts, times = ("sub", "jti", "fam", "typ"), ("iat", "nbf", "exp")
        if set(claims) != _CLAIMS or claims["typ"] != _KIND:
            raise _refused()
        if not all(isinstance(claims[k], str) and claims[k] for k in texts):
            raise _refused()
        if not all(type(claims[k]) is int and 0 < claims[k] < 1 << 40 for k in times):
            raise _refused()
        return dict(claims)


def _refused() -> errors.Unauthenticated:
    return errors.Unauthenticated("the access token is not valid; log in with POST /api/v1/auth/token")


def _kid(key: str) -> str:
    return hashlib.sha256(b"penstock kid " + key.encode()).hexdigest()[:12]


def new_refresh_token() -> str:
    """A new refresh token of 256 random bits."""
    return "pr_" + secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """The hash of a refresh token that is stored. The token is random, so that one round of sha256 suffices."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
