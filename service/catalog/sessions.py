"""Refresh tokens in families, and access tokens that were revoked before they expired.

A login opens a family. A refresh token is valid for one use; a second use ends the family, because then two parties
hold the token. Revocations are also held in memory, because every request checks them; ``refresh`` reads those of other
processes.
"""

from __future__ import annotations

import threading
from datetime import UTC, timedelta

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction, naive
from service.kit import errors, ids, tokens
from service.kit.clock import Clock

_SQL = load_sql("sessions")
_ACCESS_LIFE = timedelta(seconds=tokens.LONGEST_SECONDS + 2 * tokens.LEEWAY_SECONDS)


class Refresh(msgspec.Struct, frozen=True, kw_only=True):
    """A refresh token, its family and its user."""

    token: str
    family: str
    username: str


class Reused(errors.Unauthenticated):
    """A refresh token was used a second time: somebody has a copy."""

    def __init__(self, username: str) -> None:
        super().__init__(
            "the refresh token was used before, so this login was ended; log in again with POST /api/v1/auth/token"
        )
        self.username = username


class Sessions:
    """The sessions in the catalog. Methods block (but for ``is_revoked``); the API calls them in threads."""

    def __init__(self, store: Store, clock: Clock, *, days: float = 30) -> None:
        self._store = store
        self._clock = clock
        self._life = timedelta(days=days)
        self._lock = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Read again what was revoked: another process may have done so."""
        with self._lock:
            rows = self._store.rows(_SQL["denied"], {"now": naive(self._clock.now())})
            self._revoked = {row["jti"]: row["expires"].replace(tzinfo=UTC) for row in rows}

    def open(self, username: str, generation: int | None = None) -> Refresh:
        """A new family with its first refresh token; ``generation`` is the ``valid_after`` of its account."""
        family = ids.new("fam") + ("" if generation is None else f".{generation}")
        refresh = Refresh(token=tokens.new_refresh_token(), family=family, username=username)

        def work(transaction: Transaction) -> None:
            transaction.execute(_SQL["sweep"], {"now": naive(self._clock.now())})
            self._insert(transaction, refresh)

        self._store.write(work, urgent=True)
        return refresh

    def rotate(self, token: str) -> Refresh:
        """Exchange a refresh token for its successor.

        Raises ``errors.Unauthenticated``: unknown, expired, revoked, or used before (which ends its family).
        """
        hash_, now = tokens.digest(token), self._clock.now()

        def work(transaction: Transaction) -> tuple[Row | None, Refresh | None]:
            row = transaction.row(_SQL["find"], {"hash": hash_})
            good = row is not None and row["revoked"] is None and row["spent"] is None and row["expires"] > naive(now)
            if row is None or not good:
                return row, None
            fresh = Refresh(token=tokens.new_refresh_token(), family=row["family"], username=row["username"])
            transaction.execute(_SQL["spend"], {"hash": hash_, "now": naive(now)})
            self._insert(transaction, fresh)
            return row, fresh

        row, fresh = self._store.write(work, urgent=True)
        if fresh is not None:
            return fresh
        if row is not None and row["spent"] is not None and row["revoked"] is None:
            self.end(row["family"])
            raise Reused(row["username"])
        raise _refused()

    def end(self, family: str, access_id: str | None = None) -> None:
        """End a login: its refresh tokens and all access tokens that it issued."""
        now, expires = self._clock.now(), self._clock.now() + _ACCESS_LIFE
        denied = [family] if access_id is None else [family, access_id]

        def work(transaction: Transaction) -> None:
            transaction.execute(_SQL["sweep_revoked"], {"now": naive(now)})
            transaction.execute(_SQL["revoke_family"], {"family": family, "now": naive(now)})
            for name in denied:
                transaction.execute(_SQL["deny"], {"jti": name, "expires": naive(expires)})

        self._store.write(work, urgent=True)
        with self._lock:
            kept = {name: until for name, until in self._revoked.items() if until >= now}
            self._revoked = {**kept, **dict.fromkeys(denied, expires)}

    def end_of(self, token: str) -> str | None:
        """End the login of a refresh token, and return its user. One that is unknown or ended changes nothing: None."""
        found = self._store.rows(_SQL["find"], {"hash": tokens.digest(token)})
        if found and found[0]["revoked"] is None:
            self.end(found[0]["family"])
            return str(found[0]["username"])
        return None

    def is_revoked(self, claims: tokens.Claims) -> bool:
        """Whether an access token, or the login that issued it, was ended."""
        return claims.id in self._revoked or claims.family in self._revoked

    def _insert(self, transaction: Transaction, refresh: Refresh) -> None:
        now = self._clock.now()
        transaction.execute(
            _SQL["insert"],
            {
                "hash": tokens.digest(refresh.token),
                "family": refresh.family,
                "username": refresh.username,
                "issued": naive(now),
                "expires": naive(now + self._life),
            },
        )


def _refused() -> errors.Unauthenticated:
    return errors.Unauthenticated("the refresh token is not valid; log in again with POST /api/v1/auth/token")
