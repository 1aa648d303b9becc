"""Tokens of an OpenID Connect issuer: whether one is valid, and its claims. Nothing is fetched here.

The algorithm is that of the key, never the token's choice: a key of the issuer verifies RS256 (RSA) or ES256 (P-256)
and nothing else, and symmetric keys of a key set are left out. Keys come from the issuer only; those that a token
brings along in its header are not read. PyJWT checks signature, issuer and audience. Times are checked here, against
the clock that was passed in.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import jwt
import msgspec

from service.kit import errors
from service.kit.clock import Clock

LEEWAY_SECONDS = 30
"""How far the clocks of issuer and service may be apart."""
ANY = "*"
"""In a map of roles: every token of the issuer."""
_KINDS = {"RS256": "RSA", "ES256": "EC"}
_MAX_LENGTH, _MOST_HEADER = 16 * 1024, 8 * 1024  # those with many groups are longer than our own
_MOST_KEYS, _MOST_VERIFIED = 100, 4096
_FEWEST_BITS, _MOST_BITS = 2048, 8192  # a longer key would take its time with every forged token
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_NOT_UNDERSTOOD = frozenset({"crit", "b64", "cty", "zip", "enc"})
_OTHER_PURPOSE = frozenset({"refresh", "offline", "logout"})  # ``typ`` among the claims of some issuers
_SUBJECT = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,255}")


class UnknownKey(errors.Unauthenticated):
    """No known key verifies the token; the issuer may have a newer one."""


class Header(NamedTuple):
    """The part of a token's header that chooses its key."""

    algorithm: str
    kid: str | None


class IssuerClaims(msgspec.Struct, frozen=True):
    """The subject of a token, its times in seconds since 1970, and the roles that it brings."""

    subject: str
    not_before: float
    expires: float
    issued: float | None
    roles: list[str]


class KeySet:
    """The keys of an issuer, and the claims of tokens that they have verified, by the hash of the token."""

    def __init__(self, document: bytes) -> None:
        """Raises ValueError if it is not a JWK set. Keys that cannot verify are left out."""
        self.document = document
        self.verified: OrderedDict[bytes, IssuerClaims] = OrderedDict()
        self._keys: dict[Header, jwt.PyJWK] = {}
        try:
            listed = json.loads(document)["keys"]
        except (ValueError, RecursionError, TypeError, KeyError) as error:
            raise ValueError("it is not a JWK set") from error
        if not isinstance(listed, list) or len(listed) > _MOST_KEYS:
            raise ValueError(f"it is not a JWK set of at most {_MOST_KEYS} keys")
        for value in listed:
            for algorithm in _KINDS:
                key = _key(value, algorithm)
                if key is not None:
                    self._keys.setdefault(Header(algorithm, value.get("kid")), key)

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, header: Header) -> jwt.PyJWK | None:
        """The key that a header names; without a name the only one of its algorithm."""
        if header.kid is not None:
            return self._keys.get(header)
        fitting = [key for known, key in self._keys.items() if known.algorithm == header.algorithm]
        return fitting[0] if len(fitting) == 1 else None


def header_of(token: str) -> Header | None:
    """What chooses the key of a token; None for any text that is not a token of an issuer."""
    if len(token) > _MAX_LENGTH or not _SHAPE.fullmatch(token):
        return None
    part = token.partition(".")[0]
    return _header(part) if len(part) <= _MOST_HEADER else None


@functools.lru_cache(maxsize=256)  # all tokens of a key have the same header
def _header(part: str) -> Header | None:
    try:
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    except Exception:  # any error that a hostile token provokes is the token's fault
        return None
    if not (isinstance(algorithm, str) and isinstance(kind, str) and isinstance(kid, str | None)):
        return None
    if algorithm not in _KINDS or kind.lower() not in _TYPES or kid == "" or _NOT_UNDERSTOOD & set(header):
        return None
    return Header(algorithm, kid)


class IssuerTokens:
    """Reads tokens of ``issuer`` that are meant for ``audience``; ``role_map`` has the roles of values of a claim."""

    def __init__(
        self, issuer: str, audience: str, clock: Clock, *, role_claim: str, role_map: Mapping[str, str]
    ) -> None:
        self._issuer, self._audience, self._clock = issuer, audience, clock
        self._role_claim, self._role_map = role_claim, role_map
        self._jwt = jwt.PyJWT()

    def read(self, token: str, header: Header, keys: KeySet) -> IssuerClaims:
        """The claims of a token that is valid now. The signature of a token is verified once.

        Raises ``errors.Unauthenticated`` (TOKEN_EXPIRED if the token is otherwise valid), ``UnknownKey``.
        """
        digest = hashlib.sha256(token.encode()).digest()
        claims = keys.verified.get(digest) or self._verified(token, header, keys)
        now = self._clock.now().timestamp()
        if max(claims.not_before, claims.issued or 0) > now + LEEWAY_SECONDS:
            raise _refused()
        if claims.expires <= now - LEEWAY_SECONDS:
            keys.verified.pop(digest, None)
            raise errors.Unauthenticated("the token has expired; get a new one of the issuer", code="TOKEN_EXPIRED")
        keys.verified[digest] = claims
        if len(keys.verified) > _MOST_VERIFIED:
            keys.verified.popitem(last=False)
        return claims

    def _verified(self, token: str, header: Header, keys: KeySet) -> IssuerClaims:
        key = keys.find(header)
        if key is None:
            raise UnknownKey(_REFUSED)
        try:
            claims = self._decoded(token, header, key)
            given = _values(claims, self._role_claim)
            return _checked(claims, [self._role_map[value] for value in (*given, ANY) if value in self._role_map])
        except jwt.InvalidSignatureError as error:
            if header.kid is None:  # the only key may be another one by now
                raise UnknownKey(_REFUSED) from error
            raise _refused() from error
        except errors.Unauthenticated:
            raise
        except Exception as error:
            raise _refused() from error

    def _decoded(self, token: str, header: Header, key: jwt.PyJWK) -> dict[str, Any]:
        claims = self._jwt.decode(
            token,
            key,
            algorithms=[header.algorithm],
            audience=self._audience,
            issuer=self._issuer,
            options={
                "require": ["iss", "aud", "sub", "exp"],
                "enforce_minimum_key_length": True,
                "verify_exp": False,  # read checks them against the clock
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
        return dict(claims)


def _checked(claims: dict[str, Any], roles: list[str]) -> IssuerClaims:
    """Raises ``errors.Unauthenticated`` for claims that name nobody, no time, or another purpose."""
    subject, kind = claims["sub"], claims.get("typ")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise _refused()
    if isinstance(kind, str) and kind.lower() in _OTHER_PURPOSE:
        raise _refused()
    if "cnf" in claims or "events" in claims:  # bound to a key that the caller must show; or a message, not a login
        raise _refused()
    expires, issued, not_before = claims["exp"], claims.get("iat"), claims.get("nbf", 0)
    if not all(_is_time(time) for time in (expires, not_before)) or not (issued is None or _is_time(issued)):
        raise _refused()
    return IssuerClaims(subject, not_before, expires, issued, sorted(set(roles)))


def _values(claims: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a claim: one, a list of them, or words as ``scope`` has them. Its name may be a path (``a.b``)."""
    value: Any = claims
    for part in [name] if name in claims else name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return [value, *value.split()]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value < 1 << 40


def _key(value: Any, algorithm: str) -> jwt.PyJWK | None:
    """The public key of an entry of a key set, if it may verify with ``algorithm``."""
    try:
        if value["kty"] != _KINDS[algorithm] or value.get("alg", algorithm) != algorithm or "d" in value:
            return None
        if value.get("use", "sig") != "sig" or "verify" not in value.get("key_ops", ["verify"]):
            return None
        if not isinstance(value.get("kid"), str | None) or value.get("crv", "P-256") != "P-256":
            return None
        key = jwt.PyJWK(value, algorithm)
        return key if algorithm == "ES256" or _FEWEST_BITS <= key.key.key_size <= _MOST_BITS else None
    except Exception:  # whatever an issuer writes into a key
        return None


_REFUSED = "the token is not one of the issuer for this service, or it was changed"


def _refused() -> errors.Unauthenticated:
    return errors.Unauthenticated(_REFUSED)
