"""``penstock diff``: what differs between two versions of a pipeline."""

from __future__ import annotations

import asyncio
from typing import Any

import click
import msgspec

from service.api import path_lookup
from service.cli import output, remote, session
from service.runs import version_comparison
from service.runs.core import Core

_COLUMNS = ["name", "change", "type", "changed", "missing before", "missing after", "mean before", "mean after", "psi"]
_COUNTS = ("added", "removed", "changed", "unchanged")


def show(
    pipeline: str, version: str | None, *, against: str | None, key: str | None, limit: int, data_dir: str | None,
    url: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Print the differences. Raises ``errors.Missing``, ``errors.Invalid``, ``errors.Conflict``."""

    async def work(core: Core) -> bytes:
        return await _compare(core, pipeline, version, against, key, limit)

    with remote.service(url, data_dir) as connection:
        if connection is not None:
            number = version or connection.get(f"pipeline/{pipeline}/schema")["version"]
            query = {"against": against, "key": key, "limit": limit}
            path = f"pipeline/{pipeline}/versions/{number}/diff"
            found = connection.get(path, {name: value for name, value in query.items() if value is not None})
        else:
            found = msgspec.json.decode(session.with_core(session.existing(data_dir=data_dir), work))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        _print(found)


async def _compare(
    core: Core, pipeline: str, version: str | None, against: str | None, key: str | None, limit: int
) -> bytes:
    record = await asyncio.to_thread(core.pipelines.get, pipeline)
    which = path_lookup.named_version(version, pipeline) if version is not None else None
    after = await asyncio.to_thread(core.history.version, record.id, pipeline, which)
    if against is None:
        before = await asyncio.to_thread(core.history.version_before, record.id, after)
    else:
        other = path_lookup.chosen_version(against, "against")
        before = await asyncio.to_thread(core.history.version, record.id, pipeline, other, "against")
    for compared in (before, after):
        await core.sources.of_version(compared)  # checks its files
    revisions = [await asyncio.to_thread(core.pipelines.get, pipeline, v.revision) for v in (before, after)]
    task = version_comparison.comparing(
        core.layout, before, after, (revisions[0].document, revisions[1].document),
        key=version_comparison.key_columns(key) if key is not None else None, limit=limit,
    )  # fmt: skip
    stored = version_comparison.readable(task)
    return await core.tasks.ask(task, seconds=version_comparison.SECONDS, stored=stored)


def _print(found: dict[str, Any]) -> None:
    rows, key = found["rows"], ", ".join(found["key"]) or "whole rows"
    click.echo(f"{found['pipeline']}: version {found['against']} → {found['version']}, matched by {key}")
    counts = ", ".join(f"{rows[name]:,} {name}" for name in _COUNTS)
    click.echo(f"{output.count_of(rows['before'], 'row')} → {output.count_of(rows['after'], 'row')}: {counts}\n")
    output.show(_COLUMNS, [_column(column) for column in found["columns"]])
    for name in ("added", "removed"):
        _print_rows(name, found["samples"][name], rows[name])
    changed = [
        line
        for row in found["samples"]["changed"]
        for line in ({"version": found["against"], **row["before"]}, {"version": found["version"], **row["after"]})
    ]
    _print_rows("changed", changed, rows["changed"])


def _column(column: dict[str, Any]) -> dict[str, Any]:
    sides = {
        f"{label} {side}": column[field][side]
        for label, field in (("missing", "missing_share"), ("mean", "mean"))
        for side in ("before", "after")
    }
    return {**column, **sides}


def _print_rows(name: str, rows: list[dict[str, Any]], count: int) -> None:
    if rows:
        click.echo(f"\n{name} ({output.count_of(count, 'row')})")
        output.show(list(dict.fromkeys(column for row in rows for column in row)), rows)
