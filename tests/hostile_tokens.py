"""Tokens that must open nothing: forged, changed, for another purpose, or of nobody. Each has a name.

All of them differ in one thing from a good token: of the service itself (``own``) or of its issuer (``foreign``).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from service.kit.clock import FixedClock
from service.kit.tokens import Tokens
from tests import issuer
from tests.issuer import NOW, ec_key, part, public, rsa_key

HEADERS: dict[str, dict[str, Any]] = {
    "alg none": {"alg": "none"}, "alg None": {"alg": "None"}, "alg nOnE": {"alg": "nOnE"}, "alg empty": {"alg": ""},
    "alg null": {"alg": None}, "no alg": {"alg": ...}, "alg list": {"alg": ["RS256"]}, "alg HS384": {"alg": "HS384"},
    "alg PS256": {"alg": "PS256"}, "alg RS512": {"alg": "RS512"}, "alg EdDSA": {"alg": "EdDSA"},
    "alg ES256K": {"alg": "ES256K"}, "alg lower case": {"alg": "rs256"}, "kid of nobody": {"kid": "other"},
    "kid empty": {"kid": ""}, "kid number": {"kid": 1}, "kid list": {"kid": ["k1"]}, "kid object": {"kid": {}},
    "kid path": {"kid": "../../../../dev/null"}, "kid SQL": {"kid": "x' UNION SELECT 'secret"},
    "kid with NUL": {"kid": "k1\0"}, "kid long": {"kid": "k" * 3000}, "typ number": {"typ": 1},
    "typ of another purpose": {"typ": "logout+jwt"}, "typ dpop": {"typ": "dpop+jwt"}, "typ null": {"typ": None},
    "crit unknown": {"crit": ["exp"]}, "crit b64": {"crit": ["b64"], "b64": True}, "crit empty": {"crit": []},
    "b64 false": {"b64": False, "crit": ["b64"]}, "nested": {"cty": "JWT"}, "compressed": {"zip": "DEF"},
    "encrypted": {"enc": "A256GCM"},
}  # fmt: skip
CLAIMS: dict[str, dict[str, Any]] = {
    "no iss": {"iss": ...}, "iss of another": {"iss": "https://issuer.test"}, "iss null": {"iss": None},
    "iss list": {"iss": ["penstock"]}, "no aud": {"aud": ...}, "aud of another": {"aud": "other"},
    "aud empty": {"aud": ""}, "aud empty list": {"aud": []}, "aud null": {"aud": None}, "aud number": {"aud": 7},
    "aud object": {"aud": {"penstock": True}}, "aud longer": {"aud": "penstock-api-2"},
    "aud upper case": {"aud": "PENSTOCK"},
    "two audiences, neither ours": {"aud": ["a", "b"]}, "aud list with a number": {"aud": ["penstock", 1]},
    "aud nested": {"aud": [["penstock"]]}, "no sub": {"sub": ...}, "sub empty": {"sub": ""}, "sub null": {"sub": None},
    "sub number": {"sub": 1}, "sub list": {"sub": ["admin"]}, "sub object": {"sub": {"a": 1}},
    "sub with a line break": {"sub": "ann\nadmin"}, "sub with NUL": {"sub": "ann\0"},
    "sub surrogate": {"sub": "\ud800"},
    "sub long": {"sub": "a" * 256}, "no exp": {"exp": ...}, "exp null": {"exp": None},
    "exp text": {"exp": "9999999999"},
    "exp true": {"exp": True}, "exp negative": {"exp": -1}, "exp huge": {"exp": 10**30}, "exp past": {"exp": NOW - 31},
    "exp infinite": {"exp": float("inf")}, "exp no number": {"exp": float("nan")}, "exp zero": {"exp": 0},
    "nbf future": {"nbf": NOW + 31}, "nbf text": {"nbf": "0"}, "nbf infinite": {"nbf": float("inf")},
    "nbf null": {"nbf": None}, "iat future": {"iat": NOW + 31}, "iat text": {"iat": "0"}, "iat list": {"iat": [NOW]},
}  # fmt: skip


def own(secret: str, username: str) -> dict[str, str]:
    """Variations of an access token of the service."""
    good = Tokens([secret], FixedClock()).issue(username, "fam_1")
    header, claims = (json.loads(issuer.unpart(text)) for text in good.split(".")[:2])
    found = {f"own, {name}": _hmac(secret, _with(header, change), claims) for name, change in HEADERS.items()}
    found |= {f"own, {name}": _hmac(secret, header, _with(claims, change)) for name, change in CLAIMS.items()}
    kid = header["kid"]
    for name, key in {"another secret": "x" * 32, "empty secret": "", "secret of its kid": kid}.items():
        found[f"own, signed with {name}"] = _hmac(key, header, claims)
    further: dict[str, dict[str, Any]] = {
        "typ refresh": {"typ": "refresh"}, "no typ": {"typ": ...}, "no family": {"fam": ...}, "no jti": {"jti": ...},
        "a claim more": {"role": "admin"}, "valid for ever": {"exp": NOW + 10**9}, "of nobody": {"sub": "nobody"},
        "two audiences": {"aud": ["penstock-api", "x"]}, "no iat": {"iat": ...}, "no nbf": {"nbf": ...},
    }  # fmt: skip
    for name, changes in further.items():
        found[f"own, {name}"] = _hmac(secret, header, _with(claims, changes))
    return {**found, **_mangled("own", good)}


def foreign(url: str) -> dict[str, str]:
    """Variations of a token of the issuer at ``url`` with the keys of ``tests.issuer.Issuer``."""
    key, header = rsa_key(), {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    claims = issuer.claims(url, roles=["admin"])
    found = {f"foreign, {name}": issuer.signed(key, _with(header, change), claims) for name, change in HEADERS.items()}
    found |= {f"foreign, {name}": issuer.signed(key, header, _with(claims, change)) for name, change in CLAIMS.items()}
    pem = issuer.pem(key)
    for name, secret in {
        "as PEM": pem,
        "as one line": pem.replace("\n", ""),
        "as JSON": json.dumps(public(key, "k1")),
    }.items():
        found[f"foreign, HS256 with the public key {name}"] = _hmac(secret, {**header, "alg": "HS256"}, claims)
    thief = rsa_key("thief")
    thefts: dict[str, dict[str, Any]] = {
        "plain": {}, "its key along": {"jwk": public(thief, "k1")}, "a key's address": {"jku": f"{url}/thief"},
        "a certificate's address": {"x5u": "http://169.254.169.254/"}, "a certificate": {"x5c": ["MIIB"]},
        "without kid": {"kid": ...},
    }  # fmt: skip
    for name, brought in thefts.items():
        found[f"foreign, signed by a thief, {name}"] = issuer.signed(thief, _with(header, brought), claims)
    elliptic = {**header, "alg": "ES256"}
    found["foreign, ES256 with the kid of RSA"] = issuer.signed(ec_key(), elliptic, claims)
    found["foreign, RS256 with the kid of EC"] = issuer.signed(key, {**header, "kid": "e1"}, claims)
    found["foreign, ES256 of a thief"] = issuer.signed(ec_key("thief"), {**elliptic, "kid": "e1"}, claims)
    found["foreign, ES256 of zeros"] = f"{part({**elliptic, 'kid': 'e1'})}.{part(claims)}.{part(bytes(64))}"
    found["foreign, ES256 empty"] = f"{part({**elliptic, 'kid': 'e1'})}.{part(claims)}.{part(b'0')}"
    further: dict[str, dict[str, Any]] = {
        "bound to a key": {"cnf": {"jkt": "x"}}, "a logout message": {"events": {"x": {}}},
        "refresh": {"typ": "Refresh"},
        "of our own issuer": {"iss": "penstock", "aud": "penstock-api"}, "iss with a slash": {"iss": url + "/"},
        "iss in upper case": {"iss": url.upper()},
    }  # fmt: skip
    for name, changes in further.items():
        found[f"foreign, {name}"] = issuer.signed(key, header, _with(claims, changes))
    return {**found, **_mangled("foreign", issuer.signed(key, header, claims))}


def _mangled(kind: str, good: str) -> dict[str, str]:
    first, second, third = good.split(".")
    deep = b'{"a":' * 3000 + b"1" + b"}" * 3000
    return {
        f"{kind}, {name}": text
        for name, text in {
            "no signature": f"{first}.{second}.", "two parts": f"{first}.{second}", "four parts": f"{good}.{third}",
            "five parts": f"{first}.{second}.{third}.{first}.{second}", "padding": good + "=",
            "a letter more": good + "A",
            "signature swapped": f"{first}.{second}.{third[::-1]}", "cut": good[:-9],
            "header of another": f"{second}.{second}.{third}",
            "claims changed": f"{first}.{part({'sub': 'admin'})}.{third}", "no header": f".{second}.{third}",
            "header is a list": f"{part([])}.{second}.{third}", "header is null": f"{part(None)}.{second}.{third}",
            "header is no JSON": f"{part(b'{')}.{second}.{third}",
            "header is no text": f"{part(bytes([255, 254]))}.{second}.{third}",
            "header deep": f"{part(deep)}.{second}.{third}", "claims deep": f"{first}.{part(deep)}.{third}",
            "claims are a list": f"{first}.{part([])}.{third}", "huge": f"{first}.{part({'x': 'y' * 30_000})}.{third}",
            "spaces": f"{first}. {second}.{third}", "base64 of another alphabet": f"{first}.{second}+/.{third}",
        }.items()
    }  # fmt: skip


def _with(value: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    return {name: field for name, field in {**value, **change}.items() if field is not ...}


def _hmac(secret: str, header: Any, claims: Any) -> str:
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{part(hmac.digest(secret.encode(), text.encode(), hashlib.sha256))}"
