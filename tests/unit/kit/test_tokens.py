"""Only a token that we made, for this purpose, for now, is read; anything else is refused and nothing crashes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from service.kit import errors, tokens
from service.kit.clock import FixedClock
from service.kit.tokens import Tokens

SECRET, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def issuer(clock: FixedClock) -> Tokens:
    return Tokens([SECRET], clock)


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def signed(header: Any, claims: Any, key: str = SECRET, hash_: str = "sha256") -> str:
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{part(hmac.new(key.encode(), text.encode(), hash_).digest())}"


def decoded(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims = (json.loads(base64.urlsafe_b64decode(p + "==")) for p in token.split(".")[:2])
    return header, claims


def test_a_round_trip(issuer: Tokens, clock: FixedClock) -> None:
    claims = issuer.read(issuer.issue("ann", "fam_1"))
    assert (claims.username, claims.family) == ("ann", "fam_1")
    assert claims.expires - claims.issued == 24 * 3600
    later = issuer.read(issuer.issue("ann", "fam_1", not_before=claims.issued + 1))
    assert (later.issued, later.id != claims.id) == (claims.issued + 1, True)


HEADERS: list[dict[str, Any]] = [
    {"alg": "none"}, {"alg": "HS512"}, {"alg": "RS256"}, {"alg": "hs256"}, {"alg": None}, {"typ": "at+jwt"},
    {"typ": None}, {"kid": "other"}, {"kid": 1}, {"kid": None}, {"kid": ["x"]}, {"jku": "http://x"}, {"crit": ["x"]},
    {"jwk": {}}, {"x5u": "http://x"}, {"cty": "JWT"}, {"b64": False},
]  # fmt: skip
CLAIMS: list[dict[str, Any]] = [
    {"iss": "other"}, {"iss": None}, {"aud": "other"}, {"aud": ["penstock-api"]}, {"aud": ["penstock-api", "x"]},
    {"sub": ""}, {"sub": 1}, {"sub": None}, {"jti": 1}, {"jti": ""}, {"fam": None}, {"typ": "refresh"}, {"typ": None},
    {"exp": "9999999999"}, {"exp": 9999999999}, {"exp": 1.5}, {"exp": True}, {"exp": -1}, {"exp": 1 << 60},
    {"iat": "0"}, {"iat": 9999999999}, {"nbf": 9999999999}, {"nbf": None}, {"iat": 1.0}, {"role": "admin"},
]  # fmt: skip


def test_requirement_34_hostile_headers_and_claims(issuer: Tokens) -> None:
    header, claims = decoded(issuer.issue("ann", "fam_1"))
    assert issuer.read(signed(header, claims)).username == "ann"  # the corpus changes one thing at a time
    hostile = [signed({**header, **change}, claims) for change in HEADERS]
    hostile += [signed(header, {**claims, **change}) for change in CLAIMS]
    hostile += [signed({k: v for k, v in header.items() if k != name}, claims) for name in header]
    hostile += [signed(header, {k: v for k, v in claims.items() if k != name}) for name in claims]
    for token in hostile:
        with pytest.raises(errors.Unauthenticated) as caught:
            issuer.read(token)
        assert caught.value.error_code == "UNAUTHORIZED"


def test_requirement_34_hostile_texts(issuer: Tokens) -> None:
    good = issuer.issue("ann", "fam_1")
    header, claims = decoded(good)
    first, second, third = good.split(".")
    hostile = [
        "", ".", "..", "...", "a.b.c", first, f"{first}.{second}", f"{first}.{second}.", f"{first}..{third}",
        good + "x", good + ".x", good + "=", " " + good, good * 20, "\ud800", "é" * 10, signed(header, claims, OTHER),
        signed(header, claims, "x" * 5), signed(header, claims, hash_="sha512"), signed(b"[" * 1000, claims),
        signed(header, b"[" * 2000), signed(header, []), signed(header, None), signed([], claims),
        signed(header, b"\xff"),
    ]  # fmt: skip
    for position in range(0, len(third) - 1, 2):  # two bits of the last character mean nothing
        swapped = "A" if third[position] != "A" else "B"
        hostile.append(f"{first}.{second}.{third[:position]}{swapped}{third[position + 1 :]}")
    for token in hostile:
        with pytest.raises(errors.Unauthenticated):
            issuer.read(token)


def test_times(issuer: Tokens, clock: FixedClock) -> None:
    token = issuer.issue("ann", "fam_1", not_before=int(clock.now().timestamp()) + 9)
    assert issuer.read(token)
    with pytest.raises(errors.Unauthenticated):
        issuer.read(issuer.issue("ann", "fam_1", not_before=int(clock.now().timestamp()) + 11))
    clock.advance(24 * 3600 + 18)
    assert issuer.read(token)
    clock.advance(1)
    with pytest.raises(errors.Unauthenticated) as caught:
        issuer.read(token)
    assert caught.value.error_code == "TOKEN_EXPIRED"


def test_requirement_36_keys_change_with_an_overlap(clock: FixedClock) -> None:
    old = Tokens([SECRET], clock).issue("ann", "fam_1")
    assert Tokens([OTHER, SECRET], clock).read(old)
    assert Tokens([OTHER, SECRET], clock).issue("ann", "f") != old
    with pytest.raises(errors.Unauthenticated):
        Tokens([OTHER], clock).read(old)


def test_short_secrets_are_refused(clock: FixedClock) -> None:
    for keys in ([], ["short"], [SECRET, "short"]):
        with pytest.raises(errors.Invalid):
            Tokens(keys, clock)
    assert Tokens([SECRET], clock, hours=100).seconds == 24 * 3600


def test_refresh_tokens_are_random_and_stored_as_hashes() -> None:
    first, second = tokens.new_refresh_token(), tokens.new_refresh_token()
    assert first != second
    assert len(first) > 40
    assert tokens.digest(first) == hashlib.sha256(first.encode()).hexdigest()
    assert tokens.digest("\ud800")
