"""Processes go by the clock of the server, however theirs are set; a difference that means nothing is none."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from service.catalog.named_lease import NamedLease
from service.catalog.postgresql.server import Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.catalog.shared_clock import SharedClock
from service.kit.clock import Clock, SystemClock

pytestmark = pytest.mark.services
MOVED = 3600.0


class MovedClock(SystemClock):
    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)


def test_a_process_whose_clock_is_wrong_goes_by_that_of_the_server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = PostgreSQLStore(Server(url), shared=True)
    assert right.ahead == timedelta()
    here: Clock = SharedClock(SystemClock(), right)
    assert NamedLease(right, here, "work", "here", 30).hold()

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + MOVED)
    wrong = PostgreSQLStore(Server(url), shared=True)
    there = SharedClock(MovedClock(), wrong)
    assert abs(wrong.ahead.total_seconds() + MOVED) < 60
    assert abs((there.now() - here.now()).total_seconds()) < 60
    assert not NamedLease(wrong, there, "work", "there", 30).hold()  # by its own clock it would be over

    monkeypatch.setattr(time, "time", real)  # somebody has set it right
    assert wrong.changes == right.changes
    assert wrong.ahead == timedelta()
    alone = PostgreSQLStore(Server(url))
    assert alone.ahead == timedelta()
    for store in (right, wrong, alone):
        store.close()
