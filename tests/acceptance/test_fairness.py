"""Nobody can take the service from others: not with heavy queries, not by reading slowly, not by going away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.kit import caller, errors
from service.query import spool
from service.query.answer import Answer
from service.query.engine import Engine
from tests.acceptance.served import PATIENCE
from tests.acceptance.warehouse import Warehouse, answered, body, document

HEAVY = "SELECT count(*) AS n FROM range(100000000000) a WHERE a.range % 7 = 3"
ENDLESS = "SELECT range AS n, repeat('x', 1000) AS text FROM range(100000000000)"
LONG = "SELECT range AS n, repeat('x', 1000) AS text FROM range(40000)"


async def asked(made: Engine, who: str, statement: str, **options: Any) -> Answer:
    with caller.asking(who):
        return await made.sql(statement, **options)


async def number(made: Engine, who: str) -> int:
    found: int = document((await asked(made, who, "SELECT 7 AS n")).content)["data"][0]["n"]
    return found


def test_heavy_queries_of_one_user_leave_places_for_others(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        greedy = [asyncio.create_task(asked(made, "ann", HEAVY)) for _ in range(60)]
        await asyncio.sleep(0)
        assert [await number(made, who) for who in ("bob", "eve", "bob")] == [7, 7, 7]
        assert made._pool._places.taken == 2
        for task in greedy:
            task.cancel()
        ends = await asyncio.gather(*greedy, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends)
        assert made._pool._places.taken == 0
        assert await number(made, "ann") == 7

    answered(stored, act, max_concurrent=4, user_share=0.5)


@pytest.mark.slow
def test_streams_leave_places_for_small_answers(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        streams = [await asked(made, who, ENDLESS, format="ndjson") for who in ("ann", "bob")]
        with pytest.raises(errors.Unavailable, match="no place for queries"):
            await asked(made, "eve", ENDLESS, format="ndjson")
        assert await number(made, "eve") == 7
        for answer in streams:
            await answer.body.aclose()  # type: ignore[attr-defined]

    answered(stored, act, max_concurrent=4, timeout_seconds=3.0, spool_bytes=0)


async def _ready(readers: list[AsyncIterator[bytes]]) -> list[bytes]:
    return [await anext(reader) for reader in readers]


def test_slow_readers_hold_no_worker(stored: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reads one part and then nothing; what the worker makes waits on disk, and is whole when it is read."""
    monkeypatch.setattr(spool, "_PATIENCE", 0.05)

    async def act(made: Engine) -> None:
        answers = [await asked(made, f"reader {n}", LONG, format="ndjson") for n in range(4)]
        first = await _ready([aiter(answer.body) for answer in answers])
        async with asyncio.timeout(PATIENCE):
            while made._pool._places.taken:  # noqa: ASYNC110 - a test may watch
                await asyncio.sleep(0.02)
        assert await number(made, "eve") == 7
        rest = [await body(answer) for answer in answers]
        texts = {begin + end for begin, end in zip(first, rest, strict=True)}
        (text,) = texts
        lines = text.splitlines()
        assert (len(lines), lines[-1][:11]) == (40_000, b'{"n":39999,')
        assert made._streams._places.taken == 0

    answered(stored, act, max_concurrent=2)
    assert not list(stored.layout.spill.iterdir())


def test_the_time_of_a_stream_counts_its_reader(stored: Warehouse) -> None:
    async def act(made: Engine) -> None:
        answer = await asked(made, "ann", LONG, format="ndjson")
        assert await anext(aiter(answer.body))
        while made._streams._places.taken:  # noqa: ASYNC110 - its time is over, though nobody asks for more
            await asyncio.sleep(0.02)
        assert made._pool._places.taken == 0
        with pytest.raises(errors.TimedOut, match=r"within 0\.5 s"):
            await body(answer)

    answered(stored, act, stream_seconds=0.5, spool_bytes=0)


def test_downloads_of_one_user_leave_room_for_others(stored: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.query.engine._MOST_STREAMS", 2)
    monkeypatch.setattr(spool, "_PATIENCE", 0.05)

    async def act(made: Engine) -> None:
        mine = await asked(made, "ann", LONG, format="csv")
        with pytest.raises(errors.Unavailable, match="no place for downloads"):
            await asked(made, "ann", LONG, format="csv")
        other = await asked(made, "bob", LONG, format="csv")
        assert len(await body(mine)) == len(await body(other)) > 40_000_000

    answered(stored, act, timeout_seconds=3.0, user_share=0.5)


def test_a_pipe_that_is_none_is_an_error(stored: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was taken over may put anything into its folder."""

    def no_pipe(*_: object) -> Any:
        raise OSError("the child did not make a pipe")

    monkeypatch.setattr("service.query.engine.Pipe", no_pipe)

    async def act(made: Engine) -> None:
        with pytest.raises(OSError, match="did not make a pipe"):
            await asked(made, "ann", LONG, format="csv")
        assert (made._pool._places.taken, made._streams._places.taken) == (0, 0)

    answered(stored, act)
