"""``penstock processes``: list the processes that serve an installation, from the catalog or a running service."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from service.catalog.process_list import ProcessList
from service.cli import output, remote, session
from service.kit.clock import SystemClock

_COLUMNS = ["kind", "host", "pid", "labels", "running", "concurrency", "draining", "release", "started", "last_seen"]


def show(*, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Print the processes, oldest first. Raises what the catalog or the service raises."""
    with remote.service(url, data_dir) as connection:
        found = remote.items(connection, "processes") if connection is not None else _stored(data_dir)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    output.show(_COLUMNS, [{**process, "labels": ", ".join(process["labels"])} for process in found])


def _stored(data_dir: str | None) -> list[dict[str, Any]]:
    settings, now = session.settings(data_dir=data_dir), SystemClock().now()
    if settings.catalog_url is None:
        session.existing(data_dir=data_dir)
    living = session.with_catalog(
        settings, lambda _, store: ProcessList(store, settings.lease_seconds).living(now)
    )  # fmt: skip
    shown: list[dict[str, Any]] = msgspec.to_builtins(living)
    return shown
