"""``penstock keys …``: the arguments of the commands about API keys; ``cli.keys`` does the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from service.cli import options

Command = Callable[..., Any]


def _common(command: Command) -> Command:
    for decorate in (options.as_json, options.url, options.data_dir()):
        command = decorate(command)
    return command


@click.group("keys")
def key_group() -> None:
    """API keys, for machines."""


@key_group.command("list")
@_common
def list_keys(**chosen: Any) -> None:
    """List your keys; those of all users for admins."""
    from service.cli import keys

    keys.show(**chosen)


@key_group.command("add")
@click.argument("name")
@click.option("--owner", help="The account that the key belongs to; yours with --url.")
@click.option("--role", type=click.Choice(["viewer", "operator", "admin"]), help="At most this role.")
@click.option("--pipelines", multiple=True, metavar="PATTERN", help="Only these pipelines, such as 'sales_*'.")
@click.option("--queries", multiple=True, metavar="QUERY", help="Nothing but the answers of these saved queries.")
@click.option("--rate-limit", type=click.IntRange(min=1), metavar="N", help="Requests a minute at most.")
@click.option("--expires", metavar="TIME", help="When the key ends, such as 2027-01-01T00:00:00Z.")
@_common
def add_key(
    name: str, owner: str | None, role: str | None, pipelines: tuple[str, ...], queries: tuple[str, ...],
    rate_limit: int | None, expires: str | None, **chosen: Any,
) -> None:  # fmt: skip
    """Make a key for NAME and show it, this once."""
    from service.cli import keys

    definition = {
        "name": name, "role": role, "pipelines": list(pipelines) or None, "queries": list(queries) or None,
        "rate_limit_per_minute": rate_limit, "expires": expires,
    }  # fmt: skip
    keys.add(definition, owner, **chosen)


@key_group.command("remove")
@click.argument("id")
@_common
def remove_key(id: str, **chosen: Any) -> None:
    """Remove the key ID; it opens nothing from now on."""
    from service.cli import keys

    keys.remove(id, **chosen)
