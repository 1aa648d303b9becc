"""``penstock queries``: list the saved queries, in the catalog or at a running service."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from service.catalog.saved_queries import SavedQueries
from service.cli import output, remote, session
from service.kit.clock import SystemClock


def show(*, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Print the saved queries by name. Raises what the catalog or the service raises."""
    with remote.service(url, data_dir) as connection:
        found = remote.items(connection, "queries") if connection is not None else _stored(data_dir)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    lines = [{**query, "parameters": ", ".join(query["parameters"]), "tables": ", ".join(query["tables"])}
             for query in found]  # fmt: skip
    output.show(["name", "parameters", "tables", "public", "cache_seconds", "updated_by", "description"], lines)


def _stored(data_dir: str | None) -> list[dict[str, Any]]:
    saved = session.with_catalog(
        session.existing(data_dir=data_dir), lambda _, store: SavedQueries(store, SystemClock()).all()
    )
    shown: list[dict[str, Any]] = msgspec.to_builtins(saved)
    return shown
