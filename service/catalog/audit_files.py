"""The audit log on its way between files of a data directory and rows of a catalog that outlives it.

A start with such a catalog takes the files over; a catalog that comes into a data directory gives the rows back.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import msgspec
import structlog

from service.catalog import audit_rows
from service.catalog.audit_heads import AuditHeads, head_of
from service.catalog.statements import load_sql
from service.catalog.store import Store, Transaction
from service.files import audit_check, audit_file
from service.files.audit_file import Head

_SQL = load_sql("audit_lines")
_LINES = 2000
"""That one transaction takes over."""
_log = structlog.get_logger("penstock.audit")


def take_over(store: Store, folder: Path, heads: AuditHeads) -> None:
    """Make rows of the files in ``folder``, whose chains are closed, and remove them.

    A file that was changed since it was written stays. Raises ``OSError``.
    """
    known = heads.all()
    changed = {fault.file for fault in audit_check.faults(folder, known)}
    for day in audit_file.days(folder):
        file = audit_file.path(folder, day)
        if file in changed:
            hint = "it was changed since it was written: 'penstock verify' names the lines; GET /audit has none of it"
            _log.error("audit.not_taken_over", file=file.name, hint=hint)
            continue
        for head in (head for head in known if head.day == day and not head.dropped):
            _take(store, file, head)
        file.unlink()
        _log.info("audit.taken_over", file=file.name)


def give_back(store: Store, folder: Path) -> None:
    """Make files in ``folder`` of all rows, and remove these, chain after chain. Blocks."""
    for row in store.rows(_SQL["in_order"]):
        folder.mkdir(mode=0o700, exist_ok=True)
        head = head_of(row)
        path = audit_file.path(folder, head.day)
        with path.open("ab") as file:
            path.chmod(0o600)
            begin = file.tell()
            file.writelines(text for _, text in audit_rows.lines(store, head.chain))
            file.flush()
            os.fsync(file.fileno())
            place = {"chain": head.chain, "begin": begin, "end": file.tell()}
        store.execute(_SQL["place"], place)
    store.execute(_SQL["clear"])


def _take(store: Store, file: Path, head: Head) -> None:
    lines = (line for text in audit_file.lines(file, head.begin) if (line := _of(head, text)) is not None)
    while batch := [*islice(lines, _LINES)]:

        def work(transaction: Transaction, batch: list[tuple[int, bytes]] = batch) -> None:
            there = transaction.row(_SQL["newest"], {"chain": head.chain})
            last = (there["n"] or 0) if there is not None else 0
            rows = [(n, audit_rows.time_of(text), text) for n, text in batch if n > last]
            audit_rows.add(transaction, head.chain, rows)

        store.append(work)
    closed = msgspec.structs.replace(head, closed=True)
    store.append(lambda transaction: audit_rows.put(transaction, closed))


def _of(head: Head, text: bytes) -> tuple[int, bytes] | None:
    """The place and the text of a line without its end; None of a line of another chain."""
    line = audit_file.parsed(text)
    return (line.n, text[:-1]) if line is not None and line.chain == head.chain else None
