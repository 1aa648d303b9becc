"""A child does its work, keeps to its limits, and can only harm itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import duckdb
import msgspec
import polars as pl
import pytest

from service.kit import errors
from service.processes import child, forkserver, landlock
from service.processes.child import Child, Exit
from service.processes.limits import Limits
from tests.acceptance.served import children_of
from tests.unit.processes import entries

T = TypeVar("T")
LIMITS = Limits(memory_bytes=1 << 30)


@pytest.fixture(scope="module", autouse=True)
def prepared() -> None:
    forkserver.prepare(["polars", "duckdb"])


def run(act: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(30):
            return await act()

    return asyncio.run(bounded())


def finish(entry: child.Entry, order: bytes = b"x", limits: Limits = LIMITS) -> tuple[bytes | None, Exit]:
    async def act() -> tuple[bytes | None, Exit]:
        started = await Child.start(entry, order, limits)
        return await started.receive(), await started.wait()

    return run(act)


def test_answers_and_ends_well() -> None:
    assert finish(entries.echo, b"hello") == (b"hello", Exit(0))


def test_large_messages_arrive_whole() -> None:
    order = os.urandom(5_000_000)
    assert finish(entries.echo, order)[0] == order


def test_waits_for_its_order_and_converses() -> None:
    async def act() -> list[bytes | None]:
        started = await Child.start(entries.converse, None, LIMITS)
        await started.send(b"first")
        answers = [await started.receive()]
        await started.send(b"abc")
        answers.append(await started.receive())
        started.kill()
        await started.wait()
        return answers

    assert run(act) == [b"first", b"cba"]


def test_an_exception_is_not_success() -> None:
    message, end = finish(entries.raises)
    assert message is None
    assert not end.ok


def test_a_crash_is_named_by_its_signal() -> None:
    _, end = finish(entries.segv)
    assert end.signal is signal.SIGSEGV
    assert str(end) == "SIGSEGV"


def test_memory_is_bounded() -> None:
    assert finish(entries.bomb)[0] == b"MemoryError"


def test_what_is_given_back_does_not_count() -> None:
    held, kept = map(int, (finish(entries.release)[0] or b"").split())
    assert held >= 256
    assert kept < 64


def test_a_forkserver_without_the_modules_is_replaced() -> None:
    running = forkserver.pid()
    forkserver.prepare(["duckdb", "polars"])
    assert forkserver.pid() == running
    forkserver.prepare(["polars", "duckdb", "decimal"])
    assert forkserver.pid() != running
    assert finish(entries.echo, b"hello") == (b"hello", Exit(0))


def test_both_engines_work_inside_the_limits() -> None:
    assert finish(entries.work)[0] == b"499500 499500"


def test_an_endless_loop_ends_by_kill() -> None:
    async def act() -> Exit:
        started = await Child.start(entries.forever, b"x", LIMITS)
        await started.receive()
        started.kill()
        return await started.wait()

    assert run(act).signal is signal.SIGKILL


@pytest.mark.parametrize("count", [16, pytest.param(400, marks=pytest.mark.slow)])
def test_requirement_14_children_of_the_forkserver_never_hang(count: int) -> None:
    """They use both engines, or crash, while this process has used both, too: it is never the one that is forked."""
    assert pl.LazyFrame({"a": range(1000)}).sum().collect(engine="streaming").item() == 499_500
    assert duckdb.execute("SELECT sum(range) FROM range(1000)").fetchall() == [(499_500,)]
    few = asyncio.Semaphore(16)

    async def one(number: int) -> tuple[bytes | None, int]:
        async with few:
            started = await Child.start(entries.work if number % 2 else entries.segv, b"x", LIMITS)
            message, parent = await started.receive(), parent_of(started.pid)
            await started.wait()
            return message, parent

    async def act() -> list[tuple[bytes | None, int]]:
        return list(await asyncio.gather(*(one(n) for n in range(count))))

    found = asyncio.run(act())
    assert [message for message, _ in found] == [b"x", b"499500 499500"] * (count // 2)
    assert {parent for _, parent in found} - {0} == {forkserver.pid()}
    assert os.getpid() != forkserver.pid()


def parent_of(pid: int) -> int:
    """0 where the process has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def test_requirement_16_a_child_dies_with_its_parent_is_killed_first_and_leaves_no_core() -> None:
    async def act() -> bytes | None:
        started = await Child.start(entries.describe, b"x", LIMITS)
        told = await started.receive()
        started.kill()
        await started.wait()
        return told

    assert msgspec.json.decode(run(act) or b"") == {"death": signal.SIGKILL, "oom": 1000, "core": 0}


def test_a_start_that_is_cancelled_leaves_nobody() -> None:
    """Whenever it is: before the fork, while it is on its way, when the order has been sent."""

    finish(entries.echo)  # the forkserver is up
    before = set(children_of(os.getpid()))

    async def act() -> None:
        for milliseconds in range(0, 40, 2):
            starting = asyncio.create_task(Child.start(entries.forever, b"x", LIMITS))
            await asyncio.wait([starting], timeout=milliseconds / 1000)
            if starting.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await starting
            else:
                starting.result().kill()
                await starting.result().wait()

    run(act)
    deadline = time.monotonic() + 60
    while left := set(children_of(os.getpid())) - before:
        assert time.monotonic() < deadline, left


def test_a_child_that_is_killed_before_it_begins_is_a_start_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = Child.fork

    async def killed() -> Child:
        made = await fork()
        made.kill()
        await made.wait()
        return made

    async def act() -> None:
        with pytest.raises(errors.Unavailable, match="before it began"):
            await Child.start(entries.echo, b"x" * (8 << 20), LIMITS)

    monkeypatch.setattr(Child, "fork", killed)
    run(act)


def test_requirement_02_a_child_sees_only_what_it_was_given(tmp_path: Path) -> None:
    given = tmp_path / "given.txt"
    given.write_text("x")
    message, _ = finish(entries.look, str(given).encode(), Limits(memory_bytes=1 << 30, read=(str(given),)))
    seen = msgspec.json.decode(message or b"{}", type=dict[str, str])
    assert seen["environment"] == "0"
    assert seen["given file"] == "allowed"
    if landlock.abi() >= 6:
        assert {k: v for k, v in seen.items() if k not in ("environment", "given file")} == {
            "read /etc/passwd": "PermissionError",
            "write /tmp": "PermissionError",
            "connect": "PermissionError",
            "signal parent": "PermissionError",
        }
