"""Messages to hooks that wait to be delivered. They are stored in the transaction that ends a run.

So there is a message for each end of a run that a hook asks for, whatever happens to the service, and a message is sent
until its hook has accepted it: at least once, always with the same id and body.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction, naive
from service.kit import clock, ids
from service.kit.clock import Clock
from service.model import masking
from service.model.hook import Delivery, Hook
from service.model.run import Run

_SQL = load_sql("deliveries")
_EVERY = "*"
_KEPT = timedelta(days=30)
"""How long it is remembered what became of a message."""


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A message to send now. ``receiver`` is the scheme and host of its URL, ``tries`` counts those that failed."""

    id: str
    run_id: str
    event: str
    hook: Hook
    receiver: str
    body: str
    created: datetime
    tries: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a try. ``next_try`` is null if it was the last one; ``error`` is null if the hook accepted it."""

    id: str
    tries: int
    next_try: datetime | None
    error: str | None

    @property
    def state(self) -> str:
        return "delivered" if self.error is None else "waiting" if self.next_try is not None else "failed"


class Deliveries:
    """The messages to hooks in the catalog. Methods block."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def due(self, now: datetime, without: Iterable[str], *, each: int, limit: int) -> list[Pending]:
        """The messages to send at ``now``, those that wait longest first.

        At most ``each`` for one receiver, none for the receivers in ``without``, and at most ``limit`` in all.
        """
        values = {"now": naive(now), "without": list(without), "each": each, "limit": limit}
        return [
            Pending(
                id=r["id"], run_id=r["run_id"], event=r["event"], hook=_hooks(r)[r["hook"]], receiver=r["receiver"],
                body=r["body"], created=r["created"].replace(tzinfo=UTC), tries=r["tries"],
            )
            for r in self._store.rows(_SQL["due"], values)
        ]  # fmt: skip

    @property
    def none_waits(self) -> bool:
        """Whether it is known from memory, without blocking, that no message waits."""
        return self._store.keeps("deliveries", _EVERY, _SQL["waiting"]) and not self.waits()

    def waits(self) -> bool:
        """Whether a message waits to be sent, now or later."""
        row = self._store.kept_row("deliveries", _EVERY, _SQL["waiting"], {})
        return row is not None and bool(row["waits"])

    def outlook(self, now: datetime) -> tuple[bool, datetime | None]:
        """Whether messages are to be sent at ``now``, and when the first of those that wait for a later time is."""
        row = self._store.row(_SQL["outlook"], {"now": naive(now)})
        assert row is not None
        later = row["later"].replace(tzinfo=UTC) if row["later"] is not None else None
        return bool(row["is_due"]), later

    def record(self, outcomes: Iterable[Outcome]) -> None:
        """Store what became of tries."""
        known = [*outcomes]

        def work(transaction: Transaction) -> None:
            for outcome in known:
                next_try = naive(outcome.next_try) if outcome.next_try is not None else None
                values = {"id": outcome.id, "state": outcome.state, "tries": outcome.tries, "error": outcome.error}
                transaction.execute(_SQL["record"], {**values, "next_try": next_try})

        self._store.write(work)

    def of(self, pipeline_id: str, *, limit: int, offset: int) -> tuple[list[Delivery], int]:
        """The messages about runs of a pipeline, newest first, and how many there are. Secrets in URLs are masked."""
        total = self._store.row(_SQL["count"], {"pipeline_id": pipeline_id})
        rows = self._store.rows(_SQL["list"], {"pipeline_id": pipeline_id, "limit": limit, "offset": offset})
        return [_delivery(row) for row in rows], int(total["total"]) if total else 0

    def sweep(self) -> None:
        """Forget messages that ended more than 30 days ago."""
        self._store.execute(_SQL["sweep"], {"before": naive(self._clock.now() - _KEPT)})


def note_end(transaction: Transaction, pipeline_id: str, run: Run) -> None:
    """Store the messages about the end of a run. Part of the transaction that ends it."""
    wanted = {"pipeline_id": pipeline_id, "revision": run.revision}
    row = transaction.kept_row("pipelines", f"{pipeline_id}@{run.revision}", _SQL["hooks"], wanted)
    if row is None or row["hooks"] is None:
        return
    ended = run.end_time
    assert ended is not None
    for place, hook in enumerate(_hooks(row)):
        if run.status not in hook.events:
            continue
        identity = ids.new("evt")
        values = {"id": identity, "pipeline_id": pipeline_id, "run_id": run.run_id, "revision": run.revision}
        values |= {"hook": place, "event": run.status, "body": _body(identity, run, ended), "created": naive(ended)}
        transaction.execute(_SQL["insert"], values)


def _body(identity: str, run: Run, ended: datetime) -> str:
    shown = msgspec.to_builtins(run)
    for part in (shown, *shown["attempts"]):
        if part["error"] is not None:
            del part["error"]["kind"]  # a name of ours
    event = {"event": run.status, "id": identity, "time": clock.rfc3339(ended), "run": shown}
    return msgspec.json.encode(event).decode()


def _hooks(row: Row) -> list[Hook]:
    return msgspec.json.decode(row["hooks"], type=list[Hook] | None) or []


def _delivery(row: Row) -> Delivery:
    return Delivery(
        id=row["id"], event=row["event"], run_id=row["run_id"], url=masking.settings(_hooks(row)[row["hook"]].url),
        state=row["state"], tries=row["tries"], created=row["created"].replace(tzinfo=UTC),
        next_try=row["next_try"].replace(tzinfo=UTC) if row["next_try"] is not None else None, error=row["error"],
    )  # fmt: skip
