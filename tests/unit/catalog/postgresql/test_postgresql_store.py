"""What only PostgreSQL brings: other processes that write, a server that restarts, connections that run out."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import psycopg
import pytest

from service.catalog.history import History
from service.catalog.migrations import SCHEMA_VERSION
from service.catalog.pipelines import Pipelines
from service.catalog.postgresql import watch
from service.catalog.postgresql.server import Connection, Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.catalog.store import Transaction, Uncertain
from service.kit import errors
from service.kit.clock import FixedClock
from service.model.run import Run
from tests.postgresql import Cluster

pytestmark = pytest.mark.services
READ, SET = (
    "SELECT value FROM properties WHERE name = 'n'",
    "INSERT INTO properties (name, value) VALUES ('n', $value) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
)


@pytest.fixture
def url(cluster: Cluster) -> Iterator[str]:
    with cluster.database() as found:
        yield found


@pytest.fixture
def two(url: str) -> Iterator[tuple[PostgreSQLStore, PostgreSQLStore]]:
    """One catalog as two processes have it."""
    first, second = PostgreSQLStore(Server(url)), PostgreSQLStore(Server(url))
    yield first, second
    first.close()
    second.close()


def add_one(transaction: Transaction) -> int:
    row = transaction.row(READ)
    number = int(row["value"]) + 1 if row is not None else 1
    transaction.execute(SET, {"value": str(number)})
    return number


def a_run(name: str) -> Run:
    return Run(run_id=name, pipeline="p", revision=1, status="queued", queued_at=datetime(2026, 1, 1, tzinfo=UTC))


def test_no_update_is_lost_and_no_number_is_given_twice(two: tuple[PostgreSQLStore, PostgreSQLStore]) -> None:
    histories = [History(store) for store in two]

    def work(place: int) -> int:
        histories[place % 2].add_run("p", a_run(f"run_{place}"))
        return two[place % 2].write(add_one)

    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(work, range(40)))
    assert sorted(numbers) == list(range(1, 41))
    rows = two[0].rows("SELECT sequence FROM runs ORDER BY sequence")
    assert [row["sequence"] for row in rows] == list(range(1, 41))


def test_what_another_process_wrote_is_read_at_once(two: tuple[PostgreSQLStore, PostgreSQLStore]) -> None:
    first, second = (Pipelines(store, FixedClock()) for store in two)
    first.create("a", "a", {"name": "a"}, None)
    assert second.get("a").revision == 1
    assert [p.name for p in second.list(limit=9, offset=0)[0]] == ["a"]
    stamps = [store.stamp(("pipelines",)) for store in two]
    assert stamps == [store.stamp(("pipelines",)) for store in two]
    first.update("a", "a", {"name": "a", "description": "new"}, None)
    assert second.get("a").revision == 2
    assert second.list(limit=9, offset=0)[0][0].description == "new"
    assert two[1].stamp(("pipelines",)) != stamps[1]


@pytest.mark.parametrize("tables", [("pipelines",), ("pipelines", "versions"), ("api_keys",)])
def test_a_stamp_is_another_one_after_a_commit_that_concerns_it_and_not_before(
    two: tuple[PostgreSQLStore, PostgreSQLStore], tables: tuple[str, ...]
) -> None:
    first, second = two
    rare = tables != ("pipelines", "versions")

    def work(transaction: Transaction) -> tuple[int, int]:
        before = second.stamp(tables)
        if rare:
            transaction.execute(f"DELETE FROM {tables[0]}")
        add_one(transaction)
        return before, second.stamp(tables)

    before, during = first.write(work)
    after = second.stamp(tables)
    assert after not in (before, during)
    assert after == first.stamp(tables) == second.stamp(tables)
    assert not rare or before == during
    first.write(add_one)
    assert (second.stamp(tables) == after) == rare


def test_a_number_of_the_state_is_that_before_a_commit_until_it_is_committed(
    two: tuple[PostgreSQLStore, PostgreSQLStore],
) -> None:
    first, second = two

    def work(transaction: Transaction) -> int:
        transaction.execute(SET, {"value": "1"})
        return second.changes

    during = first.write(work)
    assert second.changes != during


def test_a_conflict_of_two_writers_is_tried_again(two: tuple[PostgreSQLStore, PostgreSQLStore]) -> None:
    """Each reads what the other writes: one of them must see the other's."""
    both_have_read, tries = threading.Barrier(2), []

    def work(transaction: Transaction) -> int:
        tries.append(transaction.row(READ))
        if len(tries) <= 2:
            both_have_read.wait(10)
        return add_one(transaction)

    with ThreadPoolExecutor(2) as pool:
        numbers = list(pool.map(lambda store: store.write(work), two))
    assert (sorted(numbers), len(tries) > 2) == ([1, 2], True)


def test_a_conflict_without_end_is_an_error_that_says_so(url: str) -> None:
    store = PostgreSQLStore(Server(url, patience=0.2))
    other = PostgreSQLStore(Server(url))

    def work(transaction: Transaction) -> int:
        transaction.row(READ)
        other.write(add_one)
        return add_one(transaction)

    with pytest.raises(errors.Unavailable, match="others write") as raised:
        store.write(work)
    assert raised.value.error_code == "CATALOG_UNAVAILABLE"
    store.close()
    other.close()


def test_a_row_that_another_inserted_meanwhile_is_read_by_the_next_try(
    two: tuple[PostgreSQLStore, PostgreSQLStore],
) -> None:
    pipelines = [Pipelines(store, FixedClock()) for store in two]

    def create(place: int) -> str:
        try:
            pipelines[place % 2].create("a", "a", {"name": "a"}, None)
        except errors.Conflict as error:
            return error.error_code
        return "created"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(create, range(4))) == ["PIPELINE_EXISTS"] * 3 + ["created"]


def test_an_error_of_the_work_stores_nothing(two: tuple[PostgreSQLStore, PostgreSQLStore]) -> None:
    def work(transaction: Transaction) -> None:
        add_one(transaction)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        two[0].write(work)
    assert two[0].row(READ) is None
    with pytest.raises(errors.PenstockError, match="refused a statement") as raised:
        two[0].execute("INSERT INTO properties (name, value) VALUES ('schema_version', 'secret')")
    assert "secret" not in raised.value.message
    assert two[0].write(add_one) == 1


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
    _until(lambda: len(numbers) > 5)
    cluster.stop(mode)
    before = len(numbers)
    cluster.start()
    _until(lambda: len(numbers) > before + 5 or bool(problems))
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
    finally:
        for pid in reversed(stopped):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    assert during != before, "nobody knows what happens meanwhile"
    _until(lambda: store.changes == store.changes)
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
    _until(lambda: store.row(READ) is not None)
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


def test_many_processes_may_start_at_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: PostgreSQLStore(Server(url)), range(4)))
    assert sum(store.created for store in stores) == 1
    assert stores[0].property("schema_version") == str(SCHEMA_VERSION)
    for store in stores:
        store.close()


def test_a_newer_catalog_is_refused_and_left_as_it_is(url: str) -> None:
    store = PostgreSQLStore(Server(url))
    store.set_property("schema_version", str(SCHEMA_VERSION + 1))
    store.close()
    with pytest.raises(errors.Conflict, match="newer penstock"):
        PostgreSQLStore(Server(url))
    with psycopg.connect(url) as other:
        row = other.execute("SELECT value FROM penstock.properties WHERE name = 'schema_version'").fetchone()
    assert row == (str(SCHEMA_VERSION + 1),)


def test_a_schema_of_another_program_is_refused(url: str) -> None:
    with psycopg.connect(url) as other:
        other.execute("CREATE SCHEMA penstock")
        other.execute("CREATE TABLE penstock.pens (id integer)")
    with pytest.raises(errors.Conflict, match="another program"):
        PostgreSQLStore(Server(url))


def test_one_who_wants_it_alone_is_refused_while_others_have_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_LEAVING_SECONDS", 0)
    first = PostgreSQLStore(Server(url))
    with pytest.raises(errors.Conflict, match="in use") as raised:
        PostgreSQLStore(Server(url), alone=True)
    assert raised.value.error_code == "DATA_DIR_IN_USE"
    first.close()
    alone = PostgreSQLStore(Server(url), alone=True)
    with pytest.raises(errors.Conflict, match="in use"):
        PostgreSQLStore(Server(url))
    alone.close()


def test_who_lost_the_installation_to_another_writes_no_more(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_AGAIN_SECONDS", 0)
    store = PostgreSQLStore(Server(url), alone=True)
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        other.execute(f"SELECT pg_advisory_lock({watch.IN_USE})".encode())
        assert store.changes != store.changes
        assert not store.healthy
        with pytest.raises(errors.Unavailable, match="another penstock"):
            store.write(add_one)
    store.close()


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@[h/d", "postgresql://u:hunter2@h/d?nonsense=hunter2"])
def test_no_error_shows_the_password(url: str) -> None:
    with pytest.raises(errors.Invalid) as raised:
        Server(url)
    assert "hunter2" not in repr(raised.value.as_body())


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
