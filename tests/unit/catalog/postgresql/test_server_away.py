"""A server that restarts, is away, stands still, or is lost in the middle of a commit; connections that run out."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg
import pytest

from service.catalog.postgresql.server import Connection, Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.catalog.store import Transaction, Uncertain
from service.kit import errors
from tests.postgresql import Cluster
from tests.unit.catalog.postgresql.writes import READ, add_one, until

pytestmark = pytest.mark.services


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_of_the_server_is_survived(cluster: Cluster, url: str, mode: str) -> None:
    """Reads and writes of threads go on after it, and nothing is stored twice or lost."""
    store = PostgreSQLStore(Server(url, patience=60))
    done, numbers, problems = threading.Event(), [], []

    def work() -> None:
        try:
            while not done.is_set():
                numbers.append(store.write(add_one))
                store.rows("SELECT count(*) AS n FROM runs")
                store.stamp(("runs",))
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(numbers) > 5)
    cluster.stop(mode)
    before = len(numbers)
    cluster.start()
    until(lambda: len(numbers) > before + 5 or bool(problems))
    done.set()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert store.row(READ) == {"value": str(len(numbers))}
    store.close()


def test_a_server_that_is_away_is_an_error_that_says_so(cluster: Cluster, url: str) -> None:
    store = PostgreSQLStore(Server(url, patience=0.3))
    cluster.stop()
    try:
        for call in (lambda: store.rows("SELECT 1 AS one"), lambda: store.write(add_one), lambda: store.check()):
            with pytest.raises(errors.Unavailable, match=r"PostgreSQL at 127\.0\.0\.1.*does not answer") as raised:
                call()
            assert raised.value.error_code == "CATALOG_UNAVAILABLE"
        assert store.stamp(("runs",)) != store.stamp(("runs",)), "what is in memory may be old"
        with pytest.raises(errors.Unavailable):
            PostgreSQLStore(Server(url, patience=0.3))
    finally:
        cluster.start()
    assert store.write(add_one) == 1
    store.close()


def test_a_server_that_stands_still_does_not_hold_up_who_only_asks_for_changes(cluster: Cluster, url: str) -> None:
    store = PostgreSQLStore(Server(url))
    with psycopg.connect(url) as other:
        pids = [row[0] for row in other.execute("SELECT pid FROM pg_stat_activity").fetchall()]
    stopped = [cluster.pid, *pids]
    before = store.changes
    assert before == store.changes
    for pid in stopped:
        with suppress(ProcessLookupError):  # that of the other connection
            os.kill(pid, signal.SIGSTOP)
    try:
        during = store.changes
        began = time.monotonic()  # the first one may wait for an answer that was on its way
        for _ in range(40):
            during = store.changes
            time.sleep(0.05)
        held_up = time.monotonic() - began - 2
    finally:
        for pid in reversed(stopped):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    assert during != before, "nobody knows what happens meanwhile"
    assert held_up < 1.8, "nor does the event loop wait for a connection, which is given up after 2 s"
    until(lambda: store.changes == store.changes)
    store.close()


class Losing(PostgreSQLStore):
    """Loses its connection once while it commits: when the server has committed already, or before."""

    committed = False
    lost = 0

    def _commit(self, connection: Connection) -> None:
        if self.lost:
            return super()._commit(connection)
        self.lost += 1
        if self.committed:
            super()._commit(connection)
        connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_answer_was_lost_is_looked_up_and_done_once(url: str, committed: bool) -> None:
    store = Losing(Server(url))
    store.committed = committed
    tries: list[int] = []

    def work(transaction: Transaction) -> int:
        tries.append(add_one(transaction))
        return tries[-1]

    assert store.write(work) == 1
    assert (store.lost, tries, store.row(READ)) == (1, [1] if committed else [1, 1], {"value": "1"})
    store.close()


def test_a_commit_that_nobody_can_look_up_is_told_apart_and_not_repeated(cluster: Cluster, url: str) -> None:
    """Neither alone nor in a group of writes."""

    class Away(Losing):
        committed = True

        def _commit(self, connection: Connection) -> None:
            try:
                super()._commit(connection)
            except psycopg.OperationalError:
                cluster.stop("immediate")
                raise

    store, tries = Away(Server(url, patience=0.5)), []

    def work(transaction: Transaction) -> int:
        tries.append(add_one(transaction))
        return tries[-1]

    try:
        with pytest.raises(Uncertain):
            store.write(work)
    finally:
        cluster.start()
    assert len(tries) == 1
    until(lambda: store.row(READ) is not None)
    store.close()


def test_who_finds_no_connection_waits_and_is_then_refused(url: str) -> None:
    server = Server(url, patience=0.4, connections=2)
    store = PostgreSQLStore(server)
    with server.lent(), server.lent():
        for call in (lambda: store.rows("SELECT 1 AS one"), lambda: store.write(add_one)):
            with pytest.raises(errors.Unavailable, match="all 2 connections"):
                call()
        assert store.changes == store.changes, "it needs none of them"
    with server.lent(), ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda _: store.write(add_one), range(40))) == list(range(1, 41))
    store.close()
