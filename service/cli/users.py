"""``penstock user …``: accounts, changed by the running service or in the catalog without one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

import click
import msgspec

from service.api import audit_actions
from service.catalog.users import Users
from service.cli import output, remote, session
from service.cli.deed import Deed
from service.kit import errors, passwords
from service.kit.clock import SystemClock
from service.kit.settings import Settings
from service.model.user import Role, User

T = TypeVar("T")


def _with_users(settings: Settings, work: Callable[[Users], T], deed: Deed | None = None) -> T:
    return session.with_catalog(settings, lambda _, store: work(Users(store, SystemClock())), deed)


def _password(name: str, *, from_stdin: bool) -> tuple[str, bool]:
    """The password, and whether it was generated because nobody could be asked."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n"), False
    if sys.stdin.isatty():
        text = f"Password for {name} (at least {passwords.SHORTEST} characters)"
        return click.prompt(text, hide_input=True, confirmation_prompt=True), False
    return passwords.generated(), True


def add(name: str, role: Role, *, from_stdin: bool, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Add an account. Raises ``errors.Invalid``, ``errors.Conflict``."""
    password, generated = _password(name, from_stdin=from_stdin)
    settings = session.settings(data_dir=data_dir)

    def work(users: Users) -> bool:
        users.add(name, password, role)
        return any(user.may("admin") for user in users.list())

    with remote.service(url, data_dir) as connection:
        if connection is not None:
            connection.send("POST", "users", {"username": name, "password": password, "role": role})
        deed = Deed(audit_actions.CREATE_USER, name, {"role": role})
        has_admin = connection is not None or _with_users(settings, work, deed)
    _print(
        {"username": name, "role": role, **({"password": password} if generated else {})},
        f"added {role} '{name}'" + (f" with the password {password}" if generated else ""),
        as_json=as_json,
    )
    if not has_admin:
        click.echo(
            f"No account is an admin yet: the service adds '{settings.admin_username}' when it starts.", err=True
        )


def change_password(name: str, *, from_stdin: bool, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Set an account's password. Raises ``errors.Invalid``, ``errors.Missing``."""
    password, generated = _password(name, from_stdin=from_stdin)
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            connection.send("PATCH", _path(name), {"password": password})
        else:
            deed = Deed(audit_actions.CHANGE_USER, name, {"changes": ["password"]})
            _with_users(session.existing(data_dir=data_dir), lambda users: users.change(name, password=password), deed)
    _print(
        {"username": name, **({"password": password} if generated else {})},
        f"changed the password of '{name}'" + (f" to {password}" if generated else ""),
        as_json=as_json,
    )


def change(
    name: str, role: Role | None, disabled: bool | None, *, data_dir: str | None, url: str | None, as_json: bool
) -> None:
    """Change an account's role or state. Raises ``errors.Invalid``, ``errors.Missing``, ``errors.Conflict``."""
    changes = {key: value for key, value in (("role", role), ("disabled", disabled)) if value is not None}
    if not changes:
        raise errors.Invalid("name what to change: --role, --disable or --enable", field="role")
    account: dict[str, Any]
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            account = connection.send("PATCH", _path(name), changes)
        else:
            found = session.existing(data_dir=data_dir)
            changes = {key: value for key, value in (("role", role), ("disabled", disabled)) if value is not None}
            deed = Deed(audit_actions.CHANGE_USER, name, {**changes, "changes": [*changes]})
            changed = _with_users(found, lambda users: users.change(name, role=role, disabled=disabled), deed)
            account = msgspec.to_builtins(changed)
    state = ", disabled" if account["disabled"] else ""
    _print(account, f"'{name}' is {account['role']}{state}", as_json=as_json)


def remove(name: str, *, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Remove an account. Raises ``errors.Missing``, ``errors.Conflict`` for the last admin."""
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            connection.send("DELETE", _path(name))
        else:
            deed = Deed(audit_actions.DELETE_USER, name)
            _with_users(session.existing(data_dir=data_dir), lambda users: users.delete(name), deed)
    _print({"username": name}, f"removed '{name}'", as_json=as_json)


def _path(name: str) -> str:
    return f"users/{quote(name, safe='')}"


def _print(value: dict[str, Any], text: str, *, as_json: bool) -> None:
    click.echo(msgspec.json.encode(value).decode() if as_json else text)


def show(*, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """List the accounts."""
    accounts: list[dict[str, Any]]
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            accounts = remote.items(connection, "users")
        else:
            found: list[User] = _with_users(session.existing(data_dir=data_dir), lambda users: users.list())
            accounts = msgspec.to_builtins(found)
    if as_json:
        click.echo(msgspec.json.encode(accounts).decode())
    else:
        output.OUT.print(output.table(["username", "role", "created", "disabled"], accounts))
