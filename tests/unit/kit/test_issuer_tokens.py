"""Tokens of an issuer: good ones name a caller with a role, hostile ones name nobody, keys verify one algorithm."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.kit import errors, issuer_tokens
from service.kit.clock import FixedClock
from service.kit.issuer_tokens import IssuerClaims, IssuerTokens, KeySet, UnknownKey
from tests import hostile_tokens, issuer
from tests.issuer import AUDIENCE, ec_key, key_set, public, rsa_key

URL = "https://issuer.test/realm"
ROLES = {"admin": "admin", "staff": "viewer", "ops": "operator"}


@pytest.fixture
def keys() -> KeySet:
    return KeySet(key_set(public(rsa_key(), "k1"), public(ec_key(), "e1")))


def read(
    token: str, keys: KeySet, clock: FixedClock | None = None, claim: str = "roles", roles: dict[str, str] = ROLES
) -> IssuerClaims:
    reader = IssuerTokens(URL, AUDIENCE, clock or FixedClock(), role_claim=claim, role_map=roles)
    header = issuer_tokens.header_of(token)
    if header is None:
        raise errors.Unauthenticated("not a token of an issuer")
    return reader.read(token, header, keys)


def test_good_tokens(keys: KeySet) -> None:
    for token in (
        issuer.token(URL, roles="admin"),
        issuer.token(URL, ec_key(), "e1", roles=["x", "admin"]),
        issuer.token(URL, kid=None, roles=["admin"]),  # there is one key of its algorithm
        issuer.token(URL, aud=["other", AUDIENCE], roles=["admin"]),
        issuer.token(URL, nbf=..., iat=..., roles=["admin"]),
        issuer.signed(rsa_key(), {"alg": "RS256", "kid": "k1", "typ": "AT+JWT"}, issuer.claims(URL, roles=["admin"])),
    ):
        found = read(token, keys)
        assert (found.subject, found.roles) == ("ann", ["admin"])


@pytest.mark.parametrize(
    ("claim", "value", "roles"),
    [
        ("roles", ["staff", "ops"], ["operator", "viewer"]), ("roles", "staff", ["viewer"]), ("roles", ["nobody"], []),
        ("roles", "openid staff", ["viewer"]), ("roles", ["openid staff"], []), ("roles", [1, None, ["admin"]], []),
        ("roles", {"admin": True}, []), ("roles", None, []), ("roles", ..., []), ("roles", "ADMIN", []),
        ("realm_access.roles", {"roles": ["ops"]}, ["operator"]), ("realm_access.roles.deeper", {"roles": ["ops"]}, []),
        ("https://x.test/roles", ["ops"], ["operator"]),
    ],
)  # fmt: skip
def test_roles_by_claim(keys: KeySet, claim: str, value: Any, roles: list[str]) -> None:
    name = claim if claim.startswith("http") else claim.partition(".")[0]
    assert read(issuer.token(URL, **{"roles": ..., name: value}), keys, claim=claim).roles == roles


def test_a_role_for_every_token(keys: KeySet) -> None:
    token = issuer.token(URL, roles=["boss"])
    assert read(token, keys, roles={"*": "viewer"}).roles == ["viewer"]
    assert read(token, KeySet(keys.document), roles={"*": "viewer", "boss": "admin"}).roles == ["admin", "viewer"]


def test_requirement_34_hostile_tokens_of_an_issuer_name_nobody(keys: KeySet) -> None:
    """Requirement 34, for tokens of an issuer."""
    corpus = hostile_tokens.foreign(URL)
    assert len(corpus) >= 98
    opened = []
    for name, token in corpus.items():
        try:
            read(token, keys)
        except errors.Unauthenticated:
            continue
        opened.append(name)
    assert opened == []


def test_times_and_their_leeway(keys: KeySet, clock: FixedClock) -> None:
    token = issuer.token(URL, iat=issuer.NOW + 29, nbf=issuer.NOW + 29, exp=issuer.NOW + 3600)
    assert read(token, keys, clock)
    clock.advance(3600 + 29)
    assert read(token, keys, clock)
    clock.advance(1)
    with pytest.raises(errors.Unauthenticated) as late:
        read(token, keys, clock)
    assert late.value.error_code == "TOKEN_EXPIRED"


def test_a_signature_is_checked_once(keys: KeySet, monkeypatch: pytest.MonkeyPatch) -> None:
    token = issuer.token(URL, roles=["admin"])
    first = read(token, keys)
    monkeypatch.setattr(IssuerTokens, "_decoded", None)
    assert read(token, keys) is first


def test_which_keys_verify() -> None:
    small, other = rsa_key("small", 1024), ec_key("p384", "P-384")
    left_out: list[Any] = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k1"}, {"kty": "oct", "k": "c2VjcmV0", "kid": "k1", "alg": "RS256"},
        public(small, "k1"), public(other, "k1"), public(rsa_key(), "k1", use="enc"),
        public(rsa_key(), "k1", alg="RS512"),
        public(rsa_key(), "k1", key_ops=["sign"]), public(rsa_key(), "k1", n="!"), public(rsa_key(), "k1", n=...),
        {**public(rsa_key(), "k1"), "kid": 1}, public(rsa_key(), "k1", d="AQAB"), public(rsa_key(), "k1", kty="EC"),
        public(ec_key(), "k1", x="AAAA"), public(ec_key(), "k1", crv="P-521"), None, "k1", [], {},
        {**public(rsa_key(), "k1"), "kid": ["k1"]}, public(rsa_key(), "k1", key_ops=7),
    ]  # fmt: skip
    keys = KeySet(key_set(*left_out))
    assert len(keys) == 0
    with pytest.raises(UnknownKey):
        read(issuer.token(URL), keys)
    assert len(KeySet(key_set(*left_out, public(rsa_key(), "k1", alg="RS256", use="sig", key_ops=["verify"])))) == 1


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys": {}}', b"[" * 100_000, b"\xff", b'{"keys": null}'])
def test_what_is_not_a_key_set(document: bytes) -> None:
    with pytest.raises(ValueError, match="JWK set"):
        KeySet(document)
    with pytest.raises(ValueError, match="at most 100"):
        KeySet(json.dumps({"keys": [{}] * 101}).encode())


def test_two_keys_need_a_name() -> None:
    keys = KeySet(key_set(public(rsa_key(), "k1"), public(rsa_key("two"), "k2")))
    with pytest.raises(UnknownKey):
        read(issuer.token(URL, kid=None), keys)
    assert read(issuer.token(URL, rsa_key("two"), "k2"), keys)
    with pytest.raises(errors.Unauthenticated):
        read(issuer.token(URL, rsa_key("two"), "k1"), keys)
