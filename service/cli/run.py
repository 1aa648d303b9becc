"""``penstock run``: one pipeline file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from service.api import audit_actions
from service.cli import errors as command_errors
from service.cli import output, pipeline_file, remote, remote_run, session
from service.cli.deed import Deed, recorded
from service.kit import errors
from service.model import pipeline as pipelines
from service.model.lifecycle import STORED
from service.model.pipeline import Pipeline
from service.model.registry import Registry
from service.model.run import Run
from service.runs.core import Core

_QUIET_SECONDS = 60.0


def run_file(
    file: Path,
    *,
    data_dir: str | None,
    url: str | None,
    file_roots: tuple[str, ...] | None,
    allowed_private_hosts: tuple[str, ...] | None,
    full_refresh: bool,
    as_json: bool,
) -> None:
    """Run a pipeline file and print the result. Raises ``command_errors.Ended`` if the run stored nothing.

    A running service runs it with its own file roots, hosts and secrets.
    """
    document = pipeline_file.read(file)
    chosen = session.settings(data_dir=data_dir, allowed_private_hosts=allowed_private_hosts)
    chosen = msgspec.structs.replace(
        chosen, file_roots=(*(file_roots or chosen.file_roots), *pipeline_file.roots(file))
    )

    async def work(core: Core) -> Run:
        pipeline = pipelines.decode(document, core.registry)
        return await execute(core, pipeline, show=not as_json, full_refresh=full_refresh)

    with remote.service(url, data_dir) as connection:
        if connection is not None:
            _refuse_grants(file_roots=file_roots, allowed_private_hosts=allowed_private_hosts)
            pipeline = pipelines.decode(document, Registry.load())
            with _bar(show=not as_json) as advance:
                ended = remote_run.execute(connection, pipeline, advance, full_refresh=full_refresh)
        else:
            ended = session.with_core(chosen, work)
    if as_json:
        body = {k: v for k, v in msgspec.to_builtins(ended).items() if k not in ("error", "queued_at")}
        error = command_errors.error_body(ended.error)["error"] if ended.error is not None else None
        click.echo(msgspec.json.encode({**body, "error": error}).decode())
    elif ended.error is not None:
        command_errors.print_error(ended.error, as_json=False)
    else:
        print_summary(ended, chosen.root)
    if ended.status not in STORED:
        raise command_errors.Ended(1)


async def execute(core: Core, pipeline: Pipeline, *, show: bool, full_refresh: bool = False) -> Run:
    """Save the pipeline (a new revision if it changed), run it, and wait until all its storages are ready."""
    await save(core, pipeline)
    started = core.supervisor.execute(pipeline.name, "cli", full_refresh=full_refresh)
    run = await recorded(core.audit, Deed(audit_actions.EXECUTE, pipeline.name), started)
    with _bar(show=show) as advance:
        async for batch in core.supervisor.events(run.run_id, 0, _QUIET_SECONDS):
            for event in batch:
                if event.kind in ("status", "progress"):
                    advance(msgspec.json.decode(event.data))
        await core.supervisor.loaded()
        return await core.supervisor.run(run.run_id)


@contextmanager
def _bar(*, show: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A progress bar, which gets the data of the events about status and progress."""
    with output.bar(output.ERR) as bar:
        task = bar.add_task("starting", total=100, visible=show, rate="")

        def advance(data: dict[str, Any]) -> None:
            doing = " ".join(str(data[key]) for key in ("phase", "step") if data.get(key)) or data.get("status", "")
            bar.update(task, completed=data.get("progress", 0), description=doing or "running", rate=_rates(data))

        yield advance


def _refuse_grants(**grants: tuple[str, ...] | None) -> None:
    """Refuse flags that a running service cannot obey: it decides what a run may read and call."""
    for name, values in grants.items():
        if values:
            raise errors.Invalid(
                f"a service runs on the data directory, and its own settings decide what a run may read; leave this "
                f"flag out, or start the service with PENSTOCK_{name.upper()}",
                field=name,
            )


def _rates(data: dict[str, Any]) -> str:
    """The rates of the present step and the time that is left, as far as they are known."""
    step: dict[str, Any] = next((s for s in data.get("steps", []) if s["step"] == data.get("step")), {})
    rows, size, end = step.get("rows_per_second"), step.get("bytes_per_second"), data.get("estimated_end")
    texts = [f"{rows:,.0f} rows/s" if rows else "", f"{output.size(size)}/s" if size else ""]
    if end is not None:
        left = datetime.fromisoformat(end) - datetime.now(UTC)
        texts.append(f"{output.duration(max(0.0, left.total_seconds()))} left")
    return "  ".join(text for text in texts if text)


async def save(core: Core, pipeline: Pipeline) -> None:
    """Save the pipeline: a new revision if it changed."""
    try:
        known = core.pipelines.get(pipeline.name)
    except errors.Missing:
        await recorded(
            core.audit, Deed(audit_actions.CREATE_PIPELINE, pipeline.name),
            asyncio.to_thread(core.pipelines.create, pipeline.name, pipeline.table, pipeline.document, "cli"),
        )  # fmt: skip
        return
    if known.document != pipeline.document:
        await recorded(
            core.audit, Deed(audit_actions.CHANGE_PIPELINE, pipeline.name),
            asyncio.to_thread(core.pipelines.update, pipeline.name, pipeline.table, pipeline.document, "cli"),
        )  # fmt: skip


def print_summary(run: Run, root: Path) -> None:
    """Print what a completed or held run stored, where, why it is held, and its warnings."""
    for warning in run.warnings:
        output.ERR.print(f"[yellow]warning[/yellow] {output.escape(warning.message)}")
    rejected = f", {run.rows_rejected:,} rejected" if run.rows_rejected else ""
    for breach in run.held_because:
        output.ERR.print(f"[yellow]held[/yellow] {output.escape(breach.message)}")
    colour = "yellow" if run.status == "held" else "green"
    output.OUT.print(
        f"[bold {colour}]{run.status}[/bold {colour}] {run.pipeline} version {run.version}: {run.rows_stored:,} rows "
        f"in {run.duration or 0:.2f} s ({run.rows_collected:,} collected{rejected})"
    )
    for stored in run.storage:
        output.OUT.print(f"  {stored.type:8} {output.size(stored.bytes):>10}  {root / stored.location}", soft_wrap=True)
