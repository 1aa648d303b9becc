"""Which secrets may sign tokens: long ones that cannot be guessed.

``PENSTOCK_JWT_SECRETS`` lists several, so that a new one can sign while tokens of the old one are still read. Each is
named in its tokens by a hash of it (``kid``), so that one keeps its name wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from service.kit.errors import Problem

SHORTEST = 32  # bytes
ONE, SEVERAL = "PENSTOCK_JWT_SECRET", "PENSTOCK_JWT_SECRETS"

# What documentation and templates show as a secret, in lower case without punctuation.
_KNOWN = (
    "secret", "changeme", "changethis", "changeit", "password", "example", "default", "yoursecret", "yoursuper",
    "supersecret", "yourverysecret", "your256bitsecret", "yourjwtsecret", "mysecret", "topsecret", "insecure",
    "replaceme", "replacewith", "astringsecretatleast256bitslong", "keyboardcat",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "0123456789abcdef", "1234567890", "abcdefghijklmnop", "qwertyuiop",
)  # fmt: skip
_NO_LETTER = re.compile(r"[^a-z0-9]+")
_FEWEST = 6  # different characters: a random secret of 32 digits has more


def problems(settings: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the signing secrets among settings. A message never shows one."""
    one, several = settings.get("jwt_secret"), settings.get("jwt_secrets")
    if one is not None and several is not None:
        return [Problem(SEVERAL, f"has all secrets, the one that signs first; remove {ONE}")]
    if one is not None:
        return [Problem(ONE, text) for text in _wrong([one], "")]
    if several is None:
        return []
    return [Problem(SEVERAL, text) for text in (_wrong(several, "number {}: ") if several else ["lists no secret"])]


def _wrong(secrets: Sequence[str], label: str) -> list[str]:
    found = []
    for number, secret in enumerate(secrets, 1):
        plain = _NO_LETTER.sub("", secret.lower())
        if len(secret.encode("utf-8", "surrogatepass")) < SHORTEST:
            found.append(f"{label.format(number)}needs at least {SHORTEST} bytes")
        elif plain.startswith(_KNOWN) or len(set(secret)) < _FEWEST or secret in (secret * 2)[1:-1]:  # repeats itself
            found.append(f"{label.format(number)}can be guessed; use a random one: openssl rand -base64 48")
    return found
