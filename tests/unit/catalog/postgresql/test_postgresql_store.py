"""What only PostgreSQL brings: other processes that read and write the same catalog."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from service.catalog import migrations
from service.catalog.history import History
from service.catalog.migrations import SCHEMA_VERSION
from service.catalog.pipelines import Pipelines
from service.catalog.postgresql import schema, watch
from service.catalog.postgresql.server import Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.catalog.statements import load_sql
from service.catalog.store import Transaction
from service.kit import errors
from service.kit.clock import FixedClock
from tests.unit.catalog.postgresql.writes import READ, SET, a_run, add_one, until

pytestmark = pytest.mark.services
ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def two(url: str) -> Iterator[tuple[PostgreSQLStore, PostgreSQLStore]]:
    """One catalog as two processes have it."""
    first, second = PostgreSQLStore(Server(url)), PostgreSQLStore(Server(url))
    yield first, second
    first.close()
    second.close()


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


def test_processes_that_write_at_once_lose_nothing_and_one_that_is_killed_stores_whole_writes(url: str) -> None:
    PostgreSQLStore(Server(url)).close()
    code = (
        "import sys\nfrom service.catalog.postgresql.server import Server\n"
        "from service.catalog.postgresql.store import PostgreSQLStore\n"
        "from tests.unit.catalog.postgresql.writes import write_both\n"
        "store = PostgreSQLStore(Server(sys.argv[1], patience=60))\n"
        "for number in range(int(sys.argv[3])):\n    write_both(store, f'{sys.argv[2]}{number}')\n"
        "    print(number, flush=True)\nstore.close()"
    )

    def started(name: str, writes: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", code, url, name, str(writes)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)

    with started("a", 30) as first, started("b", 30) as second, started("c", 1000) as third:
        assert third.stdout is not None
        assert third.stdout.readline() == b"0\n"
        third.kill()
        assert (len(first.communicate()[0].splitlines()), len(second.communicate()[0].splitlines())) == (30, 30)
    store = PostgreSQLStore(Server(url))
    runs = store.rows("SELECT run_id, sequence FROM runs ORDER BY sequence")
    assert [row["sequence"] for row in runs] == list(range(1, len(runs) + 1))
    assert store.row(READ) == {"value": str(len(runs))}, "each write is there as a whole"
    assert {f"{name}{number}" for name in "ab" for number in range(30)} | {"c0"} <= {row["run_id"] for row in runs}
    store.close()


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


def test_many_processes_may_start_at_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: PostgreSQLStore(Server(url)), range(4)))
    assert sum(store.created for store in stores) == 1
    assert stores[0].property("schema_version") == str(SCHEMA_VERSION)
    for store in stores:
        store.close()


def test_a_newer_catalog_is_refused_and_left_as_it_is(url: str) -> None:
    store = PostgreSQLStore(Server(url))
    for name in ("schema_version", "oldest_schema_version"):
        store.set_property(name, str(SCHEMA_VERSION + 1))
    store.close()
    with pytest.raises(errors.Conflict, match="newer penstock"):
        PostgreSQLStore(Server(url))
    with psycopg.connect(url) as other:
        row = other.execute("SELECT value FROM penstock.properties WHERE name = 'schema_version'").fetchone()
    assert row == (str(SCHEMA_VERSION + 1),)


NEWER = f"""
    ALTER TABLE penstock.runs ADD COLUMN priority INTEGER DEFAULT 0;
    ALTER TABLE penstock.users ADD COLUMN email VARCHAR;
    CREATE TABLE penstock.widgets (id VARCHAR PRIMARY KEY);
    CREATE OR REPLACE FUNCTION penstock.to_days(days integer) RETURNS interval LANGUAGE sql IMMUTABLE
        RETURN make_interval(days => days) + interval '0';
    COMMENT ON SCHEMA penstock IS 'of the newer release';
    UPDATE penstock.properties SET value = '{SCHEMA_VERSION + 1}' WHERE name = 'schema_version';
"""
"""What a newer release adds while processes of this one serve."""


def test_a_newer_release_may_let_this_one_work_beside_it(url: str, tmp_path: Path) -> None:
    running = PostgreSQLStore(Server(url))
    History(running).add_run("p", a_run("before"))
    with psycopg.connect(url) as newer:
        newer.execute(NEWER)
    started = PostgreSQLStore(Server(url))
    for number, store in enumerate((running, started)):
        History(store).add_run("p", a_run(f"run_{number}"))
        assert len(History(store).runs("p", limit=9, offset=0)[0]) == 2 + number
        with pytest.raises(errors.Conflict, match="newer penstock has added"):
            migrations.require_own(store, "a backup")
    with psycopg.connect(url) as newer:
        comment = newer.execute("SELECT obj_description('penstock'::regnamespace, 'pg_namespace')").fetchone()
    assert comment == ("of the newer release",)
    running.close()
    started.close()


def test_a_migration_waits_for_those_who_work_and_holds_nobody_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of a table waits a moment only, so that who comes after it is not held up, and is tried again."""
    store = PostgreSQLStore(Server(url))
    monkeypatch.setattr(schema, "_WAIT", 0.1)
    sql = load_sql("migrations")
    changed = {**sql, f"to_{SCHEMA_VERSION + 1}": "ALTER TABLE runs ADD COLUMN priority INTEGER DEFAULT 0"}
    monkeypatch.setattr(migrations, "load_sql", lambda name: changed if name == "migrations" else load_sql(name))
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with ThreadPoolExecutor(2) as pool, psycopg.connect(url) as working:
        working.execute("SELECT count(*) FROM penstock.runs")  # in a transaction that stays open
        starts = [pool.submit(schema.prepare, Server(url)) for _ in range(2)]
        for number in range(20):  # others go on meanwhile
            History(store).add_run("p", a_run(f"run_{number}"))
        assert not any(start.done() for start in starts)
        working.rollback()
        assert [start.result(60) for start in starts] == [False, False]
    assert store.property("schema_version") == str(SCHEMA_VERSION + 1)
    History(store).add_run("p", a_run("after"))
    store.close()


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
        until(lambda: not store.healthy)
        with pytest.raises(errors.Unavailable, match="another penstock"):
            store.write(add_one)
    store.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@[h/d",
        "postgresql://u:hunter2@h/d?nonsense=hunter2",
        "postgresql://u:hunter2/3@h/d",  # libpq's port
        "postgresql://u:1@hunter2@h/d",  # its host
        "postgresql://u:1@hunter2/3@h/d",
    ],
)
def test_no_error_shows_the_password(url: str) -> None:
    with pytest.raises(errors.Invalid) as raised:
        Server(url)
    assert "hunter2" not in repr(raised.value.as_body())
