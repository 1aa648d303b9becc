"""Spares are confined when they get their order, used once, replaced, and leave nobody behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from service.processes import forkserver, landlock
from service.processes.child import Child
from service.processes.limits import Limits
from service.processes.spares import Spares
from tests.acceptance.served import children_of
from tests.unit.processes import entries

LIMITS = Limits(memory_bytes=1 << 30)
_PATIENCE = 30


@pytest.fixture(scope="module", autouse=True)
def prepared() -> None:
    forkserver.prepare(["polars", "duckdb"])


def with_spares(act: Callable[[Spares], Awaitable[None]]) -> None:
    """Run ``act`` with two spares, and check that none is left afterwards."""

    async def bounded() -> None:
        async with asyncio.timeout(_PATIENCE):
            spares = Spares()
            await spares.fill(2)
            assert len(pids(spares)) == 2
            try:
                await act(spares)
            finally:
                await spares.close()
            assert not pids(spares)

    asyncio.run(without_spares())  # the forkserver is up
    before = set(children_of(os.getpid()))
    asyncio.run(bounded())
    deadline = time.monotonic() + _PATIENCE
    while left := set(children_of(os.getpid())) - before - {forkserver.pid()}:
        assert time.monotonic() < deadline, left


def pids(spares: Spares) -> list[int]:
    return [child.pid for child in spares._waiting]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


async def without_spares() -> None:
    spares = Spares()
    child = await spares.start(entries.echo, b"hello", LIMITS)
    assert await echoed(child)
    assert not pids(spares)
    await spares.close()


async def replaced(spares: Spares, lost: set[int]) -> None:
    while len(pids(spares)) < 2 or set(pids(spares)) & lost:  # noqa: ASYNC110 - they are replaced without being asked
        await asyncio.sleep(0.01)


async def echoed(child: Child) -> bool:
    answer = await child.receive()
    return answer == b"hello" and (await child.wait()).ok


def test_a_spare_is_used_once_and_replaced() -> None:
    async def act(spares: Spares) -> None:
        used: set[int] = set()
        for _ in range(3):
            before = set(pids(spares))
            child = await spares.start(entries.echo, b"hello", LIMITS)
            assert child.pid in before - used
            used.add(child.pid)
            assert await echoed(child)
            await spares.fill(2)
            assert len(pids(spares)) == 2
            assert not used & set(pids(spares))

    with_spares(act)


def test_more_starts_than_spares() -> None:
    async def act(spares: Spares) -> None:
        children = await asyncio.gather(*(spares.start(entries.echo, b"hello", LIMITS) for _ in range(6)))
        assert len({child.pid for child in children}) == 6
        assert all([await echoed(child) for child in children])

    with_spares(act)


def test_requirement_02_a_spare_that_waits_has_one_thread() -> None:
    """Landlock confines the thread that applies it and those that it starts, so no other may exist."""

    async def act(spares: Spares) -> None:
        assert [threads(pid) for pid in pids(spares)] == [1, 1]

    with_spares(act)


def test_a_spare_is_confined_by_the_limits_of_its_order(tmp_path: Path) -> None:
    given = tmp_path / "given.txt"
    given.write_text("x")

    async def act(spares: Spares) -> None:
        before = pids(spares)
        for limits, expected in (
            (Limits(memory_bytes=1 << 30, read=(str(given),)), "allowed"),
            (LIMITS, "PermissionError" if landlock.abi() else "allowed"),
        ):
            child = await spares.start(entries.look, str(given).encode(), limits)
            assert child.pid in before
            seen = msgspec.json.decode(await child.receive() or b"{}", type=dict[str, str])
            assert (seen["given file"], seen["environment"]) == (expected, "0")
            if landlock.abi() >= 6:
                assert {seen["read /etc/passwd"], seen["connect"], seen["signal parent"]} == {"PermissionError"}
            await child.wait()

    with_spares(act)


def test_the_memory_of_a_spare_is_bounded_by_its_order() -> None:
    async def act(spares: Spares) -> None:
        child = await spares.start(entries.bomb, b"", LIMITS)
        assert await child.receive() == b"MemoryError"
        await child.wait()

    with_spares(act)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_spares_that_are_killed_or_stopped_are_not_used(number: signal.Signals) -> None:
    async def act(spares: Spares) -> None:
        lost = set(pids(spares))
        for pid in lost:
            os.kill(pid, number)
        child = await spares.start(entries.echo, b"hello", LIMITS)
        assert child.pid not in lost
        assert await echoed(child)
        await replaced(spares, lost)

    with_spares(act)


def test_spares_that_die_while_nobody_looks_are_replaced() -> None:
    async def act(spares: Spares) -> None:
        lost = set(pids(spares))
        for pid in lost:
            os.kill(pid, signal.SIGKILL)
        await replaced(spares, lost)
        child = await spares.start(entries.echo, b"hello", LIMITS)
        assert await echoed(child)

    with_spares(act)


def test_spares_of_a_forkserver_that_was_killed() -> None:
    async def act(spares: Spares) -> None:
        number, waiting = forkserver.pid(), pids(spares)
        assert number is not None
        os.kill(number, signal.SIGKILL)
        # One that begins before its end reaches it would be lost, as a worker is that has begun.
        while any(is_alive(pid) for pid in waiting):  # noqa: ASYNC110 - they are not our children
            await asyncio.sleep(0.01)
        child = await spares.start(entries.echo, b"hello", LIMITS)
        assert await echoed(child)
        assert forkserver.pid() != number

    with_spares(act)


def test_a_start_that_is_cancelled_leaves_nobody() -> None:
    """Whenever it is; ``with_spares`` counts those that are left."""

    async def act(spares: Spares) -> None:
        for microseconds in range(0, 3000, 300):
            starting = asyncio.create_task(spares.start(entries.forever, b"x", LIMITS))
            await asyncio.wait([starting], timeout=microseconds / 1e6)
            if starting.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await starting
            else:
                starting.result().kill()
                await starting.result().wait()

    with_spares(act)


def test_without_a_fill_there_are_no_spares() -> None:
    asyncio.run(without_spares())
