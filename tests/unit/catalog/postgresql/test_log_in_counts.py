"""Log-ins of several processes are counted together: attempts, and failures that make the next one wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from service.api.log_in_limits import LogInLimits
from service.api.rate_limit import RateLimiter
from service.api.shared_limits import SharedLogInLimits
from service.catalog.log_in_counts import LogInCounts
from service.catalog.postgresql.server import Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.kit import errors
from service.kit.clock import FixedClock

pytestmark = pytest.mark.services
LIMIT = 10
HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def stores(url: str) -> Iterator[list[PostgreSQLStore]]:
    found = [PostgreSQLStore(Server(url)) for _ in range(2)]
    yield found
    for store in found:
        store.close()


@pytest.fixture
def processes(stores: list[PostgreSQLStore], clock: FixedClock) -> list[LogInLimits]:
    """The limits of two processes. What their memory refuses by itself, it refuses one of them."""
    return [SharedLogInLimits(LIMIT, clock, RateLimiter, LogInCounts(store)) for store in stores]


def refused(process: LogInLimits, username: str, address: str = HERE) -> float:
    """The seconds to wait that an attempt is refused with, or 0."""
    try:
        asyncio.run(process.count(address, username))
    except errors.Throttled as error:
        return float(error.retry_after or 0)
    return 0.0


def later(stores: list[PostgreSQLStore], seconds: float) -> None:
    """Let time pass in the catalog."""
    stores[0].execute(
        "UPDATE log_in_counts SET counted = counted - $s * INTERVAL '1 second', "
        "failed = failed - $s * INTERVAL '1 second'",
        {"s": seconds},
    )


def test_attempts_at_all_processes_are_counted_together(processes: list[LogInLimits]) -> None:
    assert [refused(processes[n % 2], "bea") for n in range(LIMIT)] == [0.0] * LIMIT
    for process in processes:
        assert 0 < refused(process, "bea") <= 6.0
        assert refused(process, "cy") == 0.0
        assert refused(process, "bea", THERE) == 0.0


def test_failures_at_any_process_make_the_next_attempt_wait_at_every_one(
    processes: list[LogInLimits], stores: list[PostgreSQLStore]
) -> None:
    for number in range(LIMIT):
        key = asyncio.run(processes[number % 2].count(HERE, "bea"))
        asyncio.run(processes[number % 2].failed(key))
    later(stores, 5.0)
    for process in processes:
        assert 0 < refused(process, "bea") <= 1.0
    later(stores, 1.0)
    asyncio.run(processes[1].failed(asyncio.run(processes[1].count(HERE, "bea"))))
    assert 11 < refused(processes[0], "bea") <= 12.0
    later(stores, 12.0)
    asyncio.run(processes[0].succeeded(asyncio.run(processes[0].count(HERE, "bea"))))
    later(stores, 60.0)
    asyncio.run(processes[1].failed(asyncio.run(processes[1].count(HERE, "bea"))))
    assert refused(processes[1], "bea") == 0.0  # success has forgotten the failures


def test_names_are_not_readable_in_the_catalog(processes: list[LogInLimits], stores: list[PostgreSQLStore]) -> None:
    asyncio.run(processes[0].failed(asyncio.run(processes[0].count(HERE, "my secret password"))))
    assert "secret" not in str(stores[0].rows("SELECT * FROM log_in_counts"))
    later(stores, 7200.0)
    LogInCounts(stores[0]).sweep()
    assert stores[0].rows("SELECT * FROM log_in_counts") == []
