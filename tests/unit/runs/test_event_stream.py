"""Followers of a run: each gets every event once and in order, from memory or from the journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from service.files.event_journal import Event, EventJournal, EventKind
from service.runs.event_stream import EventStream, replay

LONG = 60.0
ENDING: list[tuple[EventKind, bytes]] = [("status", b'{"status":"interrupted"}'), ("end", b'{"status":"interrupted"}')]


async def ids(batches: AsyncGenerator[Sequence[Event], None]) -> list[int]:
    return [event.id async for batch in batches for event in batch]


def test_a_slow_follower_is_caught_up_from_the_file(tmp_path: Path) -> None:
    async def work() -> None:
        stream = EventStream(EventJournal(tmp_path / "run.ndjson"))
        stream.emit("status", b"{}")
        slow = stream.follow(0, LONG)
        assert [event.id for event in await anext(slow)] == [1]
        for _ in range(3000):  # far more than memory keeps
            stream.emit("log", b'{"text":"%s"}' % (b"x" * 100))
        stream.emit("end", b"{}")
        assert await ids(slow) == list(range(2, 3003))
        assert stream.followers == 0

    asyncio.run(work())


def test_memory_keeps_only_the_newest(tmp_path: Path) -> None:
    async def work() -> None:
        stream = EventStream(EventJournal(tmp_path / "run.ndjson"))
        for _ in range(50):
            stream.emit("log", b"x" * 100_000)
        assert sum(len(event.data) for event in stream._newest) <= 256 * 1024
        stream.emit("end", b"{}")
        stream.close()
        assert not stream._newest
        assert await ids(stream.follow(49, LONG)) == [50, 51]

    asyncio.run(work())


def test_all_followers_get_all_events(tmp_path: Path) -> None:
    async def work() -> None:
        stream = EventStream(EventJournal(tmp_path / "run.ndjson"))
        following = [asyncio.create_task(ids(stream.follow(after % 3, LONG))) for after in range(60)]
        for number in range(200):
            stream.emit("log", b'{"n":%d}' % number)
            if number % 20 == 0:
                await asyncio.sleep(0)
        stream.emit("end", b"{}")
        async with asyncio.timeout(20):
            for after, found in enumerate(await asyncio.gather(*following)):
                assert found in ([*range(1 + after % 3, 202)], [*range(1, 202)])  # no event had that id yet

    asyncio.run(work())


def test_a_follower_that_goes_away_leaves_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        stream = EventStream(EventJournal(tmp_path / "run.ndjson"))
        stream.emit("status", b"{}")
        following = [asyncio.create_task(ids(stream.follow(1, LONG))) for _ in range(10)]
        await asyncio.sleep(0)
        assert stream.followers == 10
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        assert stream.followers == 0
        assert not stream._changed._waiters

    asyncio.run(work())


def test_quiet_times_and_the_end_of_the_process(tmp_path: Path) -> None:
    async def work() -> None:
        stream = EventStream(EventJournal(tmp_path / "run.ndjson"))
        stream.emit("status", b"{}")
        following = stream.follow(0, 0.001)
        assert [event.id for event in await anext(following)] == [1]
        assert await anext(following) == ()
        stream.suspend()
        assert [batch async for batch in following if batch] == []

    asyncio.run(work())


@pytest.mark.parametrize("written", [True, False])
def test_the_journal_of_a_dead_service_gets_its_end(tmp_path: Path, written: bool) -> None:
    path = tmp_path / ("run.ndjson" if written else "missing/run.ndjson")
    if written:
        journal = EventJournal(path)
        for kind in ("status", "log", "progress"):
            journal.append(kind, b"{}")

    async def work() -> None:
        last = 5 if written else 2
        assert await ids(replay(path, 0, ENDING)) == list(range(1, last + 1))
        assert await ids(replay(path, last - 1, ENDING)) == [last]
        assert await ids(replay(path, last, ENDING)) == []
        assert await ids(replay(path, 99, ENDING)) == list(range(1, last + 1))
        assert path.exists() == written

    asyncio.run(work())


def test_what_was_logged_after_the_end_is_not_replayed(tmp_path: Path) -> None:
    journal = EventJournal(tmp_path / "run.ndjson")
    for kind in ("status", "end", "log"):
        journal.append(kind, b"{}")

    async def work() -> None:
        assert await ids(replay(tmp_path / "run.ndjson", 0, ENDING)) == [1, 2]
        assert await ids(replay(tmp_path / "run.ndjson", 2, ENDING)) == []
        assert await ids(replay(tmp_path / "run.ndjson", 3, ENDING)) == []

    asyncio.run(work())
