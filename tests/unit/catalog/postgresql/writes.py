"""Writes that tests repeat, from any process: each adds one to a number."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from service.catalog.history import History
from service.catalog.postgresql.store import PostgreSQLStore
from service.catalog.store import Transaction
from service.model.run import Run

READ, SET = (
    "SELECT value FROM properties WHERE name = 'n'",
    "INSERT INTO properties (name, value) VALUES ('n', $value) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
)


def add_one(transaction: Transaction) -> int:
    row = transaction.row(READ)
    number = int(row["value"]) + 1 if row is not None else 1
    transaction.execute(SET, {"value": str(number)})
    return number


def a_run(name: str) -> Run:
    return Run(run_id=name, pipeline="p", revision=1, status="queued", queued_at=datetime(2026, 1, 1, tzinfo=UTC))


def write_both(store: PostgreSQLStore, name: str) -> None:
    """A run and a number, in one transaction."""
    History(store).add_run("p", a_run(name), [count])


def count(transaction: Transaction, _: Run) -> None:
    add_one(transaction)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
