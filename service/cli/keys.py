"""``penstock keys …``: API keys, by the running service or in the catalog without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

import click
import msgspec

from service.catalog.api_keys import ApiKeys
from service.catalog.users import Users
from service.cli import output, remote, session
from service.kit import errors
from service.kit.clock import SystemClock
from service.model.api_key import KeyDefinition
from service.model.rights import Rights

T = TypeVar("T")
_COLUMNS = ["id", "owner", "name", "prefix", "role", "pipelines", "queries", "expires", "last_used"]


def _in_catalog(data_dir: str | None, work: Callable[[ApiKeys, Users], T]) -> T:
    def opened(_: Any, store: Any) -> T:
        return work(ApiKeys(store, SystemClock()), Users(store, SystemClock()))

    return session.with_catalog(session.existing(data_dir=data_dir), opened)


def add(definition: dict[str, Any], owner: str | None, *, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Make a key and print it, this once. Raises ``errors.Invalid`` and what the service answers."""
    wanted = {name: value for name, value in definition.items() if value is not None}
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            made = connection.send("POST", "keys", wanted | ({"owner": owner} if owner is not None else {}))
        else:
            made = _in_catalog(data_dir, lambda keys, users: _made(keys, users, owner, wanted))
    if as_json:
        click.echo(msgspec.json.encode(made).decode())
    else:
        click.echo(f"{made['key']}\nThis is the only time that the key is shown.", nl=True)


def _made(keys: ApiKeys, users: Users, owner: str | None, wanted: dict[str, Any]) -> dict[str, Any]:
    account = users.account(owner) if owner is not None else None
    if account is None:
        raise errors.Invalid("--owner: name the account that the key belongs to", field="owner")
    try:
        definition = msgspec.convert(wanted, KeyDefinition)
    except msgspec.ValidationError as error:
        raise errors.Invalid(str(error)) from None
    user = account.user
    definition.check(Rights(username=user.username, role=user.role, account=user.username), SystemClock().now())
    key, secret = keys.add(user.username, definition)
    return {**msgspec.to_builtins(key), "key": secret}


def show(*, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """List the keys that the caller may see."""
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            found = remote.items(connection, "keys")
        else:
            found = msgspec.to_builtins(_in_catalog(data_dir, lambda keys, _: keys.list()))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    lines = [{**key, **{name: ", ".join(key[name] or []) for name in ("pipelines", "queries")}} for key in found]
    output.show(_COLUMNS, lines)


def remove(identity: str, *, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Remove a key. Raises ``errors.Missing``."""
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            connection.send("DELETE", f"keys/{quote(identity, safe='')}")
        else:
            _in_catalog(data_dir, lambda keys, _: keys.delete(identity))
    click.echo(msgspec.json.encode({"id": identity}).decode() if as_json else f"removed '{identity}'")
