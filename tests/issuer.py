"""An OpenID Connect issuer for tests: keys, tokens, and a server whose answers can be changed."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
AUDIENCE = "penstock"
NOW = 1_767_225_600  # of FixedClock


@lru_cache
def rsa_key(name: str = "one", bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key that is the same for each test."""
    return rsa.generate_private_key(65537, bits)


@lru_cache
def ec_key(name: str = "one", curve: str = "P-256") -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1() if curve == "P-256" else ec.SECP384R1())


def public(key: Key, kid: str | None, **changes: Any) -> dict[str, Any]:
    """The entry of a key set."""
    algorithm: Any = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    entry = {**algorithm.to_jwk(key.public_key(), as_dict=True), **({"kid": kid} if kid is not None else {})}
    entry.pop("key_ops", None)
    return {name: value for name, value in {**entry, **changes}.items() if value is not ...}


def key_set(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"keys": entries}).encode()


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def unpart(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def pem(key: Key) -> str:
    """The public key as text, which forgers take for a secret."""
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, kind).decode()


def signed(key: Key, header: Any, claims: Any) -> str:
    """A token with any header and claims, signed by RS256 or ES256, whatever the header says."""
    text = f"{part(header)}.{part(claims)}"
    if isinstance(key, rsa.RSAPrivateKey):
        return f"{text}.{part(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"
    r, s = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    size = (key.key_size + 7) // 8
    return f"{text}.{part(r.to_bytes(size, 'big') + s.to_bytes(size, 'big'))}"


def claims(issuer: str, **changes: Any) -> dict[str, Any]:
    """Good claims, with changes; ``...`` leaves one out."""
    good = {
        "iss": issuer, "aud": AUDIENCE, "sub": "ann", "iat": NOW, "nbf": NOW, "exp": NOW + 3600, "roles": ["viewer"]
    }  # fmt: skip
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def token(issuer: str, key: Key | None = None, kid: str | None = "k1", **changes: Any) -> str:
    """A good token, with changes of its claims."""
    key = key or rsa_key()
    header = {"alg": "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256", "typ": "JWT"}
    return signed(key, {**header, **({"kid": kid} if kid is not None else {})}, claims(issuer, **changes))


class Issuer:
    """What the server answers. ``described`` None: the honest description; ``status`` other than 200: an outage."""

    def __init__(self) -> None:
        self.url = ""
        self.keys = key_set(public(rsa_key(), "k1"), public(ec_key(), "e1"))
        self.described: bytes | None = None
        self.status = 200
        self.headers: dict[str, str] = {}
        self.hits: list[str] = []
        self.gate = threading.Event()  # answers wait for it
        self.gate.set()

    def answer(self, path: str) -> bytes:
        self.hits.append(path)
        self.gate.wait(30)
        if path == "/jwks":
            return self.keys
        honest = json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}).encode()
        return self.described if self.described is not None else honest


@contextmanager
def issuing() -> Iterator[Issuer]:
    """A running issuer on the loopback."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = issuer.answer(self.path)
            self.send_response(issuer.status)
            for name, value in issuer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that has read enough closes the connection."""

    with Server(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield issuer
        issuer.gate.set()
        server.shutdown()
        thread.join()
