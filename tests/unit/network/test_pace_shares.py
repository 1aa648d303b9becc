"""Services that share a host: together they keep its limits, nobody starves, and what a dead one had comes back.

A test is a small world: services exchange when they like, and start requests as their loans allow.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field

import pytest

from service.network import pace_shares
from service.network.pace_shares import HostPace, Loan, Wish
from service.network.pacing import AT_ONCE

TICK = 0.01
NOTHING = Loan(places=0, begin=0.0, until=0.0, paused=0.0, again=0.0)


@dataclass
class Service:
    """A service whose processes always want ``wanted`` requests, each of which takes ``seconds``."""

    name: str
    wanted: int
    limit: int | None = None
    interval: float = 0.0
    seconds: float = 0.0
    loan: Loan = NOTHING
    free: float = 0.0
    due: float = 0.0
    dead: bool = False
    flying: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)

    @property
    def wish(self) -> Wish:
        return Wish(
            wanted=self.wanted, held=max(len(self.flying), self.loan.places), limit=self.limit,
            shortest=self.interval, longest=self.interval,
        )  # fmt: skip

    def may_start(self, now: float) -> bool:
        inside = self.loan.begin <= now < self.loan.until and now >= max(self.free, self.loan.paused)
        return inside and len(self.flying) < min(self.loan.places, self.wanted)


class World:
    def __init__(self, *services: Service, seed: int = 1) -> None:
        self.services = services
        self.host = HostPace()
        self.now = 1000.0
        self.most = 0
        self._random = random.Random(seed)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += TICK
            for service in self.services:
                if not service.dead and self.now >= service.due:
                    self.exchange(service)
                self.work(service)
            self.most = max(self.most, sum(len(s.flying) for s in self.services))

    def exchange(self, service: Service) -> None:
        self.host, service.loan = pace_shares.exchange(self.host, service.name, service.wish, self.now)
        service.due = service.loan.again + self._random.uniform(0.0, 0.1)

    def work(self, service: Service) -> None:
        while service.flying and service.flying[0] <= self.now:
            heapq.heappop(service.flying)
        while not service.dead and service.may_start(self.now):
            service.starts.append(self.now)
            heapq.heappush(service.flying, self.now + service.seconds)
            service.free = self.now + service.interval

    def gaps(self) -> list[float]:
        starts = sorted(itertools.chain(*(s.starts for s in self.services)))
        return [b - a for a, b in itertools.pairwise(starts)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("interval", [0.05, 0.2, 0.7])
@pytest.mark.parametrize("services", [1, 2, 4])
def test_requests_of_all_services_keep_their_distance(services: int, interval: float, seed: int) -> None:
    world = World(*(Service(f"s{n}", wanted=3, interval=interval) for n in range(services)), seed=seed)
    world.run(40)
    assert min(world.gaps()) >= interval - TICK
    counts = [len(service.starts) for service in world.services]
    assert sum(counts) >= 0.8 * 40 / interval
    assert min(counts) >= 0.6 * max(counts)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("limit", "services"), [(1, 2), (1, 4), (2, 3), (3, 2), (5, 4), (None, 3), (16, 1)])
def test_so_many_are_in_flight_over_all_services(limit: int | None, services: int, seed: int) -> None:
    world = World(*(Service(f"s{n}", wanted=limit or 8, limit=limit, seconds=0.13) for n in range(services)), seed=seed)
    world.run(40)
    assert world.most == (limit or AT_ONCE)
    counts = [len(service.starts) for service in world.services]
    assert min(counts) >= 0.5 * max(counts)
    assert sum(counts) >= 0.5 * world.most * 40 / 0.14


def test_the_strictest_limit_holds_for_all_and_no_longer_than_its_service_asks() -> None:
    strict, lax = Service("strict", wanted=2, limit=2, seconds=0.1), Service("lax", wanted=6, limit=6, seconds=0.1)
    world = World(strict, lax)
    world.run(10)
    assert world.most == 2
    strict.wanted = strict.limit = 0
    world.host, strict.loan = pace_shares.exchange(world.host, "strict", Wish(wanted=0), world.now)
    strict.dead = True
    world.run(5)
    assert world.most == 6


def test_who_asks_for_an_interval_gets_it_from_those_that_do_not() -> None:
    free, spaced = Service("free", wanted=2, seconds=0.02), Service("spaced", wanted=1, interval=0.5)
    world = World(free, spaced)
    spaced.due = world.now + 5
    world.run(60)
    assert len(free.starts) > 200
    assert len(spaced.starts) > 20
    for start in spaced.starts:
        assert not any(start - 0.5 + TICK < other < start + 0.5 - TICK for other in free.starts)


def test_a_pause_holds_for_all() -> None:
    services = [Service(f"s{n}", wanted=2, seconds=0.1) for n in range(3)]
    world = World(*services)
    world.run(5)
    wish = Wish(wanted=2, held=2, pause=7.0)
    world.host, services[0].loan = pace_shares.exchange(world.host, "s0", wish, world.now)
    asked = world.now
    world.run(20)
    later = [s for service in services for s in service.starts if s > asked + 0.75]
    assert min(later) >= asked + 7
    assert {s.name for s in services if max(s.starts) > asked + 7} == {"s0", "s1", "s2"}


def test_the_places_of_a_dead_service_come_back_with_its_lease() -> None:
    dead, living = Service("dead", wanted=4, limit=4, seconds=1e9), Service("living", wanted=4, limit=4, seconds=0.1)
    world = World(dead, living)
    living.due = world.now + 1
    world.run(0.5)
    assert len(dead.starts) == 4
    dead.dead, died = True, world.now
    world.run(30)
    assert died + pace_shares.LEASE_SECONDS - 1 < living.starts[0] < died + pace_shares.LEASE_SECONDS + 1
    assert world.host.claims.keys() == {"living"}


def test_a_dead_service_wastes_its_window_and_no_other() -> None:
    dead, living = (Service(name, wanted=1, interval=0.5) for name in ("dead", "living"))
    world = World(dead, living)
    world.run(10)
    dead.dead, died = True, world.now
    world.run(10)
    assert len([s for s in living.starts if s > died]) >= 15


def test_a_host_that_nobody_uses_is_forgotten() -> None:
    host, _ = pace_shares.exchange(HostPace(), "s", Wish(wanted=1, longest=2.0, shortest=2.0), 1000.0)
    assert not host.is_over(1000.0)
    host, loan = pace_shares.exchange(host, "s", Wish(wanted=0), 1001.0)
    assert (loan.places, loan.until) == (0, 0.0)
    assert not host.is_over(1002.0)  # the next one keeps the distance
    assert host.is_over(1004.0)
