"""``penstock user …``: accounts, changed in the catalog without a server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import click
import msgspec

from service.catalog.users import Users
from service.cli import output, session
from service.kit import passwords
from service.kit.clock import SystemClock
from service.kit.settings import Settings
from service.model.user import Role

T = TypeVar("T")


def _with_users(settings: Settings, work: Callable[[Users], T]) -> T:
    return session.with_catalog(settings, lambda _, store: work(Users(store, SystemClock())))


def _password(name: str, *, from_stdin: bool) -> tuple[str, bool]:
    """The password, and whether it was generated because nobody could be asked."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n"), False
    if sys.stdin.isatty():
        text = f"Password for {name} (at least {passwords.SHORTEST} characters)"
        return click.prompt(text, hide_input=True, confirmation_prompt=True), False
    return passwords.generated(), True


def add(name: str, role: Role, *, from_stdin: bool, data_dir: str | None, as_json: bool) -> None:
    """Add an account. Raises ``errors.Invalid``, ``errors.Conflict``."""
    password, generated = _password(name, from_stdin=from_stdin)
    settings = session.settings(data_dir=data_dir)

    def work(users: Users) -> bool:
        users.add(name, password, role)
        return any(user.may("admin") for user in users.list())

    has_admin = _with_users(settings, work)
    _print(
        {"username": name, "role": role, **({"password": password} if generated else {})},
        f"added {role} '{name}'" + (f" with the password {password}" if generated else ""),
        as_json=as_json,
    )
    if not has_admin:
        click.echo(
            f"No account is an admin yet: the service adds '{settings.admin_username}' when it starts.", err=True
        )


def change_password(name: str, *, from_stdin: bool, data_dir: str | None, as_json: bool) -> None:
    """Set an account's password. Raises ``errors.Invalid``, ``errors.Missing``."""
    password, generated = _password(name, from_stdin=from_stdin)
    _with_users(session.existing(data_dir=data_dir), lambda users: users.change(name, password=password))
    _print(
        {"username": name, **({"password": password} if generated else {})},
        f"changed the password of '{name}'" + (f" to {password}" if generated else ""),
        as_json=as_json,
    )


def remove(name: str, *, data_dir: str | None, as_json: bool) -> None:
    """Remove an account. Raises ``errors.Missing``, ``errors.Conflict`` for the last admin."""
    _with_users(session.existing(data_dir=data_dir), lambda users: users.delete(name))
    _print({"username": name}, f"removed '{name}'", as_json=as_json)


def _print(value: dict[str, str], text: str, *, as_json: bool) -> None:
    click.echo(msgspec.json.encode(value).decode() if as_json else text)


def show(*, data_dir: str | None, as_json: bool) -> None:
    """List the accounts."""
    accounts = msgspec.to_builtins(_with_users(session.existing(data_dir=data_dir), lambda users: users.list()))
    if as_json:
        click.echo(msgspec.json.encode(accounts).decode())
    else:
        output.OUT.print(output.table(["username", "role", "created", "disabled"], accounts))
