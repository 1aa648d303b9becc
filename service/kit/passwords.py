"""Argon2id hashes of passwords, with OWASP's parameters (19 MiB, 2 passes, 1 lane; about 23 ms).

These functions block and use a core: callers run them in threads, a few at a time. A check for an unknown
account takes as long as one for a known account, so that time does not reveal which names exist.
"""

from __future__ import annotations

import secrets

import argon2
from argon2 import exceptions

from service.kit import errors

SHORTEST, LONGEST_BYTES = 12, 1024
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# A hash of random bytes that were thrown away, made with the parameters above.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$IBQUzpUm9cCPDACaCYUKjg$MjySAzT8rsTyxbsk6rou/FWtzfUG6DwS1TRx+zlBtOs"


def hashed(password: str) -> str:
    """The Argon2id hash of a password. Raises ``errors.Invalid`` if it is too short or too long."""
    size = len(password.encode("utf-8", "surrogatepass"))
    if len(password) < SHORTEST or size > LONGEST_BYTES:
        raise errors.Invalid(
            f"password: needs at least {SHORTEST} characters and at most {LONGEST_BYTES} bytes", field="password"
        )
    return _HASHER.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Whether ``password`` has the hash ``stored``. None matches no password and takes as long."""
    raw = password.encode("utf-8", "surrogatepass")
    try:
        same = _HASHER.verify(stored or _NOBODY, raw[:LONGEST_BYTES])
    except (exceptions.VerificationError, exceptions.InvalidHashError):
        return False
    return same and stored is not None and len(raw) <= LONGEST_BYTES


def outdated(stored: str) -> bool:
    """Whether a hash was made with other parameters than the present ones."""
    return _HASHER.check_needs_rehash(stored)


def generated() -> str:
    """A new random password of 24 characters."""
    return secrets.token_urlsafe(18)
