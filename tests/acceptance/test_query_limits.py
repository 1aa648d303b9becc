"""Hostile statements against real workers: nothing leaks, nothing changes, everything ends in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.kit import errors
from service.query.answer import Answer
from service.query.engine import Engine
from service.query.pool import Group
from tests.acceptance import warehouse
from tests.acceptance.served import least
from tests.acceptance.warehouse import CANARY, Warehouse, answered, document
from tests.unit.sandbox import attacks

_DOUBLING = ", ".join(f"t{i} AS (SELECT a.* FROM t{i - 1} a, t{i - 1} b)" for i in range(1, 26))


def failure(stored: Warehouse, statement: str, seconds: float | None = None, **options: Any) -> errors.PenstockError:
    async def act(made: Engine) -> Answer:
        return await made.sql(statement, timeout_seconds=seconds)

    with pytest.raises(errors.PenstockError) as raised:
        answered(stored, act, **options)
    return raised.value


def files(stored: Warehouse) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in stored.layout.root.rglob("*") if p.is_file()}


def test_requirement_04_no_attack_leaks_or_changes_anything(stored: Warehouse) -> None:
    """A sample of every kind, each in a worker of its own; the unit tests hold the gate against all of them."""
    before = files(stored)
    chosen = [*attacks.REFUSED[::9], *attacks.UNSTORED[::3], f"FROM '{stored.layout.root}/secret.key'"]

    async def act(made: Engine) -> list[str]:
        said = []
        for statement in chosen:
            try:
                answer = await made.sql(statement)
            except errors.Invalid as error:
                said.append(msgspec.json.encode(error.as_body()).decode())
            else:
                said.append(f"PASSED {statement}: {answer.content!r}")
        return said

    for said in answered(stored, act):
        assert "PASSED" not in said
        assert CANARY not in said
        assert '"code":"SQL_NOT_ALLOWED"' in said or '"code":"INVALID_SQL"' in said
        assert '"field":"sql"' in said
    assert files(stored) == before
    assert not Path("/tmp/x.csv").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
        "SELECT count(*) FROM range(1000000000000) a WHERE a.range % 7 = 3",
    ],
    ids=["endless recursion", "long scan"],
)
def test_requirement_08_a_query_ends_at_its_deadline(stored: Warehouse, statement: str) -> None:
    error = ended_within(stored, statement, 1.5)  # 0.75 where the machine is not shared
    assert isinstance(error, errors.TimedOut)
    assert "0.5 s" in error.message


@pytest.mark.parametrize(
    "statement",
    [f"WITH t0 AS (FROM orders), {_DOUBLING} SELECT count(*) FROM t25", "SELECT " + "(" * 40_000],
    ids=["doubling CTEs", "open parentheses"],
)
def test_requirement_08_parsing_and_planning_are_bounded_too(stored: Warehouse, statement: str) -> None:
    """They eat a gigabyte in about half a second: which of the two limits they meet first depends on the machine."""
    error = ended_within(stored, statement, 1.5)
    assert isinstance(error, errors.TimedOut) or "memory" in error.message


def ended_within(stored: Warehouse, statement: str, seconds: float) -> errors.PenstockError:
    """How a statement that may take half a second ended, with a warm worker, in ``seconds``."""

    async def act(made: Engine) -> tuple[errors.PenstockError, float]:
        await made.warm()
        began = time.monotonic()
        with pytest.raises(errors.PenstockError) as raised:
            await made.sql(statement, timeout_seconds=0.5)
        return raised.value, time.monotonic() - began

    ends: list[errors.PenstockError] = []

    def took() -> float:
        error, passed = answered(stored, act)
        ends.append(error)
        return passed

    assert least(took, seconds) < seconds
    return ends[-1]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT list_resize([1], 2000000000, 0)",
        "SELECT array_to_string(range(100000000), ',')",
        "SELECT repeat('x', 2000000000)",
        "SELECT list(repeat('x', 1000) || range) FROM range(10000000)",
    ],
)
def test_requirement_09_memory_is_capped(stored: Warehouse, statement: str) -> None:
    error = failure(stored, statement)
    assert isinstance(error, errors.Invalid)
    assert error.error_code in ("QUERY_TOO_LARGE", "INVALID_SQL")
    assert str(stored.layout.root) not in error.message


def test_a_deep_statement_is_the_callers_fault(stored: Warehouse) -> None:
    assert isinstance(failure(stored, "SELECT " + "1 + " * 15_000 + "1"), errors.Invalid)


def test_requirement_10_the_scratch_folders_are_gone(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        await made.sql("SELECT * FROM range(5000000) ORDER BY hash(range) LIMIT 5 OFFSET 4000000")
        with pytest.raises(errors.TimedOut):
            await made.sql("FROM range(100000000000) ORDER BY hash(range)", timeout_seconds=0.5)

    answered(stored, act)
    assert list(stored.layout.spill.iterdir()) == []


def test_an_export_that_nobody_reads_on_ends(stored: Warehouse) -> None:
    async def act(made: Engine) -> bytes:
        answer = await made.sql("FROM range(100000000000)", format="ndjson")
        first = await anext(aiter(answer.body))
        await answer.body.aclose()  # type: ignore[attr-defined]
        assert [part async for part in answer.body] == []
        assert document((await made.sql("SELECT 1 AS a")).content)["data"] == [{"a": 1}]
        return first

    assert answered(stored, act, max_concurrent=1).startswith(b'{"range":0}\n')


def test_a_slow_export_is_ended_by_its_workers_time(stored: Warehouse) -> None:
    async def act(made: Engine) -> int:
        answer = await made.sql("FROM range(100000000000)", format="ndjson", timeout_seconds=1.0)
        first = await anext(aiter(answer.body))
        with pytest.raises(errors.TimedOut):
            await warehouse.body(answer)
        return len(first)

    assert answered(stored, act) > 10_000


def test_an_error_on_the_way_breaks_the_export_off(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        answer = await made.sql(
            "SELECT CASE WHEN range < 2000000 THEN range ELSE error('late') END AS v FROM range(2000001)",
            format="ndjson",
        )
        with pytest.raises(errors.Invalid, match="late"):
            await warehouse.body(answer)

    answered(stored, act)


def _held(act: Callable[[Engine], Awaitable[None]], stored: Warehouse, **options: Any) -> None:
    """Run ``act`` while an export holds the only place."""

    async def whole(made: Engine) -> None:
        holder = await made.sql("FROM range(100000000000)", format="ndjson")
        try:
            await act(made)
        finally:
            await holder.body.aclose()  # type: ignore[attr-defined]

    answered(stored, whole, max_concurrent=1, **options)


def test_requirement_10_too_many_queries_are_told_to_come_back(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        with pytest.raises(errors.Unavailable) as raised:
            await made.sql("SELECT 1")
        assert raised.value.retry_after > 0

    _held(act, stored, max_waiting=0)


def test_a_query_waits_for_a_place_only_so_long(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        with pytest.raises(errors.Unavailable, match="free in time"):
            await made.sql("SELECT 1")

    _held(act, stored, timeout_seconds=1.0)


def test_a_cancelled_query_gives_its_place_back(stored: Warehouse) -> None:
    async def act(made: Engine) -> dict[str, Any]:
        running = asyncio.create_task(made.sql("SELECT count(*) FROM range(1000000000000) a WHERE a.range % 7 = 3"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(running, 0.3)
        return document((await made.sql("SELECT 1 AS a")).content)

    assert answered(stored, act, max_concurrent=1)["row_count"] == 1


def test_a_worker_that_is_killed_is_an_error_and_no_more(stored: Warehouse) -> None:
    async def act(made: Engine) -> dict[str, Any]:
        taken = await made._pool.take(Group(), None)
        taken.child.kill()
        made._pool.finish(taken)
        made._pool.finish(taken)
        return document((await made.sql("SELECT 2 AS a")).content)

    assert answered(stored, act, max_concurrent=1)["data"] == [{"a": 2}]


def test_memory_does_not_grow_with_an_export(stored: Warehouse) -> None:
    """Twice the memory limit passes through a worker, in wide rows."""

    async def act(made: Engine) -> int:
        size = 0
        answer = await made.sql("SELECT repeat('x', 1000) AS v FROM range(1200000)", format="ndjson")
        async for part in answer.body:
            size += len(part)
        return size

    assert answered(stored, act) == 1_200_000 * len('{"v":""}\n') + 1_200_000_000


def test_a_stopping_engine_takes_no_query(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        await made.close()
        with pytest.raises(errors.Unavailable, match="stopping"):
            await made.sql("SELECT 1")

    answered(stored, act)


@pytest.mark.parametrize("allowed", [False, True])
def test_requirement_12_without_landlock_sql_is_the_operators_choice(stored: Warehouse, allowed: bool) -> None:
    async def act(made: Engine) -> tuple[int, Any]:
        rows = document((await made.data(stored.sources["orders"], limit=1)).content)["row_count"]
        if not allowed:
            with pytest.raises(errors.Forbidden, match="Landlock"):
                await made.sql("SELECT 1 AS a")
            return rows, None
        return rows, document((await made.sql("SELECT 1 AS a")).content)["data"]

    assert answered(stored, act, level=0, allow_unconfined=allowed) == (1, [{"a": 1}] if allowed else None)


def test_a_worker_that_was_killed_while_it_waited_is_replaced(stored: Warehouse) -> None:
    async def act(made: Engine) -> Answer:
        await made.warm()
        spare = made._pool._spare
        assert spare is not None
        (await spare).child.kill()
        while not (await spare).child.has_ended:  # noqa: ASYNC110 - a test may watch
            await asyncio.sleep(0.01)
        return await made.sql("SELECT 42 AS x")

    assert document(answered(stored, act).content)["data"] == [{"x": 42}]
