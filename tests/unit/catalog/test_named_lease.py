"""A named lease has one holder at a time, and passes on when it is released or has run out."""

from __future__ import annotations

from service.catalog.named_lease import NamedLease
from service.kit.clock import FixedClock
from tests import stores

pytestmark = stores.BOTH


def test_a_lease_has_one_holder_until_it_is_released_or_over(clock: FixedClock) -> None:
    store = stores.new()
    first, second = (NamedLease(store, clock, "work", owner, 15) for owner in ("a", "b"))
    assert [first.hold(), second.hold(), first.hold()] == [True, False, True]
    clock.advance(14)
    assert [second.hold(), first.hold()] == [False, True]
    clock.advance(15)
    assert [second.hold(), first.hold()] == [True, False]
    first.release()
    assert not first.hold()
    second.release()
    assert first.hold()


def test_leases_of_different_names_do_not_meet(clock: FixedClock) -> None:
    store = stores.new()
    assert NamedLease(store, clock, "one", "a", 15).hold()
    assert NamedLease(store, clock, "two", "b", 15).hold()
