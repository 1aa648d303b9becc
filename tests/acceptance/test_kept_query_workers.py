"""Query workers are kept: which queries share them, what ends them, and that new versions are seen at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from typing import Any

import duckdb
import msgspec
import polars as pl
import pytest

from service.kit import errors
from service.query.engine import Engine
from service.query.scope import Scope
from service.sandbox.source import TableSource
from tests.acceptance.warehouse import CANARY, Warehouse, answered, build, document

LEAVING = [
    "SELECT setseed(0.5)",
    "SELECT set_config('x', 'y')",
    "SELECT * FROM query('CREATE TABLE left_here AS SELECT 1')",
    "SELECT * FROM query_table('orders')",
    "SELECT nextval('left_here')",
    "SELECT * FROM pragma_table_info('orders')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT repeat('secret', 50000000)",
    "SELECT list(range) FROM range(20000000)",
    "FROM range(3000000) ORDER BY hash(range) LIMIT 5 OFFSET 2900000",
    "WITH left_here AS MATERIALIZED (SELECT 'secret' AS v) FROM left_here",
    'SELECT error(\'{"exception_type": "secret"}\')',
    "CREATE TEMP TABLE left_here AS SELECT 1",
    "ATTACH ':memory:' AS left_here",
    "SET VARIABLE left_here = 1",
    "PREPARE left_here AS SELECT 1",
]


@pytest.fixture
def stored(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return build(tmp_path_factory.mktemp("data"))


def pids(made: Engine) -> list[int]:
    """The workers that wait with sources of their own."""
    return [worker.child.pid for worker in made._pool._idle]


async def rows(made: Engine, statement: str, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document((await made.sql(statement, **options)).content)["data"]
    return found


def test_one_worker_answers_all_kinds_of_queries(stored: Warehouse) -> None:
    async def act(made: Engine) -> set[int]:
        seen = set()
        source = stored.sources["orders"]
        for number in range(3):
            assert await rows(made, "SELECT id FROM orders WHERE id = ?", parameters=[number]) == [{"id": number}]
            seen |= set(pids(made))
        first = await made.data(source, limit=2)
        assert document(first.content)["row_count"] == 2
        page = set(pids(made)) - seen
        for offset in range(3):
            await made.data(source, limit=2, offset=offset)
        assert set(pids(made)) == seen | page, "the page shares its worker with the next one"
        return seen

    assert len(answered(stored, act)) == 1


def test_a_repeated_statement_goes_to_the_worker_that_has_its_tables(stored: Warehouse) -> None:
    async def act(made: Engine) -> list[list[int]]:
        await rows(made, "FROM orders LIMIT 1")
        (orders,) = pids(made)
        await rows(made, 'FROM "orders@1" LIMIT 1')
        (first,) = set(pids(made)) - {orders}
        used = []
        for statement in ("FROM orders LIMIT 1", 'FROM "orders@1" LIMIT 1'):
            await rows(made, statement)
            used.append([orders, first, pids(made)[-1]])
        return used

    (orders, _, used), (_, first, again) = answered(stored, act)
    assert (used in (orders, first), again) == (True, first)


def test_a_new_version_is_seen_at_once(stored: Warehouse) -> None:
    async def act(made: Engine) -> list[int]:
        seen = []
        for version in range(3, 9):
            await rows(made, "SELECT max(id) AS m FROM orders")
            publish(stored, version)
            seen.append((await rows(made, "SELECT max(id) AS m FROM orders"))[0]["m"])
        return seen

    assert answered(stored, act) == list(range(3, 9))


def publish(stored: Warehouse, version: int) -> None:
    """A version of one row, whose id is its number, with a native table."""
    folder = stored.layout.version("orders", version)
    folder.mkdir(parents=True)
    pl.DataFrame({"id": [version]}).write_parquet(folder / "part-0.parquet")
    with duckdb.connect(str(folder / "orders.duckdb")) as native:
        native.execute(f"CREATE TABLE orders AS FROM '{folder / 'part-0.parquet'}'")
    stored.sources["orders"] = TableSource(
        "orders", "orders", version, [str(folder / "part-0.parquet")], native=str(folder / "orders.duckdb"),
        native_table="orders", rows=1,
    )  # fmt: skip


def test_workers_of_an_older_version_go_when_a_new_one_is_published(stored: Warehouse) -> None:
    async def act(made: Engine) -> list[int]:
        await made.warm()
        publish(stored, 3)
        await rows(made, "FROM orders")
        assert len(pids(made)) == 1
        publish(stored, 4)
        made.follow_soon()
        while pids(made):  # noqa: ASYNC110 - a test may watch
            await asyncio.sleep(0)
        return [row["id"] for row in await rows(made, "FROM orders")]

    assert answered(stored, act) == [4]


def test_a_version_that_is_to_be_deleted_is_let_go(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        folder = stored.layout.version("orders", 2)
        await rows(made, "FROM orders LIMIT 1")
        assert pids(made)
        assert not made.reads(folder)
        assert not pids(made), "a worker that waits has its files open no longer"
        holder = await made.sql("FROM orders", format="ndjson")
        assert made.reads(folder)
        await holder.body.aclose()  # type: ignore[attr-defined]
        assert not made.reads(folder)

    answered(stored, act)


def test_a_version_is_read_while_its_query_waits_for_a_worker(stored: Warehouse) -> None:
    async def act(made: Engine) -> int:
        folder, source = stored.layout.version("orders", 2), stored.sources["orders"]
        holder = await made.sql("FROM range(3000000)", format="ndjson")
        waiting = asyncio.create_task(made.data(source, limit=2))
        await asyncio.sleep(0)
        assert made.reads(folder), "it may wait for long, and its files were checked already"
        await holder.body.aclose()  # type: ignore[attr-defined]
        assert document((await waiting).content)["row_count"] == 2
        assert not made.reads(folder)
        return len(made._waiting._present)

    assert answered(stored, act, max_concurrent=1) == 0


def test_a_version_that_was_deleted_before_its_query_is_named(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        shutil.rmtree(stored.layout.version("orders", 1))
        source = stored.sources["orders@1"]
        for asking in (
            made.data(source),
            made.data(source, format="csv"),
            made.schema(source),
            rows(made, 'FROM "orders@1"'),
        ):
            with pytest.raises(errors.Missing, match="'orders' has no version 1 any more") as raised:
                await asking
            assert raised.value.error_code == "VERSION_NOT_FOUND"
        assert (await rows(made, "SELECT count(*) AS n FROM orders"))[0]["n"] == 3000

    answered(stored, act)


def test_a_worker_that_may_read_a_deleted_version_is_not_kept(stored: Warehouse) -> None:
    async def act(made: Engine) -> list[int]:
        await rows(made, 'SELECT count(*) FROM orders, "orders@1"')
        holder = await made.sql("SELECT o.* FROM orders o, range(1000)", format="ndjson")
        assert not made.reads(stored.layout.version("orders", 1)), "its present query reads another version"
        async for _ in holder.body:
            pass
        return pids(made)

    assert answered(stored, act) == []


def test_requirement_01_callers_share_workers_only_with_those_who_may_read_the_same(stored: Warehouse) -> None:
    other = stored.layout.version("other", 1) / "part-0.parquet"
    stored.sources["other"] = TableSource("other", "other", 1, [str(other)], rows=1)

    async def act(made: Engine) -> None:
        both, orders = frozenset({"orders", "other"}), frozenset({"orders"})
        assert await rows(made, "FROM other") == [{"v": CANARY}]
        assert await rows(made, "FROM other", scope=Scope(both)) == [{"v": CANARY}]
        assert len(pids(made)) == 2
        for statement in ("FROM other", "FROM OTHER", "SELECT (SELECT v FROM other)"):
            with pytest.raises(errors.Invalid) as raised:
                await rows(made, statement, scope=Scope(orders))
            assert raised.value.error_code == "SQL_NOT_ALLOWED"
            assert CANARY not in raised.value.message
        assert [row["name"] for row in await rows(made, "SHOW TABLES", scope=Scope(orders))] == ["orders", "orders@1"]
        before = set(pids(made))
        assert (await rows(made, "SELECT count(*) AS n FROM orders", scope=Scope(orders)))[0]["n"] == 3000
        assert len(set(pids(made)) - before) == 1
        mine = next(w for w in made._pool._idle if w.child.pid not in before)
        assert {s.pipeline for s in (mine.sources or {}).values()} == {"orders"}

    answered(stored, act)


@pytest.mark.parametrize("leaving", LEAVING)
def test_requirement_01_nothing_that_a_statement_tries_to_leave_is_found_by_the_next(
    stored: Warehouse, leaving: str
) -> None:
    async def act(made: Engine) -> None:
        await rows(made, "FROM orders LIMIT 1")
        with contextlib.suppress(errors.PenstockError):
            await made.sql(leaving, limit=1)
        for finding in ("FROM left_here", "EXECUTE left_here", "SELECT getvariable('left_here')"):
            with pytest.raises(errors.Invalid):
                await made.sql(finding)
        assert (await rows(made, "SELECT count(*) AS n FROM orders"))[0]["n"] == 3000
        assert len(pids(made)) <= 4

    answered(stored, act)
    assert list(stored.layout.spill.iterdir()) == []


FAILING = [
    "SELECT nothing FROM orders",
    "SELECT id FROM orders WHERE",
    "SELECT id, FROM orders GROUP BY",
    "SELECT sum(name) FROM orders",
    "SELECT no_such_function(id) FROM orders",
    "SELECT current_setting('threads') FROM orders",
    "SELECT * FROM read_csv('/etc/passwd')",
    "DELETE FROM orders",
    "SELECT 1; SELECT 2",
    "SELECT " * 200,
    "FROM no_such_table",
    "SELECT ?",
]


def test_a_query_that_is_refused_costs_no_worker(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        await rows(made, "FROM orders LIMIT 1")
        before = pids(made)
        for statement in FAILING:
            for form in ("json", "csv"):
                with pytest.raises(errors.Invalid):
                    await made.sql(statement, format=form)
            assert pids(made) == before, statement
            assert (await rows(made, "SELECT count(*) AS n FROM orders"))[0]["n"] == 3000
        for filter_ in ("nothing = 1", "id = ", "id = (SELECT 1)"):
            with pytest.raises(errors.Invalid):
                await made.data(stored.sources["orders"], filter=filter_)

    answered(stored, act)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT error('x') FROM orders",
        "SELECT CAST(name AS INTEGER) FROM orders",
        "SELECT list_resize([1], 2000000000) FROM orders",
    ],
)
def test_a_query_that_fails_while_it_is_executed_ends_its_worker(stored: Warehouse, statement: str) -> None:
    async def act(made: Engine) -> None:
        await rows(made, "FROM orders LIMIT 1")
        before = pids(made)
        for _ in range(2):
            with pytest.raises(errors.PenstockError):
                await made.sql(statement)
            assert not set(before) & set(pids(made))

    answered(stored, act)


def test_tables_are_listed_and_described_by_kept_workers(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        await rows(made, "FROM orders LIMIT 1")
        before = pids(made)
        for statement in ("SHOW TABLES", " show /* all */ tables ; "):
            assert await rows(made, statement) == [{"name": "orders"}, {"name": "orders@1"}]
        assert len(await rows(made, "DESCRIBE orders")) == len(await rows(made, "DESCRIBE FROM orders")) == 6
        assert len(await rows(made, "SUMMARIZE orders")) == 6
        assert pids(made) == before
        assert len(await rows(made, "SELECT * FROM (SHOW TABLES) WHERE name = 'orders'")) == 1
        assert await rows(made, "SHOW TABLES", limit=1) == [{"name": "orders"}]
        assert b"orders@1" in b"".join([part async for part in (await made.sql("SHOW TABLES", format="csv")).body])

    answered(stored, act)


def test_a_client_that_goes_away_leaves_no_pending_rows(stored: Warehouse) -> None:
    async def act(made: Engine) -> list[dict[str, Any]]:
        answer = await made.sql("FROM range(100000000)", format="ndjson")
        await anext(aiter(answer.body))
        await answer.body.aclose()  # type: ignore[attr-defined]
        asked = asyncio.create_task(made.sql("SELECT count(*) FROM range(100000000000) t WHERE t.range % 7 = 3"))
        await asyncio.sleep(0.1)
        asked.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asked
        return await rows(made, "SELECT 42 AS v")

    assert answered(stored, act, max_concurrent=1) == [{"v": 42}]


def test_a_kept_worker_that_is_killed_is_replaced(stored: Warehouse) -> None:
    async def act(made: Engine) -> list[dict[str, Any]]:
        await rows(made, "FROM orders LIMIT 1")
        worker = made._pool._idle[0]
        os.kill(worker.child.pid, signal.SIGKILL)
        while not worker.child.has_ended:  # noqa: ASYNC110 - a test may watch
            await asyncio.sleep(0.01)
        return await rows(made, "SELECT id FROM orders LIMIT 1")

    assert answered(stored, act) == [{"id": 0}]


def test_there_are_never_more_workers_than_places(stored: Warehouse) -> None:
    async def act(made: Engine) -> int:
        statements = ["FROM orders LIMIT 1", 'FROM "orders@1" LIMIT 1', "SELECT 1", "SHOW TABLES"] * 4
        await asyncio.gather(*(made.sql(statement) for statement in statements))
        await asyncio.gather(*(made.sql(statement, scope=Scope(frozenset({"orders"}))) for statement in statements))
        return len(made._pool._idle) + len(made._pool._busy)

    assert answered(stored, act, max_concurrent=2) <= 2


def test_many_at_once_get_their_own_answers(stored: Warehouse) -> None:
    async def act(made: Engine) -> list[int]:
        asked = [rows(made, "SELECT id FROM orders WHERE id = ?", parameters=[number]) for number in range(64)]
        return [found[0]["id"] for found in await asyncio.gather(*asked)]

    assert answered(stored, act, max_concurrent=2) == list(range(64))


def test_a_damaged_recent_table_costs_no_other_query(stored: Warehouse) -> None:
    async def act(made: Engine) -> list[dict[str, Any]]:
        await rows(made, 'FROM "orders@1" LIMIT 1')
        gone = stored.layout.version("orders", 1) / "orders.duckdb"
        gone.unlink()
        (stored.layout.version("orders", 1) / "part-0.parquet").unlink()
        made._pool.let_go(lambda _: True)
        return await rows(made, "SELECT count(*) AS n FROM orders")

    assert answered(stored, act) == [{"n": 3000}]


def test_a_source_that_changes_is_another_source(stored: Warehouse) -> None:
    """Its native table is let go while its version stays: the next query reads the Parquet."""

    async def act(made: Engine) -> int:
        await rows(made, 'FROM "orders@1"')
        stored.sources["orders@1"] = msgspec.structs.replace(stored.sources["orders@1"], native=None)
        return len(await rows(made, 'FROM "orders@1"'))

    assert answered(stored, act) == 5
