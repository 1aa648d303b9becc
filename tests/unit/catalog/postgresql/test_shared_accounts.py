"""Accounts and sessions of several processes: what one has changed holds for all, and no rule is broken between two."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.catalog.postgresql.server import Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.catalog.sessions import Sessions
from service.catalog.users import Users
from service.kit import errors, tokens
from service.kit.clock import FixedClock

pytestmark = pytest.mark.services

PASSWORD = "a long enough password"
Two = tuple[PostgreSQLStore, PostgreSQLStore]


@pytest.fixture
def stores(url: str) -> Iterator[Two]:
    first, second = (PostgreSQLStore(Server(url), shared=True) for _ in range(2))
    yield first, second
    first.close()
    second.close()


def test_processes_that_start_at_once_make_one_admin(stores: Two, clock: FixedClock) -> None:
    first, second = (Users(store, clock) for store in stores)
    first.ensure_admin("admin", PASSWORD, pytest.fail)
    second.ensure_admin("admin", PASSWORD, pytest.fail)
    assert second.log_in("admin", PASSWORD) is not None
    with pytest.raises(errors.Conflict) as caught:
        second.add("admin", PASSWORD, "viewer")
    assert caught.value.error_code == "USER_EXISTS"


def test_a_change_by_one_process_is_noticed_by_the_stamp_of_another(stores: Two, clock: FixedClock) -> None:
    first, second = (Users(store, clock) for store in stores)
    before = stores[1].stamp(("users",))
    first.add("ann", PASSWORD, "viewer")
    assert stores[1].stamp(("users",)) != before
    second.refresh()
    assert second.account("ann") == first.account("ann")
    second.change("ann", disabled=True)
    first.refresh()
    assert first.log_in("ann", PASSWORD) is None


def test_two_processes_leave_an_admin(stores: Two, clock: FixedClock) -> None:
    first = Users(stores[0], clock)
    for name in ("ann", "bob"):
        first.add(name, PASSWORD, "admin")
    second = Users(stores[1], clock)
    first.change("ann", disabled=True)
    with pytest.raises(errors.Conflict) as caught:  # in its memory ann is an admin still
        second.delete("bob")
    assert caught.value.error_code == "LAST_ADMIN"


def test_a_login_that_one_process_ended_is_ended(stores: Two, clock: FixedClock) -> None:
    first, second = (Sessions(store, clock) for store in stores)
    refresh = first.open("ann")
    access = tokens.Claims(username="ann", id="at_1", family=refresh.family, issued=0, not_before=0, expires=0)
    before = stores[1].stamp(("revoked_tokens",))
    first.end(refresh.family, access.id)
    assert stores[1].stamp(("revoked_tokens",)) != before
    second.refresh()
    assert second.is_revoked(access)
    with pytest.raises(errors.Unauthenticated):
        second.rotate(refresh.token)
