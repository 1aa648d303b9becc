"""The chains of the audit log that this process writes where lines are rows: the counterpart of ``AuditChain``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from service.catalog import audit_files, audit_rows
from service.catalog.audit_chain import AuditChain
from service.catalog.audit_heads import AuditHeads, head_of
from service.catalog.audit_rows import Position
from service.catalog.statements import load_sql
from service.catalog.store import Store, Transaction
from service.files import audit_file
from service.files.audit_file import Head
from service.kit import ids

_SQL = load_sql("audit_lines")
_log = structlog.get_logger("penstock.audit")


class AuditRowChain:
    """The chains that this process writes, and those of all to read. Kept for ``days`` days. Methods block."""

    has_grown = False

    def __init__(self, store: Store, folder: Path, *, days: int) -> None:
        self._store = store
        self._folder = folder
        self._days = days
        self._head: Head | None = None

    def start(self, today: date) -> tuple[dict[str, int], list[str]]:
        """Take over files of this data directory, and drop days that are too old, as ``AuditChain.start``."""
        mended: dict[str, int] = {}
        if audit_file.days(self._folder):
            heads = AuditHeads.of(self._store, self._folder)
            mended, _ = AuditChain(self._folder, heads, days=self._days, sync=os.fdatasync).start(today)
            audit_files.take_over(self._store, self._folder, heads)
        return mended, self.drop(today)

    def drop(self, today: date) -> list[str]:
        """Remove the lines of days that are older than they are kept, and return these days. Their heads stay."""
        dropped = []
        for row in self._store.rows(_SQL["old"], {"before": today - timedelta(days=self._days)}):

            def work(transaction: Transaction, day: date = row["day"]) -> None:
                for statement in ("drop_lines", "drop"):
                    transaction.execute(_SQL[statement], {"day": day})

            self._store.append(work)
            dropped.append(row["day"].isoformat())
            _log.info("audit.dropped", day=dropped[-1])
        return dropped

    def turn(self, day: date) -> bool:
        """Let the following lines be those of ``day``. Returns whether a chain was begun."""
        if self._head is not None and self._head.day == day:
            return False
        self.close()
        self._head = Head(chain=ids.new("chn"), day=day, begin=-1, end=-1)
        return True

    def append(self, events: Sequence[bytes]) -> None:
        """Commit events, JSON objects. What an earlier try has committed although it raised is not added again.

        Raises ``errors.Unavailable``.
        """
        assert self._head is not None
        lines: list[tuple[Head, bytes]] = []
        head = self._head
        for event in events:
            head, text = audit_file.line(head, event)
            lines.append((head, text[:-1]))

        def work(transaction: Transaction) -> bool:
            row = transaction.row(_SQL["head"], {"chain": head.chain})
            there = head_of(row) if row is not None else None
            new = 0
            if there is not None and there.lines > lines[0][0].lines - 1:
                new = there.lines - lines[0][0].lines + 1
                if new > len(lines) or lines[new - 1][0].hash != there.hash:
                    return False
            rows = [(one.lines, audit_rows.time_of(text), text) for one, text in lines[new:]]
            audit_rows.add(transaction, head.chain, rows)
            audit_rows.put(transaction, head)
            return True

        if self._store.append(work):
            self._head = head
            return
        _log.error("audit.begun_again", hint="what an earlier try left is not what was to be written; nothing is lost")
        self._head = Head(chain=ids.new("chn"), day=head.day, begin=-1, end=-1)
        self.append(events)

    def follow(self) -> None:
        """The head is committed with its lines."""

    def close(self) -> None:
        """Close the chain: its head is final."""
        head, self._head = self._head, None
        if head is not None and head.lines:
            closed = msgspec.structs.replace(head, closed=True)
            self._store.append(lambda transaction: audit_rows.put(transaction, closed))

    def page(
        self, wanted: Callable[[bytes], bool], *, limit: int, since: datetime | None, until: datetime | None,
        cursor: str | None,
    ) -> tuple[list[bytes], str | None]:  # fmt: skip
        """As ``AuditChain.page``, of all processes in the order of their times."""
        before = Position.of(cursor) if cursor is not None else None
        page = audit_rows.page(self._store, wanted, limit=limit, since=since, until=until, before=before)
        return page.lines, str(page.next) if page.next is not None else None
