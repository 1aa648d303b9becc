"""User accounts. All of them are also held in memory, because every request needs one.

The copy in memory changes after the catalog has changed. Where several processes serve an installation, ``refresh``
reads what others have changed; what a change depends on is read in its transaction.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from service.catalog import api_keys, ownership
from service.catalog.idempotency import Claim
from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction, naive
from service.kit import errors, passwords
from service.kit.clock import Clock
from service.kit.tokens import Claims
from service.model.user import RANK, Role, User

_SQL = load_sql("users")
_SESSIONS, _KEYS = load_sql("sessions"), load_sql("idempotency")
_log = structlog.get_logger("penstock.auth")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A user with what is never shown: the password hash, and the second since which tokens are valid."""

    user: User
    password_hash: str
    valid_after: int

    def accepts(self, claims: Claims) -> bool:
        """Whether a token was issued since the last change of the account.

        Its family names the state of the account at the login, so that a clock that was put back does not matter. The
        time of issue decides for tokens of older releases.
        """
        generation = claims.family.rpartition(".")[2] if "." in claims.family else ""
        return generation == str(self.valid_after) if generation.isdecimal() else claims.issued >= self.valid_after


class Users:
    """The accounts in the catalog. Methods block (except ``account``); the API calls them in threads."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._writing = threading.Lock()
        self._accounts = _accounts(store.rows(_SQL["all"]))

    def refresh(self) -> None:
        """Read the accounts again: another process may have changed them."""
        with self._writing:
            self._accounts = _accounts(self._store.rows(_SQL["all"]))

    def account(self, username: str) -> Account | None:
        """The account with that name, from memory."""
        return self._accounts.get(username)

    def list(self) -> list[User]:
        """All accounts by name."""
        return [self._accounts[name].user for name in sorted(self._accounts)]

    def ensure_admin(self, username: str, password: str | None, show: Callable[[str], None]) -> None:
        """Create the account of an admin if no enabled account is one.

        A password that is generated goes to ``show`` before the account exists: one that nobody saw could not be shown
        again. Of several processes that start at once one creates it. Raises ``errors.Conflict`` (USER_EXISTS) if the
        name is that of an account with another role, ``errors.Invalid`` naming the setting.
        """
        if self._has_admin:
            return
        if username in self._accounts:
            raise errors.Conflict(
                f"no account is an admin, and '{username}' is one of a "
                f"{self._accounts[username].user.role}; set PENSTOCK_ADMIN_USERNAME to another name",
                code="USER_EXISTS", field="PENSTOCK_ADMIN_USERNAME",
            )  # fmt: skip
        chosen = password if password is not None else passwords.generated()
        try:
            _check(username, "admin")
            if password is None:
                show(chosen)
            self.add(username, chosen, "admin")
        except errors.Invalid as error:  # the settings are what the operator can mend
            field = str(error.details["field"])
            setting, text = f"PENSTOCK_ADMIN_{field.upper()}", error.message.removeprefix(f"{field}: ")
            raise errors.Invalid(f"{setting}: {text}", field=setting) from None
        except errors.Conflict:
            self.refresh()
            if not self._has_admin:
                raise
            if password is None:
                _log.warning("admin.exists", username=username, hint="another process made it; its password is valid")

    @property
    def _has_admin(self) -> bool:
        return any(account.user.may("admin") for account in self._accounts.values())

    def add(self, username: str, password: str, role: Role, claim: Claim | None = None) -> User:
        """Create an account, with the idempotency key of the request.

        If an earlier try of the request has created it, nothing is stored again. Raises ``errors.Invalid``,
        ``errors.Conflict`` (USER_EXISTS).
        """
        if claim is not None and claim.resource is not None:
            return self._made(claim.resource)
        _check(username, role)
        kept = passwords.hashed(password)
        with self._writing:
            now = self._clock.now()
            account = Account(
                user=User(username=username, role=role, created=now),
                password_hash=kept,
                valid_after=int(now.timestamp()),
            )
            values = {
                "username": username, "role": role, "password_hash": kept, "created": naive(now),
                "tokens_valid_after": _moment(account.valid_after),
            }  # fmt: skip

            def work(transaction: Transaction) -> None:
                if username in _accounts(transaction.rows(_SQL["all"])):
                    raise errors.Conflict(f"a user '{username}' exists", code="USER_EXISTS", field="username")
                transaction.execute(_SQL["insert"], values)
                if claim is not None:
                    claim.note(transaction, username)

            self._store.write(work)
            self._accounts[username] = account
            return account.user

    def _made(self, username: str) -> User:
        """The user that an earlier try made, which may have been another process."""
        if username not in self._accounts:
            self.refresh()
        return _known(self._accounts, username).user

    def change(
        self, username: str, *, password: str | None = None, role: Role | None = None, disabled: bool | None = None,
        since: int | None = None,
    ) -> User:  # fmt: skip
        """Change an account and end all its tokens. Raises ``errors.Missing``, ``errors.Invalid``.

        The last admin that is not disabled cannot be changed: ``errors.Conflict`` (LAST_ADMIN). With ``since``, the
        ``valid_after`` that the caller saw, an account that changed meanwhile is refused: ``errors.Unauthenticated``.
        """
        if role is not None:
            _check(username, role)
        kept = passwords.hashed(password) if password is not None else None
        now = self._clock.now()

        def work(transaction: Transaction) -> Account:
            accounts = _accounts(transaction.rows(_SQL["all"]))
            before = _known(accounts, username)
            if since is not None and before.valid_after != since:
                raise errors.Unauthenticated("the account was changed meanwhile; log in again")
            user = msgspec.structs.replace(
                before.user,
                role=before.user.role if role is None else role,
                disabled=before.user.disabled if disabled is None else disabled,
            )
            _keep_an_admin(accounts, before.user, user)
            after = Account(
                user=user,
                password_hash=kept or before.password_hash,
                valid_after=max(int(now.timestamp()), before.valid_after) + 1,
            )
            values = {
                "username": username, "role": user.role, "password_hash": after.password_hash,
                "disabled": user.disabled, "tokens_valid_after": _moment(after.valid_after),
            }  # fmt: skip
            transaction.execute(_SQL["update"], values)
            transaction.execute(_SESSIONS["revoke_user"], {"username": username, "now": naive(now)})
            return after

        with self._writing:
            after = self._store.write(work, urgent=True)  # also on a full disk nobody stays who must go
            self._accounts[username] = after
            return after.user

    def change_password(self, username: str, old: str, new: str) -> User | None:
        """Change the password of an account, as ``change``, or answer None if ``old`` is not its password."""
        account = _known(self._accounts, username)
        if not passwords.matches(account.password_hash, old):
            return None
        return self.change(username, password=new, since=account.valid_after)

    def delete(self, username: str) -> None:
        """Delete an account; its keys end, and its pipelines pass to the admins.

        Raises ``errors.Missing``, ``errors.Conflict`` (LAST_ADMIN).
        """
        now = naive(self._clock.now())
        with self._writing:

            def work(transaction: Transaction) -> None:
                accounts = _accounts(transaction.rows(_SQL["all"]))
                _keep_an_admin(accounts, _known(accounts, username).user, None)
                transaction.execute(_SQL["delete"], {"username": username})
                ownership.pass_on(transaction, username)
                api_keys.forget(transaction, username)
                transaction.execute(_KEYS["forget"], {"caller": username})  # the name may be given to another person
                transaction.execute(_SESSIONS["revoke_user"], {"username": username, "now": now})

            self._store.write(work, urgent=True)
            self._accounts.pop(username, None)

    def log_in(self, username: str, password: str) -> User | None:
        """The user, if the password is right and the account is enabled, else None; both take equally long.

        A hash with outdated parameters is replaced.
        """
        account = self._accounts.get(username)
        right = passwords.matches(account.password_hash if account else None, password)
        if account is None or not right or account.user.disabled:
            return None
        if passwords.outdated(account.password_hash) and len(password) >= passwords.SHORTEST:
            self._rehash(account, passwords.hashed(password))
        return account.user

    def _rehash(self, account: Account, kept: str) -> None:
        with self._writing:
            if self._accounts.get(account.user.username) == account:
                before = account.password_hash  # it may have been changed by another process
                values = {"username": account.user.username, "password_hash": kept, "before": before}
                self._store.execute(_SQL["rehash"], values, urgent=True)
                self._accounts[account.user.username] = msgspec.structs.replace(account, password_hash=kept)


def _accounts(rows: Iterable[Row]) -> dict[str, Account]:
    return {
        r["username"]: Account(
            user=User(
                username=r["username"], role=r["role"], created=r["created"].replace(tzinfo=UTC), disabled=r["disabled"]
            ),
            password_hash=r["password_hash"],
            valid_after=int(r["tokens_valid_after"].replace(tzinfo=UTC).timestamp()),
        )
        for r in rows
    }


def _known(accounts: Mapping[str, Account], username: str) -> Account:
    account = accounts.get(username)
    if account is None:
        raise errors.Missing(f"there is no user '{username}'", code="USER_NOT_FOUND", field="username")
    return account


def _keep_an_admin(accounts: Mapping[str, Account], before: User, after: User | None) -> None:
    """Raise ``errors.Conflict`` if the change would leave no enabled admin."""
    if not before.may("admin") or (after is not None and after.may("admin")):
        return
    if not any(a.user.may("admin") for n, a in accounts.items() if n != before.username):
        raise errors.Conflict(
            f"'{before.username}' is the last admin; make another one first", code="LAST_ADMIN", field="username"
        )


def _check(username: str, role: str) -> None:
    problems = []
    if not _NAME.fullmatch(username):
        problems.append(
            errors.Problem("username", "1 to 63 letters, digits, '.', '_', '@' or '-'; starts with a letter or digit")
        )
    if role not in RANK:
        problems.append(errors.Problem("role", f"one of {', '.join(RANK)}"))
    if problems:
        raise errors.Invalid.of(problems, "account")


def _moment(second: int) -> datetime:
    return naive(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second))
