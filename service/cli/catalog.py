"""``penstock catalog copy``: moves the catalog of an installation from one place to another."""

from __future__ import annotations

from typing import Any

import click

from service.cli import options


@click.group("catalog")
def catalog_group() -> None:
    """The catalog: a file in the data directory, or a PostgreSQL database."""


@catalog_group.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@options.as_json
def copy(source: str, target: str, **chosen: Any) -> None:
    """Copy the catalog of a service that is stopped, and verify the copy.

    FROM and TO are data directories or URLs of PostgreSQL databases (postgresql://user@host/database; the password may
    be in PGPASSWORD). TO must be empty. FROM stays as it is. Only the catalog is copied: versions and uploads stay in
    the data directory, and so do run logs and audit log, until the first start with a database takes them over.
    """
    import msgspec

    from service.catalog import catalog_copy
    from service.cli import output
    from service.files import permissions
    from service.telemetry import logs

    logs.configure("console", "critical")  # the command prints errors itself
    with permissions.private_umask():
        copied = catalog_copy.copy(source, target)
        catalog_copy.give_back(target)
    if chosen["as_json"]:
        click.echo(msgspec.json.encode({"tables": copied}).decode())
        return
    listed = [{"table": one.table, "rows": one.rows, "hash": one.hash} for one in copied if one.rows]
    output.show(("table", "rows", "hash"), listed)
    rows = output.count_of(sum(one.rows for one in copied), "row")
    click.echo(f"copied {rows} of {len(copied)} tables; every table has the same rows in both places")
