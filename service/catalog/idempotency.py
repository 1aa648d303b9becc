"""Idempotency keys: what a caller asked for under a key, what was made of it, and the first answer.

A key is stored in the transaction that does the work (``Claim.note``), the answer when it is known. A key without an
answer means that the service died in between: the answer is then made from ``resource``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Store, Transaction, naive
from service.kit import errors
from service.kit.clock import Clock

_SQL = load_sql("idempotency")
_KEPT = timedelta(hours=24)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it was sent: status, headers in their order, body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A request with a key. ``fingerprint`` tells its route and body apart from others.

    ``resource`` is the id or name of what an earlier try of the request has committed, None if there is none.
    """

    caller: str
    key: str
    fingerprint: str
    at: datetime
    resource: str | None = None

    def note(self, transaction: Transaction, resource: str) -> None:
        """Store the key in the transaction that makes ``resource``.

        It may take the place of what an earlier try of the request has left, which failed. Raises
        ``errors.Unavailable`` if another process has stored the key: the request that is sent again gets its answer.
        """
        values = {
            "caller": self.caller, "key": self.key, "fingerprint": self.fingerprint, "resource": resource,
            "created": naive(self.at), "oldest": naive(self.at - _KEPT), "found": self.resource,
        }  # fmt: skip
        if not transaction.execute(_SQL["note"], values):
            raise errors.Unavailable(
                "another process has just done what a request with this Idempotency-Key asks for; send it again to get "
                "the answer",
                retry_after=1,
            )


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A stored key. ``answer`` is None if it was never sent."""

    fingerprint: str
    resource: str | None
    answer: Answer | None


class IdempotencyKeys:
    """The stored keys. Methods block."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def find(self, caller: str, key: str) -> Known | None:
        """The key of a caller; None if it is unknown or older than 24 hours."""
        oldest = naive(self._clock.now() - _KEPT)
        row = self._store.row(_SQL["find"], {"caller": caller, "key": key, "oldest": oldest})
        if row is None:
            return None
        answer = None
        if row["status"] is not None:
            headers = msgspec.json.decode(row["headers"], type=list[tuple[str, str]])
            answer = Answer(status=row["status"], headers=headers, body=bytes(row["body"]))
        return Known(fingerprint=row["fingerprint"], resource=row["resource"], answer=answer)

    def store(self, claim: Claim, answer: Answer) -> None:
        """Store the answer of a claim, and its key if the work did not; remove keys that are too old."""
        values = {
            "caller": claim.caller, "key": claim.key, "fingerprint": claim.fingerprint, "created": naive(claim.at),
            "status": answer.status, "headers": msgspec.json.encode(answer.headers).decode(), "body": answer.body,
        }  # fmt: skip

        def work(transaction: Transaction) -> None:
            transaction.execute(_SQL["answer"], values)

        self._store.write(work)

    def sweep(self) -> None:
        """Remove keys that are older than 24 hours."""
        self._store.execute(_SQL["sweep"], {"oldest": naive(self._clock.now() - _KEPT)})
