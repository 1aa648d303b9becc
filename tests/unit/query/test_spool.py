"""A spool keeps the parts of an answer in order, in memory and on disk, within its bounds."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from service.kit import errors
from service.query import spool
from service.query.spool import Spool, SpoolDisk

MIB = 1 << 20
SEGMENT = 64 * MIB


def run(space: SpoolDisk, act: Callable[[Spool], Awaitable[None]]) -> None:
    async def whole() -> None:
        queue = Spool(space, "ann")
        async with asyncio.timeout(10):
            await act(queue)
            await queue.close()

    asyncio.run(whole())
    assert not list(space.folder.iterdir())
    assert space.take("ann", space._each)  # all was given back


def part(number: int) -> bytes:
    return number.to_bytes(4, "big") * (MIB // 4)


async def read(queue: Spool) -> list[int]:
    found = []
    while (got := await queue.get()) is not None:
        assert got == part(got[3])
        found.append(got[3])
    return found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_PATIENCE", 0.0)
    monkeypatch.setattr(spool, "_SEGMENT_BYTES", 4 * MIB)


def test_a_client_that_keeps_up_needs_no_disk(tmp_path: Path) -> None:
    async def act(queue: Spool) -> None:
        reading = asyncio.create_task(read(queue))
        for number in range(20):
            await queue.put(part(number))
        queue.end()
        assert await reading == list(range(20))

    run(SpoolDisk(tmp_path, 0, 0), act)


@pytest.mark.usefixtures("impatient")
def test_parts_of_a_slow_client_wait_on_disk_in_order(tmp_path: Path) -> None:
    async def act(queue: Spool) -> None:
        for number in range(15):
            await queue.put(part(number))
        assert len(queue._segments) == 4
        got = [await queue.get() for _ in range(9)]
        assert [found[3] for found in got if found] == list(range(9))
        for number in range(15, 20):
            await queue.put(part(number))
        queue.end(errors.Invalid("late"))
        for number in range(9, 20):
            assert await queue.get() == part(number)
        with pytest.raises(errors.Invalid, match="late"):
            await queue.get()

    run(SpoolDisk(tmp_path, SEGMENT, SEGMENT), act)


@pytest.mark.usefixtures("impatient")
def test_the_writer_waits_when_the_disk_of_spools_is_used_up(tmp_path: Path) -> None:
    async def act(queue: Spool) -> None:
        async def write() -> None:
            for number in range(30):
                await queue.put(part(number))
            queue.end()

        writing = asyncio.create_task(write())
        await asyncio.wait([writing], timeout=0.2)
        assert not writing.done()
        assert len(queue._segments) == 2
        assert await read(queue) == list(range(30))
        await writing

    run(SpoolDisk(tmp_path, 16 * MIB, 8 * MIB), act)


@pytest.mark.usefixtures("impatient")
def test_a_client_who_hardly_reads_while_a_worker_waits_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_WINDOW_SECONDS", 0.05)

    async def act(queue: Spool) -> None:
        await queue.put(part(0))
        await queue.put(part(1))
        with pytest.raises(errors.TimedOut, match="less than 64 KiB a second"):
            await queue.put(part(2))

    run(SpoolDisk(tmp_path, 0, 0), act)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fitting", [0, 1, 3])
def test_a_worker_waits_for_its_client_while_the_disk_is_full(
    fitting: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file has room for a few parts or none; nothing is lost, whoever is faster."""
    append, tried = spool._Segment.append, threading.Event()

    def full(segment: spool._Segment, part: bytes) -> None:
        if segment.written >= fitting * MIB:
            tried.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        append(segment, part)

    monkeypatch.setattr(spool._Segment, "append", full)

    async def act(queue: Spool) -> None:
        async def write() -> None:
            for number in range(20):
                await queue.put(part(number))
            queue.end()

        writing = asyncio.create_task(write())
        await asyncio.to_thread(tried.wait)
        assert await read(queue) == list(range(20))
        await writing

    run(SpoolDisk(tmp_path, SEGMENT, SEGMENT), act)


@pytest.mark.usefixtures("impatient")
def test_a_disk_that_takes_no_file_is_a_full_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool._Segment, "__init__", full)

    async def act(queue: Spool) -> None:
        writing = asyncio.gather(*(queue.put(part(number)) for number in range(3)))
        assert [await queue.get() for _ in range(3)] == [part(number) for number in range(3)]
        await writing

    run(SpoolDisk(tmp_path, SEGMENT, SEGMENT), act)


@pytest.mark.usefixtures("impatient")
def test_the_disk_is_shared_by_callers(tmp_path: Path) -> None:
    space = SpoolDisk(tmp_path, 3, 2)
    assert space.take("ann", 2)
    assert not space.take("ann", 1)
    assert space.take("bob", 1)
    assert not space.take("eve", 1)
    space.give("ann", 2)
    assert space.take("eve", 1)
