"""Keepers of several services lend what they borrow from each other, and nothing when they cannot ask."""

from __future__ import annotations

import asyncio
import itertools
import os
import struct
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from service.network import pace_shares
from service.network.pace_file import ASKS, PaceFile
from service.network.pace_shares import OPEN_SECONDS, HostPace, Loan, Wish
from service.network.pacing import HostLimiter, HostLimiters
from service.runs.pace_keeper import PaceKeeper

AWAY = 1_000_000.0  # what the catalog's clock is ahead of ours


class Catalog:
    """What services share, in memory."""

    def __init__(self) -> None:
        self.hosts: dict[str, HostPace] = {}
        self._stored: dict[str, bytes] = {}
        self.answers = True
        self.exchanges = 0

    def exchange(self, service: str, wishes: Mapping[str, Wish]) -> tuple[float, dict[str, Loan]]:
        if not self.answers:
            raise ConnectionError("away")
        self.exchanges += 1
        now, loans = time.monotonic() + AWAY, {}
        for host, wish in wishes.items():
            found = msgspec.json.decode(self._stored.get(host, b"{}"), type=HostPace)
            self.hosts[host], loans[host] = pace_shares.exchange(found, service, wish, now)
            self._stored[host] = msgspec.json.encode(self.hosts[host])
        return now, loans


@asynccontextmanager
async def services(catalog: Catalog, folder: Path, number: int = 2) -> AsyncIterator[list[HostLimiters]]:
    """The limiters of one process of each service."""
    keepers = []
    for n in range(number):
        (place := folder / str(n)).mkdir()
        keepers.append(PaceKeeper(lambda wishes, n=n: catalog.exchange(f"s{n}", wishes), place))
        keepers[n].start()
    try:
        yield [HostLimiters(folder / str(n)) for n in range(number)]
    finally:
        for keeper in keepers:
            await keeper.close()


class Requests:
    """Requests of several services to one host, and the most that were in flight at once."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.busy = self.most = 0

    async def send(self, limiters: HostLimiters, number: int, interval: float, at_once: int | None) -> None:
        host = limiters.of("a.example")
        for _ in range(number):
            await host.enter(interval, at_once)
            self.starts.append(time.monotonic())
            self.busy += 1
            self.most = max(self.most, self.busy)
            await asyncio.sleep(0.01)
            self.busy -= 1
            host.leave(at_once)


def test_services_keep_their_distance_together(tmp_path: Path) -> None:
    requests = Requests()

    async def go() -> None:
        async with services(Catalog(), tmp_path) as limiters:
            await asyncio.wait_for(asyncio.gather(*(requests.send(one, 8, 0.1, None) for one in limiters)), 60)

    asyncio.run(go())
    starts = sorted(requests.starts)
    assert len(starts) == 16
    assert starts[-1] - starts[0] > 1.0  # two that know nothing of each other need 0.7 s, and no start is early


def test_no_more_are_in_flight_than_one_service_might_have(tmp_path: Path) -> None:
    requests, catalog = Requests(), Catalog()

    async def go() -> None:
        async with services(catalog, tmp_path) as limiters:
            tasks = [requests.send(one, 20, 0.0, 3) for one in limiters for _ in range(4)]
            await asyncio.wait_for(asyncio.gather(*tasks), 60)
        assert all(not host.claims for host in catalog.hosts.values())  # it was given back

    asyncio.run(go())
    assert len(requests.starts) == 160
    assert requests.most == 3


def test_where_the_catalog_does_not_answer_requests_end_and_go_on_afterwards(tmp_path: Path) -> None:
    catalog = Catalog()

    async def go() -> None:
        async with services(catalog, tmp_path, 1) as (limiters,):
            host = limiters.of("a.example")
            await host.enter()
            host.leave()
            catalog.answers = False
            async with asyncio.timeout(60):
                while await admitted(host, OPEN_SECONDS + 1):  # noqa: ASYNC110 - until none is
                    await asyncio.sleep(0.02)
            catalog.answers = True
            assert await admitted(host, 60)

    asyncio.run(go())


async def admitted(host: HostLimiter, seconds: float) -> bool:
    """Whether a request may start within ``seconds``; it is over at once."""
    try:
        await asyncio.wait_for(host.enter(), seconds)
    except TimeoutError:
        return False
    host.leave()
    return True


def test_a_pause_reaches_the_other_service(tmp_path: Path) -> None:
    catalog = Catalog()

    async def go() -> None:
        async with services(catalog, tmp_path) as limiters:
            one, other = (each.of("a.example") for each in limiters)
            for host in (one, other):
                await host.enter()
            one.leave()
            await one.pause(1.5)
            asked = time.monotonic()
            other.leave()
            (path,) = (path for path in (tmp_path / "1").iterdir() if path.name != ASKS)
            file = PaceFile(path, lends=True)
            while not file.read().paused and "s1" in catalog.hosts[path.name].claims:  # noqa: ASYNC110 - lent before
                await asyncio.sleep(0.01)
            file.close()
            await asyncio.wait_for(other.enter(), 60)
            assert time.monotonic() - asked > 1.45

    asyncio.run(go())


def test_a_spoilt_file_and_a_strange_line_stop_nobody(tmp_path: Path) -> None:
    async def go() -> None:
        async with services(Catalog(), tmp_path, 1) as (limiters,):
            pipe = os.open(tmp_path / "0" / ASKS, os.O_WRONLY | os.O_NONBLOCK)
            os.write(pipe, b"../../etc/passwd\nnonsense\n")
            os.close(pipe)
            host = limiters.of("a.example")
            await asyncio.wait_for(host.enter(), 60)
            host.leave()
            (file,) = (path for path in (tmp_path / "0").iterdir() if path.name != ASKS)
            for value, _ in itertools.product((float("nan"), float("inf"), -1e300, 1e12), range(2)):
                handle = os.open(file, os.O_WRONLY)
                os.pwrite(handle, struct.pack("24d", *[value] * 24), 0)
                os.close(handle)
                await asyncio.wait_for(host.enter(), 60)
                host.leave()

    asyncio.run(go())


def test_a_host_that_nobody_uses_costs_nothing(tmp_path: Path) -> None:
    catalog = Catalog()

    async def go() -> None:
        async with services(catalog, tmp_path, 1) as (limiters,):
            host = limiters.of("a.example")
            await host.enter()
            host.leave()
            while any(found.claims for found in catalog.hosts.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            before = catalog.exchanges
            await asyncio.sleep(0.7)
            assert catalog.exchanges == before

    asyncio.run(go())
