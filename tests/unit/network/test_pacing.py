"""The pace towards a host, on a clock that tests move; two ``HostLimiters`` on one folder are two processes."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from service.network import pacing as module
from service.network.pace_file import PaceFile
from service.network.pacing import AT_ONCE, HostLimiter, HostLimiters, exhausted


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def started(clock: Clock, steps: list[tuple[HostLimiter, float]]) -> list[float]:
    """When each request went out, one after another, seconds after the first."""

    async def go() -> list[float]:
        moments = []
        for host, interval in steps:
            await host.enter(interval, sleep=clock.sleep)
            moments.append(clock.now)
            host.leave()
        return [round(m - moments[0], 6) for m in moments]

    return asyncio.run(go())


@pytest.fixture(params=["one process", "two processes"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[HostLimiter, HostLimiter, Clock]:
    """Two that ask one host, and their clock."""
    clock = Clock()
    if request.param == "one process":
        one = HostLimiters(clock=clock).of("a.example")
        return one, one, clock
    return HostLimiters(tmp_path, clock).of("a.example"), HostLimiters(tmp_path, clock).of("A.example"), clock


def test_requests_keep_their_distance(pair: tuple[HostLimiter, HostLimiter, Clock]) -> None:
    a, b, clock = pair
    assert started(clock, [(a, 0.5), (b, 0.5), (a, 0.5)]) == [0.0, 0.5, 1.0]
    clock.now += 10
    assert started(clock, [(b, 0.0), (a, 0.0)]) == [0.0, 0.0]


def test_a_distance_holds_before_a_request_too(pair: tuple[HostLimiter, HostLimiter, Clock]) -> None:
    a, b, clock = pair
    assert started(clock, [(a, 0.0), (b, 2.0), (a, 0.0), (a, 0.0), (b, 2.0)]) == [0.0, 2.0, 4.0, 4.0, 6.0]
    assert started(clock, [(a, 0.1), (a, 0.1), (b, 3.0), (a, 0.1)]) == [0.0, 0.1, 3.1, 6.1]


def test_a_pause_holds_for_everybody_and_is_never_shortened(pair: tuple[HostLimiter, HostLimiter, Clock]) -> None:
    a, b, clock = pair
    asyncio.run(a.pause(5))
    asyncio.run(b.pause(1))
    begin = clock.now
    started(clock, [(b, 0.0), (a, 0.0)])
    assert clock.now - begin == 5.0


def test_a_pause_holds_those_who_wait_already(pair: tuple[HostLimiter, HostLimiter, Clock]) -> None:
    a, b, clock = pair
    begin = clock.now

    async def interrupted(seconds: float) -> None:
        await clock.sleep(seconds)
        if len(clock.slept) == 1:
            await a.pause(7)

    async def go() -> None:
        await b.enter(1.0, sleep=clock.sleep)
        b.leave()
        await b.enter(1.0, sleep=interrupted)
        b.leave()

    asyncio.run(go())
    assert clock.slept == [1.0, 7.0]
    assert clock.now - begin == 8.0


def test_a_pause_that_is_over_before_the_turn_comes_delays_nobody(pair: tuple[HostLimiter, HostLimiter, Clock]) -> None:
    a, b, clock = pair

    async def interrupted(seconds: float) -> None:
        if not clock.slept:
            await a.pause(seconds / 2)
        await clock.sleep(seconds)

    async def go() -> None:
        for sleep in (clock.sleep, interrupted):
            await b.enter(1.0, sleep=sleep)
            b.leave()

    asyncio.run(go())
    assert clock.slept == [1.0]


def test_other_hosts_are_not_concerned(tmp_path: Path) -> None:
    clock = Clock()
    hosts = HostLimiters(tmp_path, clock)
    asyncio.run(hosts.of("a.example").pause(60))
    started(clock, [(hosts.of("b.example"), 1.0)])
    assert clock.slept == []


async def most_at_once(tasks: list[tuple[HostLimiter, int | None]], turns: int = 3) -> int:
    busy = most = 0

    async def one(host: HostLimiter, at_once: int | None) -> None:
        nonlocal busy, most
        for _ in range(turns):
            await host.enter(0.0, at_once)
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.003)
            busy -= 1
            host.leave(at_once)

    await asyncio.gather(*(one(*task) for task in tasks))
    return most


@pytest.mark.parametrize(
    ("wanted", "most"),
    [
        ([1, 1, 1], [1]), ([3] * 8, [3]), ([None] * 20, [AT_ONCE]), ([2] + [5] * 8, [2, 3, 4, 5]),
        ([16] * 16, [16]), ([16] * 16 + [None], [16]),
    ],
)  # fmt: skip
def test_so_many_are_on_their_way_and_no_more(
    wanted: list[int | None], most: list[int], pair: tuple[HostLimiter, HostLimiter, Clock]
) -> None:
    a, b, _ = pair
    found = asyncio.run(most_at_once([((a, b)[i % 2], limit) for i, limit in enumerate(wanted)]))
    assert found in most
    assert a.idle
    assert b.idle


def test_the_strictest_of_those_that_are_asking_holds_for_all(pair: tuple[HostLimiter, HostLimiter, Clock]) -> None:
    """Also where it is another process that wants so little; and no longer than it is asking."""
    a, b, _ = pair

    async def go() -> None:
        await a.enter(0.0, 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(b.enter(0.0, 5), 0.05)
        a.leave(1)
        for _ in range(5):
            await asyncio.wait_for(b.enter(0.0, 5), 60)
        for _ in range(5):
            b.leave(5)

    asyncio.run(go())
    assert a.idle
    assert b.idle


def test_who_waits_longest_goes_first(tmp_path: Path) -> None:
    order: list[str] = []

    async def go() -> None:
        hosts = {name: HostLimiters(tmp_path).of("h") for name in "abc"}
        await hosts["a"].enter(0.0, 1)

        async def wait(name: str) -> None:
            await hosts[name].enter(0.0, 1)
            order.append(name)
            await asyncio.sleep(0.001)
            hosts[name].leave(1)

        tasks = []
        for name in "bc":
            tasks.append(asyncio.create_task(wait(name)))
            await asyncio.sleep(0.005)
        hosts["a"].leave(1)
        await wait("a")  # it would be the first, if that were all
        await asyncio.gather(*tasks)

    asyncio.run(go())
    assert order == ["b", "c", "a"]


def test_the_least_that_a_process_wants_holds_for_the_others(tmp_path: Path) -> None:
    async def go() -> None:
        strict, lax = HostLimiters(tmp_path).of("h"), HostLimiters(tmp_path).of("h")
        await strict.enter(0.0, 1)
        late = asyncio.create_task(lax.enter(0.0, 5))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(late), 0.05)
        strict.leave(1)
        await asyncio.wait_for(late, 60)

    asyncio.run(go())


def test_who_waits_but_looks_no_more_holds_nobody_up(tmp_path: Path) -> None:
    clock = Clock()

    async def go() -> None:
        first, stuck, other = (HostLimiters(tmp_path, clock).of("h") for _ in range(3))
        await first.enter(0.0, 1)
        waiting = asyncio.create_task(stuck.enter(0.0, 1))
        await asyncio.sleep(0)  # it has looked once, and is in line
        clock.now += 1.0
        first.leave(1)
        await asyncio.wait_for(other.enter(0.0, 1), 60)
        assert not waiting.done()
        other.leave(1)
        await asyncio.wait_for(waiting, 60)

    asyncio.run(go())


def test_a_process_that_died_holds_nobody_up(tmp_path: Path) -> None:
    async def go() -> None:
        dying, living = HostLimiters(tmp_path), HostLimiters(tmp_path)
        for host in (dying.of("h"), living.of("h")):
            await asyncio.gather(*(host.enter(0.0, None) for _ in range(AT_ONCE // 2)))
        late = asyncio.create_task(living.of("h").enter(0.0, None))
        await asyncio.sleep(0.03)
        assert not late.done()
        dying.close()  # what the kernel does to its files
        await asyncio.wait_for(late, 60)
        again = HostLimiters(tmp_path).of("h")  # takes the dead one's row
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(again.enter(0.0, 5), 0.03)

    asyncio.run(go())


def test_who_gives_up_waiting_leaves_nothing_behind(pair: tuple[HostLimiter, HostLimiter, Clock]) -> None:
    a, b, clock = pair

    async def forever(seconds: float) -> None:
        await asyncio.Event().wait()

    async def go() -> None:
        await a.enter(5.0, 3)
        waits: list[Callable[[], Awaitable[None]]] = [
            lambda: b.enter(0.0, 1), lambda: b.enter(5.0, 3, forever), lambda: a.enter(5.0, 3, forever)
        ]  # fmt: skip
        for wait in waits:
            tasks = [asyncio.ensure_future(wait()) for _ in range(2)]
            await asyncio.sleep(0.01)
            assert not any(task.done() for task in tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        a.leave(3)
        clock.now += 3600
        await asyncio.wait_for(b.enter(0.0, 1), 60)

    asyncio.run(go())
    assert a.idle or a is b


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e300, 1e12])
def test_a_spoilt_file_stops_nobody(value: float, tmp_path: Path) -> None:
    clock = Clock()
    host = HostLimiters(tmp_path, clock).of("h")
    started(clock, [(host, 0.5)])
    (file,) = tmp_path.iterdir()
    os.pwrite(handle := os.open(file, os.O_WRONLY), struct.pack("15d", *[value] * 15), 0)
    assert started(clock, [(host, 0.5), (host, 0.5)]) == [0.0, 0.5]
    os.ftruncate(handle, 0)
    assert started(clock, [(host, 0.5), (host, 0.5)])[0] == 0.0
    os.close(handle)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_files_of_hosts_long_gone_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 4)
    clock = Clock()
    hosts = HostLimiters(tmp_path, clock)
    before = open_files()
    for n in range(30):
        started(clock, [(hosts.of(f"h{n}"), 60.0)])
    assert open_files() - before <= 4
    started(clock, [(hosts.of("h0"), 60.0)])
    assert clock.slept == [60.0]  # its file remembers
    hosts.close()
    assert open_files() == before
    assert {oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()} == {"0o600"}


def test_a_host_with_a_request_on_its_way_is_not_let_go_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    hosts = HostLimiters(tmp_path, Clock())
    busy = hosts.of("busy")
    asyncio.run(busy.enter(0.0, 1))
    for n in range(5):
        hosts.of(f"h{n}")
    assert hosts.of("busy") is busy
    busy.leave(1)


def test_a_file_that_somebody_looks_at_is_waited_for(tmp_path: Path) -> None:
    held, host = PaceFile(tmp_path / "f"), HostLimiter(PaceFile(tmp_path / "f"))

    async def go() -> None:
        assert held.lock()
        task, pause = asyncio.create_task(host.enter()), asyncio.create_task(host.pause(0.0))
        await asyncio.sleep(0.02)
        assert not task.done()
        assert not pause.done()
        held.unlock()
        await asyncio.wait_for(asyncio.gather(task, pause), 5)

    asyncio.run(go())


def test_more_processes_than_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.network.pace_file.ROWS", 2)
    kept = [PaceFile(tmp_path / "f") for _ in range(2)]
    with pytest.raises(OSError, match="more than 2 processes"):
        PaceFile(tmp_path / "f")
    kept[0].close()
    assert PaceFile(tmp_path / "f").own == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "30"}, 30.0),
        ({"ratelimit-remaining": "1", "ratelimit-reset": "30"}, None),
        ({"ratelimit-remaining": "0"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000060"}, 60.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1699999990"}, 0.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1e999"}, None),
        ({"ratelimit": '"default";r=0;t=12'}, 12.0),
        ({"ratelimit": '"default";r=5;t=12'}, None),
        ({"ratelimit": '"minute";r=0;t=12, "day";r=5;t=3600'}, 12.0),
        ({"ratelimit": '"minute";r=0;t=12, "day";r=0;t=3600'}, 3600.0),
        ({"ratelimit": "limit=10, remaining=0, reset=12"}, 12.0),
        ({"ratelimit": "limit=10, remaining=3, reset=12"}, None),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "1700000060"}, 60.0),
    ],
)
def test_an_exhausted_limit_says_when_it_is_renewed(headers: dict[str, str], seconds: float | None) -> None:
    assert exhausted(headers, now=1_700_000_000) == seconds
