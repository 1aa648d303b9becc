"""How the services of an installation share a host: what one of them may lend to its processes.

Each service names what its processes want, and gets a loan until it asks again: ``places``, the largest number of its
requests in flight, and a window of time in which they may start. While nobody asks for an interval, windows overlap,
and places alone count. Else each window follows the one before, the intervals between them included. Places that are
too few for all go around. What a service that is gone had in flight counts until its lease is over.

Times are seconds of one clock, that of the catalog. Everything here is a value.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from service.network.pacing import AT_ONCE

OPEN_SECONDS = 2.0
"""A window where nobody asks for an interval. Who cannot ask again for so long starts no more requests."""
LEASE_SECONDS = 15.0
"""How long requests of a service that is gone count as in flight."""
_SPAN = 0.5  # seconds of a window whose requests have an interval, if more than one fits
_SHORT = 0.25  # seconds of a window of requests without one, among others'
_AHEAD = 0.3  # seconds before the end of its window in which the window of a service is extended
_EXCHANGE, _LEAST = 0.5, 0.1  # seconds between two exchanges
_TURN = 0.5  # seconds for which a service keeps a place that all want
_FRESH = 2.0  # seconds for which what a service wants counts


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the processes of one service want: ``wanted`` requests in all, at most ``limit`` in flight.

    ``held`` is how many are in flight, or may be before the processes know of the loan that is answered. ``shortest``
    and ``longest`` are the intervals that they ask for; the host wants a pause of ``pause`` seconds.
    """

    wanted: int
    held: int = 0
    limit: int | None = None
    shortest: float = 0.0
    longest: float = 0.0
    pause: float = 0.0


class Loan(msgspec.Struct, frozen=True, kw_only=True):
    """What a service may lend: requests in flight, which start between ``begin`` and ``until``.

    The host is ``paused`` until that time. ``again`` is when to exchange at the latest to go on without a break.
    """

    places: int
    begin: float
    until: float
    paused: float
    again: float


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The part that a service has: its newest wish, its places, its window, and until when it counts.

    ``begin`` is 0 for a window that overlaps with others', ``turn`` the end of its turn with a place that all want.
    """

    wanted: int = 0
    places: int = 0
    limit: int | None = None
    interval: float = 0.0
    begin: float = 0.0
    until: float = 0.0
    seen: float = 0.0
    turn: float = 0.0


class HostPace(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a host: when the next window may begin, which service has the last one, and all claims.

    ``last`` is the latest start of a request whose service has no claim any more.
    """

    free: float = 0.0
    last: float = 0.0
    paused: float = 0.0
    holder: str | None = None
    claims: Mapping[str, Claim] = {}

    def is_over(self, now: float) -> bool:
        """Whether a host without a state is the same."""
        return not self.claims and max(self.free, self.last + OPEN_SECONDS, self.paused) < now


def exchange(host: HostPace, service: str, wish: Wish, now: float) -> tuple[HostPace, Loan]:
    """The state of the host after ``service`` has told its wish, and what it gets."""
    others = {n: c for n, c in host.claims.items() if n != service and c.seen + LEASE_SECONDS > now}
    gone = [min(c.until, now) for n, c in host.claims.items() if n not in others and n != service]
    mine = host.claims.get(service, Claim())
    if mine.seen + LEASE_SECONDS <= now:
        mine = Claim()
    paused, last = max(host.paused, now + wish.pause if wish.pause else 0.0), max(host.last, *gone, 0.0)
    host = msgspec.structs.replace(host, paused=paused, last=last, claims=others)
    if not wish.wanted:
        last = max(last, min(mine.until, now))
        free = min(host.free, now + mine.interval) if host.holder == service else host.free
        nothing = Loan(places=0, begin=now, until=0.0, paused=paused, again=now)
        return msgspec.structs.replace(host, last=last, free=free), nothing
    places, turn = _places(others, mine, service, wish, now)
    begin, until, host = _window(host, mine, service, wish, now)
    claim = Claim(
        wanted=wish.wanted, places=max(places, wish.held), limit=wish.limit, interval=wish.longest,
        begin=begin if host.holder is not None else 0.0, until=until, seen=now, turn=turn,
    )  # fmt: skip
    host = msgspec.structs.replace(host, claims={**others, service: claim})
    again = min(now + _EXCHANGE, until if host.holder not in (service, None) else until - _AHEAD + 0.05)
    if not places or places < wish.held:  # the next one gets a place, or gives one
        again = now
    return host, Loan(places=places, begin=begin, until=until, paused=paused, again=max(again, now + _LEAST))


def _places(others: Mapping[str, Claim], mine: Claim, service: str, wish: Wish, now: float) -> tuple[int, float]:
    """How many requests may be in flight, and the end of the turn with a place that all want."""
    limit = min((n for n in (wish.limit, *(c.limit for c in others.values())) if n is not None), default=AT_ONCE)
    wants = {n: c.wanted if c.seen + _FRESH > now else c.places for n, c in others.items()} | {service: wish.wanted}
    turns = {n: c.turn for n, c in others.items()} | {service: mine.turn}
    order = sorted(wants, key=lambda n: (turns[n] <= now, turns[n], n))
    share, left = dict.fromkeys(order, 0), limit
    while left and (hungry := [n for n in order if share[n] < wants[n]]):
        for name in hungry[:left]:
            share[name] += 1
        left -= len(hungry[:left])
    taken = sum(c.places for c in others.values())
    turn = mine.turn
    if share[service] and turn <= now and sum(wants.values()) > limit:
        turn = now + _TURN
    return max(0, min(share[service], limit - taken)), turn


def _window(host: HostPace, mine: Claim, service: str, wish: Wish, now: float) -> tuple[float, float, HostPace]:
    """The time in which requests may start, and the host with that window."""
    earliest = max(now, host.paused)
    if not wish.longest and host.free <= now and not any(c.interval for c in host.claims.values()):
        return earliest, earliest + OPEN_SECONDS, msgspec.structs.replace(host, holder=None)
    held = host.holder == service and host.free > now
    if mine.begin and mine.until > now + (_AHEAD if held else 0.0):
        return mine.begin, mine.until, host
    several = max(1, int(_SPAN / wish.shortest)) if wish.shortest else 1
    width = (several - 1) * wish.shortest + min(wish.shortest / 8, 0.1) if wish.shortest else _SHORT
    if held:  # its processes keep their own distance
        begin, until = now, max(mine.until + several * wish.shortest, earliest + width)
    else:
        latest = max((c.until for c in host.claims.values()), default=0.0)
        begin = max(earliest, host.free, max(latest, host.last) + wish.longest)
        until = begin + width
    return begin, until, msgspec.structs.replace(host, free=until + wish.longest, holder=service)
