"""Answers over versions are given again without a worker, and only where they are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.kit import errors
from service.query.engine import Engine
from service.query.scope import Scope
from tests.acceptance.warehouse import Warehouse, answered, build, document

MIB = 1 << 20


@pytest.fixture
def stored(tmp_path: Path) -> Warehouse:
    return build(tmp_path / "data")


def works(made: Engine) -> list[int]:
    """The times that the pool gave a worker; the list grows with each."""
    times: list[int] = []
    take = made._pool.take

    async def counted(*given: Any, **options: Any) -> Any:
        times.append(1)
        return await take(*given, **options)

    made._pool.take = counted  # type: ignore[method-assign]
    return times


def test_a_repeated_query_needs_no_worker(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        times = works(made)
        statement, page = "SELECT name FROM orders WHERE id = ?", {"limit": 3, "offset": 5}
        found = [document((await made.sql(statement, parameters=[7])).content) for _ in range(4)]
        assert [answer["data"] for answer in found] == [[{"name": "n7"}]] * 4
        assert {frozenset(answer) for answer in found} == {frozenset(found[0])}
        pages = [(await made.data(stored.sources["orders"], **page)).content for _ in range(3)]  # type: ignore[arg-type]
        assert len(set(pages)) == 1
        assert len(times) <= 3, "the first time tells which tables the statement names"
        assert document((await made.sql(statement, parameters=[8])).content)["data"] == [{"name": "n8"}]
        assert len(times) <= 4

    answered(stored, act, cache_bytes=16 * MIB)


def test_what_depends_on_time_or_chance_is_asked_each_time(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        for statement in ("SELECT random() AS v FROM orders LIMIT 1", 'SELECT uuid() AS v, "id" FROM orders LIMIT 1'):
            found = [document((await made.sql(statement)).content)["data"][0]["v"] for _ in range(4)]
            assert len(set(found)) == 4
        times = works(made)
        for _ in range(3):
            await made.sql("SELECT * FROM orders USING SAMPLE 3")
            await made.sql("SHOW TABLES")
            await made.data(stored.sources["orders"], filter="moment < now()", limit=1)
        assert len(times) == 9

    answered(stored, act, cache_bytes=16 * MIB)


def test_another_version_or_another_run_has_other_answers(stored: Warehouse) -> None:
    async def act(made: Engine) -> list[int]:
        seen = []
        for changes in ({}, {"parts": [stored.sources["orders"].parts[0]]}, {"run": "another"}):
            stored.sources["orders"] = msgspec.structs.replace(stored.sources["orders"], **changes)
            for _ in range(3):
                answer = await made.sql("SELECT count(*) AS n FROM orders")
            seen.append(document(answer.content)["data"][0]["n"])
        times = works(made)
        await made.sql("SELECT count(*) AS n FROM orders")
        assert not times
        return seen

    assert answered(stored, act, cache_bytes=16 * MIB) == [3000, 2000, 2000]


def test_a_caller_gets_no_answer_of_one_who_may_read_more(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        for _ in range(3):
            await made.sql("SELECT max(id) FROM orders")
        with pytest.raises(errors.Invalid):
            await made.sql("SELECT max(id) FROM orders", scope=Scope(frozenset({"other"})))

    answered(stored, act, cache_bytes=16 * MIB)


def test_answers_of_a_version_that_is_deleted_are_dropped(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        for _ in range(3):
            await made.data(stored.sources["orders"], limit=1)
        assert made._results._kept
        assert not made.reads(stored.layout.version("orders", 2))
        assert not made._results._kept

    answered(stored, act, cache_bytes=16 * MIB)
