"""Accounts and sessions: what is remembered, what ends what."""

from __future__ import annotations

import threading
from pathlib import Path

import argon2
import pytest

from service.catalog.duckdb_store import DuckDBStore
from service.catalog.sessions import Reused, Sessions
from service.catalog.store import Store
from service.catalog.users import Users
from service.kit import errors, passwords, tokens
from service.kit.clock import FixedClock
from tests import stores

pytestmark = stores.BOTH

PASSWORD = "a long enough password"


@pytest.fixture
def store() -> Store:
    return stores.new()


@pytest.fixture
def users(store: Store, clock: FixedClock) -> Users:
    return Users(store, clock)


@pytest.fixture
def sessions(store: Store, clock: FixedClock) -> Sessions:
    return Sessions(store, clock, days=30)


def claims(family: str, number: int = 1) -> tokens.Claims:
    return tokens.Claims(username="ann", id=f"at_{number}", family=family, issued=0, not_before=0, expires=0)


def test_the_first_admin(users: Users) -> None:
    shown: list[str] = []
    users.ensure_admin("admin", None, shown.append)
    users.ensure_admin("admin", None, shown.append)
    users.ensure_admin("other", PASSWORD, shown.append)
    (made,) = shown
    assert users.log_in("admin", made) is not None
    assert [u.username for u in users.list()] == ["admin"]


def test_other_accounts_do_not_keep_the_first_admin_away(users: Users) -> None:
    users.add("vera", PASSWORD, "viewer")
    with pytest.raises(errors.Conflict, match="PENSTOCK_ADMIN_USERNAME"):
        users.ensure_admin("vera", None, lambda _: None)
    users.ensure_admin("admin", None, lambda _: None)
    assert [(u.username, u.role) for u in users.list()] == [("admin", "admin"), ("vera", "viewer")]


def test_a_password_is_shown_before_the_account_exists(users: Users) -> None:
    """A service that is killed between the two would have an admin whose password nobody knows."""
    known: list[list[str]] = []
    users.ensure_admin("admin", None, lambda _: known.append([u.username for u in users.list()]))
    assert known == [[]]
    with pytest.raises(errors.Invalid, match="PENSTOCK_ADMIN_USERNAME"):
        Users(stores.new(), FixedClock()).ensure_admin("not a name", None, lambda _: pytest.fail("no such account"))


def test_the_first_admin_with_a_password(users: Users) -> None:
    shown: list[str] = []
    users.ensure_admin("root", PASSWORD, shown.append)
    assert not shown
    user = users.log_in("root", PASSWORD)
    assert user is not None
    assert user.may("admin")


def test_accounts_are_read_again(tmp_path: Path, clock: FixedClock) -> None:
    store = DuckDBStore(tmp_path / "catalog.duckdb")
    users = Users(store, clock)
    users.add("ann", PASSWORD, "operator")
    users.add("bob", PASSWORD, "admin")
    users.change("ann", role="viewer", disabled=True)
    store.close()
    store = DuckDBStore(tmp_path / "catalog.duckdb")
    again = Users(store, clock)
    assert (again.account("ann"), again.list()) == (users.account("ann"), users.list())
    store.close()


def test_what_is_refused(users: Users) -> None:
    users.add("ann", PASSWORD, "viewer")
    with pytest.raises(errors.Conflict, match="exists"):
        users.add("ann", PASSWORD, "viewer")
    for name in ("", " ann", "a\x00", "x" * 64, "-a", "ä"):
        with pytest.raises(errors.Invalid):
            users.add(name, PASSWORD, "viewer")
    with pytest.raises(errors.Invalid, match="role"):
        users.add("bob", PASSWORD, "root")  # type: ignore[arg-type]
    with pytest.raises(errors.Invalid, match="password"):
        users.add("bob", "short", "viewer")
    for change in (lambda: users.change("nobody", disabled=True), lambda: users.delete("nobody")):
        with pytest.raises(errors.Missing):
            change()


def test_an_admin_is_left(users: Users) -> None:
    users.add("root", PASSWORD, "admin")
    for change in (
        lambda: users.delete("root"),
        lambda: users.change("root", role="viewer"),
        lambda: users.change("root", disabled=True),
    ):
        with pytest.raises(errors.Conflict) as caught:
            change()
        assert caught.value.error_code == "LAST_ADMIN"
    users.add("second", PASSWORD, "admin")
    users.delete("root")
    assert users.account("root") is None


def test_a_change_ends_tokens_of_the_same_second(users: Users, sessions: Sessions, clock: FixedClock) -> None:
    users.add("ann", PASSWORD, "viewer")
    before = users.account("ann")
    assert before is not None
    assert before.valid_after <= int(clock.now().timestamp())
    refresh = sessions.open("ann")
    users.change("ann", password=PASSWORD + "!")
    after = users.account("ann")
    assert after is not None
    assert after.valid_after > int(clock.now().timestamp())
    with pytest.raises(errors.Unauthenticated):
        sessions.rotate(refresh.token)
    assert users.log_in("ann", PASSWORD) is None
    assert users.log_in("ann", PASSWORD + "!") is not None


def test_old_hashes_are_made_anew(users: Users, store: Store, clock: FixedClock) -> None:
    users.add("ann", PASSWORD, "viewer")
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    store.execute("UPDATE users SET password_hash = $old", {"old": old})
    users = Users(store, clock)
    assert users.log_in("ann", PASSWORD) is not None
    account = users.account("ann")
    assert account is not None
    assert not passwords.outdated(account.password_hash)
    assert Users(store, clock).account("ann") == account


def test_rotation(sessions: Sessions, clock: FixedClock) -> None:
    first = sessions.open("ann")
    second = sessions.rotate(first.token)
    assert (second.family, second.username) == (first.family, "ann")
    clock.advance(29 * 86400)
    third = sessions.rotate(second.token)
    clock.advance(30 * 86400)
    with pytest.raises(errors.Unauthenticated):
        sessions.rotate(third.token)
    for unknown in ("", "x", "\ud800"):
        with pytest.raises(errors.Unauthenticated):
            sessions.rotate(unknown)


def test_only_hashes_are_stored(sessions: Sessions, store: Store) -> None:
    refresh = sessions.open("ann")
    assert refresh.token not in str(store.rows("SELECT * FROM refresh_tokens"))


def test_requirement_37_reuse_ends_the_family_and_no_other(sessions: Sessions) -> None:
    first, other = sessions.open("ann"), sessions.open("ann")
    second = sessions.rotate(first.token)
    with pytest.raises(Reused):
        sessions.rotate(first.token)
    for token in (first.token, second.token):
        with pytest.raises(errors.Unauthenticated):
            sessions.rotate(token)
    assert sessions.is_revoked(claims(first.family))
    assert not sessions.is_revoked(claims(other.family))
    assert sessions.rotate(other.token)


def test_requirement_37_of_many_at_once_one_wins(sessions: Sessions) -> None:
    first = sessions.open("ann")
    won, lost = [], []

    def refresh() -> None:
        try:
            won.append(sessions.rotate(first.token))
        except errors.Unauthenticated:
            lost.append(1)

    threads = [threading.Thread(target=refresh) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 19)


def test_the_end_of_a_login_outlives_a_restart(sessions: Sessions, store: Store, clock: FixedClock) -> None:
    refresh = sessions.open("ann")
    sessions.end(refresh.family, "at_7")
    again = Sessions(store, clock)
    for known in (sessions, again):
        assert known.is_revoked(claims(refresh.family))
        assert known.is_revoked(claims("other", 7))
        assert not known.is_revoked(claims("other", 8))
    clock.advance(2 * 86400)
    again.end("fam_2")
    assert [r["jti"] for r in store.rows("SELECT jti FROM revoked_tokens")] == ["fam_2"]
    assert not again.is_revoked(claims(refresh.family))


def test_a_fresh_login_is_valid_although_the_clock_was_put_back(store: Store) -> None:
    clock = FixedClock()
    users, sessions = Users(store, clock), Sessions(store, clock)
    issuer = tokens.Tokens(["s" * 40], clock)
    users.add("ann", PASSWORD, "viewer")
    before = users.account("ann")
    assert before is not None
    old = issuer.read(issuer.issue("ann", sessions.open("ann", before.valid_after).family))
    users.change("ann", role="operator")
    clock.advance(-3600)
    account = users.account("ann")
    assert account is not None
    fresh = issuer.read(issuer.issue("ann", sessions.open("ann", account.valid_after).family))
    assert account.accepts(fresh)
    assert not account.accepts(old)


@pytest.mark.parametrize(
    ("username", "password", "setting"),
    [("admin", "short", "PENSTOCK_ADMIN_PASSWORD"), ("no spaces", "a long pass phrase", "PENSTOCK_ADMIN_USERNAME")],
)
def test_the_first_account_blames_the_setting(users: Users, username: str, password: str, setting: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        users.ensure_admin(username, password, lambda _: None)
    assert caught.value.message.startswith(f"{setting}: ")
    assert caught.value.details["field"] == setting


def test_a_password_is_not_changed_back_by_who_knew_the_old_one(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    """An admin resets the password between the check of the old one and the change."""
    users.add("ann", PASSWORD, "viewer")
    matches = passwords.matches

    def reset_meanwhile(stored: str | None, password: str) -> bool:
        found = matches(stored, password)
        users.change("ann", password="the password of the admin")
        return found

    monkeypatch.setattr(passwords, "matches", reset_meanwhile)
    with pytest.raises(errors.Unauthenticated):
        users.change_password("ann", PASSWORD, "the password of a thief")
    monkeypatch.undo()
    assert users.log_in("ann", "the password of the admin") is not None
