"""The first read of a version: it does not wait for parts that it does not need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any, cast

import pytest

from service.kit import errors
from service.kit.clock import FixedClock
from service.model.version import Column, Version
from service.query.answer import Answer
from service.query.first_read import FirstRead, parts_of
from service.query.scope import Scope
from service.query.sources import Sources
from service.sandbox.source import TableSource
from service.steps.storage import File

VERSION = Version(
    pipeline="shop", version=1, run_id="run_1", revision=1, table="shop", rows=30, bytes=30,
    columns=[Column("a", "Int64")], sources=[], created=FixedClock().now(),
    files=[File(f"part-{n:05d}.parquet", 10, 10, f"{n}", key=f"k{n}") for n in range(3)],
)  # fmt: skip


class Coming:
    """What ``Sources`` needs of the integrity: parts that come when a test says so."""

    def __init__(self) -> None:
        self.cache = object()
        self.parts: list[Future[None]] = [Future() for _ in VERSION.files]
        self.required: list[str] = []

    def is_intact(self, _: Version) -> bool:
        return False

    def has(self, _: Version, files: list[File]) -> bool:
        return all(self.parts[int(file.sha256)].done() for file in files)

    def begin_each(self, _: Version, files: list[File]) -> list[Future[None] | None]:
        parts = [self.parts[int(file.sha256)] for file in files]
        return [None if part.done() and part.exception() is None else part for part in parts]

    async def arrival(self, coming: Any) -> None:
        await asyncio.gather(*map(asyncio.wrap_future, coming))

    def require(self, _: Version, files: list[File]) -> None:
        assert self.has(_, files)
        self.required += [file.name for file in files]


class Engine:
    """Answers a line for each part."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, dict[str, Any]]] = []
        self.closed = 0

    async def data(self, source: TableSource, *, limit: int | None = None, **options: Any) -> Answer:
        self.asked.append((len(source.parts), {"limit": limit, **options}))
        head = "a\n" if options["format"] == "csv" else ""
        texts = [head] + [part.rpartition("/")[2][9:10] + "\n" for part in source.parts if limit != 0]
        return Answer("text/csv", self._body(texts))

    async def _body(self, texts: list[str]) -> AsyncIterator[bytes]:
        try:
            for text in texts:
                yield text.encode()
        finally:
            self.closed += 1


class Reading:
    def __init__(self) -> None:
        self.coming, self.engine = Coming(), Engine()
        sources = Sources(cast(Any, None), cast(Any, self.coming), cast(Any, None))
        self._read = FirstRead(sources, cast(Any, self.engine))

    async def data(self, **options: Any) -> Answer | None:
        usual = {"filter": None, "sort": None, "limit": None, "offset": 0, "format": "json"}
        return await self._read.data(VERSION, **{**usual, **options})


@pytest.fixture
def reading() -> Reading:
    return Reading()


@pytest.mark.parametrize(("rows", "parts"), [(0, 1), (1, 1), (10, 1), (11, 2), (30, 3), (31, 3)])
def test_rows_need_the_parts_up_to_theirs(rows: int, parts: int) -> None:
    assert parts_of(VERSION, rows) == parts


def test_a_page_waits_for_its_parts_alone(reading: Reading) -> None:
    async def scenario() -> None:
        asked = asyncio.create_task(reading.data(limit=5, offset=8))
        reading.coming.parts[0].set_result(None)
        await asyncio.sleep(0)
        reading.coming.parts[1].set_result(None)
        assert await asyncio.wait_for(asked, 10) is not None
        parts, options = reading.engine.asked[0]
        assert (parts, options["limit"], options["offset"]) == (2, 5, 8)
        assert reading.coming.required == ["part-00000.parquet", "part-00001.parquet"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "options",
    [
        {"filter": "a > 1"},
        {"sort": "a"},
        {"limit": 21},
        {"format": "arrow"},
        {"scope": Scope(row_filters=(("shop", "a"),))},
    ],
)
def test_what_needs_all_parts_is_read_as_always(reading: Reading, options: dict[str, Any]) -> None:
    async def scenario() -> None:
        assert await asyncio.wait_for(reading.data(**options), 10) is None

    asyncio.run(scenario())


def test_a_version_that_is_here_is_read_as_always(reading: Reading) -> None:
    for part in reading.coming.parts:
        part.set_result(None)
    assert asyncio.run(reading.data(limit=1)) is None


@pytest.mark.parametrize(("form", "expected"), [("csv", "a\n0\n1\n2\n"), ("ndjson", "0\n1\n2\n")])
def test_a_stream_begins_with_the_first_part(reading: Reading, form: str, expected: str) -> None:
    async def scenario() -> None:
        reading.coming.parts[0].set_result(None)
        answer = await asyncio.wait_for(reading.data(format=form), 10)
        assert answer is not None
        text = ""
        async for piece in answer.body:
            text += piece.decode()
            if text.endswith("0\n"):
                reading.coming.parts[1].set_result(None)
            if text.endswith("1\n"):
                reading.coming.parts[2].set_result(None)
        assert text == expected
        assert [parts for parts, options in reading.engine.asked if options["limit"] is None] == [1, 1, 1]
        assert reading.engine.closed == len(reading.engine.asked)

    asyncio.run(scenario())


def test_a_part_that_does_not_come_breaks_the_stream(reading: Reading) -> None:
    async def scenario() -> None:
        reading.coming.parts[0].set_result(None)
        answer = await reading.data(format="ndjson")
        assert answer is not None
        reading.coming.parts[1].set_exception(errors.Unavailable("down", code="STORE_UNAVAILABLE"))
        with pytest.raises(errors.Unavailable):
            assert [piece async for piece in answer.body]

    asyncio.run(scenario())


def test_a_reader_that_leaves_ends_the_worker(reading: Reading) -> None:
    async def scenario() -> None:
        reading.coming.parts[0].set_result(None)
        answer = await reading.data(format="ndjson")
        assert answer is not None
        body = cast(Any, answer.body)
        await anext(body)
        await body.aclose()
        assert reading.engine.closed == 1

    asyncio.run(scenario())
