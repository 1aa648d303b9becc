"""``penstock user …``: accounts, changed in the catalog without a server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TypeVar

import click
import msgspec

from service import bootstrap
from service.catalog.users import Users
from service.cli import output, session
from service.kit import passwords
from service.kit.clock import SystemClock
from service.model.user import Role

T = TypeVar("T")


def _with_users(data_dir: str | None, work: Callable[[Users], T]) -> T:
    async def inside() -> T:
        clock = SystemClock()
        async with bootstrap.catalog(session.settings(data_dir=data_dir)) as (_, store):
            return await asyncio.to_thread(lambda: work(Users(store, clock)))

    return asyncio.run(inside())


def _password(name: str, *, from_stdin: bool) -> tuple[str, bool]:
    """The password, and whether it was generated because nobody could be asked."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n"), False
    if sys.stdin.isatty():
        text = f"Password for {name} (at least {passwords.SHORTEST} characters)"
        return click.prompt(text, hide_input=True, confirmation_prompt=True), False
    return passwords.generated(), True


def add(name: str, role: Role, *, from_stdin: bool, data_dir: str | None) -> None:
    """Add an account. Raises ``errors.Invalid``, ``errors.Conflict``."""
    password, generated = _password(name, from_stdin=from_stdin)
    _with_users(data_dir, lambda users: users.add(name, password, role))
    click.echo(f"added {role} '{name}'" + (f" with the password {password}" if generated else ""))


def change_password(name: str, *, from_stdin: bool, data_dir: str | None) -> None:
    """Set an account's password. Raises ``errors.Invalid``, ``errors.Missing``."""
    password, generated = _password(name, from_stdin=from_stdin)
    _with_users(data_dir, lambda users: users.change(name, password=password))
    click.echo(f"changed the password of '{name}'" + (f" to {password}" if generated else ""))


def remove(name: str, *, data_dir: str | None) -> None:
    """Remove an account. Raises ``errors.Missing``, ``errors.Conflict`` for the last admin."""
    _with_users(data_dir, lambda users: users.delete(name))
    click.echo(f"removed '{name}'")


def show(*, data_dir: str | None, as_json: bool) -> None:
    """List the accounts."""
    accounts = msgspec.to_builtins(_with_users(data_dir, lambda users: users.list()))
    if as_json:
        click.echo(msgspec.json.encode(accounts).decode())
    else:
        output.OUT.print(output.table(["username", "role", "created", "disabled"], accounts))
