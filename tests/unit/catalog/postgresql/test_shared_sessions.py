"""A refresh token works once, whichever processes of an installation are asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.catalog.postgresql.server import Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.catalog.sessions import Sessions
from service.kit import errors
from service.kit.clock import FixedClock

pytestmark = pytest.mark.services


@pytest.fixture
def stores(url: str) -> Iterator[list[PostgreSQLStore]]:
    found = [PostgreSQLStore(Server(url), shared=True) for _ in range(2)]
    yield found
    for store in found:
        store.close()


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls answer or raise, all begun at the same time."""
    begin = threading.Barrier(len(calls))

    def call(work: Callable[[], Any]) -> Any:
        begin.wait(60)
        try:
            return work()
        except errors.PenstockError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def test_a_refresh_token_that_is_used_at_two_processes_at_once_ends_its_login(
    stores: list[PostgreSQLStore], clock: FixedClock
) -> None:
    one, other = (Sessions(store, clock) for store in stores)
    first = one.open("ada")
    found = at_once(lambda: one.rotate(first.token), lambda: other.rotate(first.token))
    assert sorted(type(answer).__name__ for answer in found) == ["Refresh", "Reused"]
    fresh = next(answer for answer in found if not isinstance(answer, errors.PenstockError))
    for sessions in (one, other):
        with pytest.raises(errors.Unauthenticated):
            sessions.rotate(fresh.token)
