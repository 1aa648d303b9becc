"""``penstock user …``: the arguments of the commands about accounts; ``cli.users`` does the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from service.cli import options
from service.model.user import Role


@click.group("user")
def user_group() -> None:
    """Accounts."""


def _password_options(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking."
    )(command)


@user_group.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "operator", "admin"]), required=True)
@_password_options
@options.data_dir()
@options.url
@options.as_json
def add_user(name: str, role: Role, password_stdin: bool, **chosen: Any) -> None:
    """Add an account."""
    from service.cli import users

    users.add(name, role, from_stdin=password_stdin, **chosen)


@user_group.command("password")
@click.argument("name")
@_password_options
@options.data_dir()
@options.url
@options.as_json
def change_password(name: str, password_stdin: bool, **chosen: Any) -> None:
    """Set an account's password; its tokens become invalid."""
    from service.cli import users

    users.change_password(name, from_stdin=password_stdin, **chosen)


@user_group.command("change")
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "operator", "admin"]))
@click.option("--disable/--enable", "disabled", default=None, help="Whether the account is closed.")
@options.data_dir()
@options.url
@options.as_json
def change_user(name: str, role: Role | None, disabled: bool | None, **chosen: Any) -> None:
    """Change an account's role or state and end its logins."""
    from service.cli import users

    users.change(name, role, disabled, **chosen)


@user_group.command("list")
@options.data_dir()
@options.url
@options.as_json
def list_users(**chosen: Any) -> None:
    """List the accounts."""
    from service.cli import users

    users.show(**chosen)


@user_group.command("remove")
@click.argument("name")
@options.data_dir()
@options.url
@options.as_json
def remove_user(name: str, **chosen: Any) -> None:
    """Remove an account and end its logins."""
    from service.cli import users

    users.remove(name, **chosen)
