"""Journals of runs on their way between files of a data directory and rows of a catalog that outlives it.

A start with such a catalog takes the files over; a catalog that comes into a data directory gives the rows back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import structlog

from service.catalog import run_events
from service.catalog.run_events import RunEvents
from service.catalog.statements import load_sql
from service.catalog.store import Store, Transaction
from service.files import event_journal
from service.files.event_journal import Event
from service.files.layout import Layout

_SQL = load_sql("run_events")
_FILES, _BYTES = 200, 8 << 20
"""Of journals that one transaction takes over."""
_log = structlog.get_logger("penstock.catalog")


def take_over(store: Store, layout: Layout) -> None:
    """Make rows of the journals in ``layout``, and remove them. Those of runs that have rows already stay. Blocks."""
    taken = kept = 0
    for files in _batches(sorted(layout.logs.glob("*.ndjson"))):
        journals = {file.stem: _events(file) for file in files}

        def work(transaction: Transaction, journals: dict[str, list[Event]] = journals) -> set[str]:
            run_ids = [*journals]
            known = {row["run_id"] for row in transaction.rows(_SQL["ends"], {"run_ids": run_ids})}
            counts = {r["run_id"]: r["events"] for r in transaction.rows(_SQL["counts"], {"run_ids": run_ids})}
            for run_id in known - counts.keys():
                run_events.insert(transaction, run_id, journals[run_id])
            return {run_id for run_id in known if counts.get(run_id) in (None, len(journals[run_id]))}

        there = store.append(work)
        for file in files:
            if file.stem in there:
                file.unlink()
        taken, kept = taken + len(there), kept + len(files) - len(there)
    if taken:
        _log.info("journals.taken_over", runs=taken)
    if kept:
        hint = "their runs are not in the catalog, or have other events there; nothing reads these files any more"
        _log.warning("journals.not_taken_over", files=kept, folder=str(layout.logs), hint=hint)


def give_back(store: Store, layout: Layout) -> None:
    """Make files in ``layout`` of all rows, and remove these. Blocks."""
    rows = RunEvents(store)
    for row in store.rows(_SQL["runs"]):
        layout.logs.mkdir(mode=0o700, exist_ok=True)
        path = layout.log(row["run_id"])
        with path.open("wb") as file:
            path.chmod(0o600)
            for events in rows.pages(row["run_id"]):
                file.writelines(map(event_journal.line, events))
    store.execute(_SQL["clear"])


def _batches(files: list[Path]) -> Iterator[list[Path]]:
    batch: list[Path] = []
    size = 0
    for file in files:
        batch.append(file)
        size += file.stat().st_size
        if len(batch) >= _FILES or size >= _BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _events(file: Path) -> list[Event]:
    """The events of a journal. The lines of an old release, which nobody can follow, get ids below 1."""
    found: list[Event] = []
    offset = 0
    while True:
        events, offset = event_journal.read(file, offset)
        if not events:
            break
        found += events
    old = sum(not event.id for event in found)
    return [event._replace(id=place - old) if place < old else event for place, event in enumerate(found)]
