"""``penstock schedule …``: list, pause and resume schedules, in the catalog or at a running service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import msgspec

from service.api import audit_actions, responses
from service.catalog.pipelines import Pipelines
from service.catalog.schedules import Schedules
from service.catalog.store import Store
from service.cli import output, remote, session
from service.cli.deed import Deed
from service.kit.clock import SystemClock
from service.model.schedule import ScheduleState

_COLUMNS = ["name", "cron", "timezone", "misfire", "enabled", "paused", "last_fire", "next_fire"]


def show(*, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Print the pipelines that have a schedule, by name. Raises ``errors.Missing``."""
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            found = remote.items(connection, "schedules")
        else:
            found = _with_schedules(data_dir, lambda _, schedules: schedules.all())
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        output.show(_COLUMNS, found)


def pause(name: str, *, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Pause the schedule of a pipeline. Raises ``errors.Missing``."""
    _print(_change(name, "pause", lambda schedules: schedules.pause(name), data_dir, url), as_json=as_json)


def resume(name: str, *, data_dir: str | None, url: str | None, as_json: bool) -> None:
    """Resume the schedule of a pipeline. Raises ``errors.Missing``."""
    _print(_change(name, "resume", lambda schedules: schedules.resume(name), data_dir, url), as_json=as_json)


def _change(
    name: str, verb: str, change: Callable[[Schedules], ScheduleState], data_dir: str | None, url: str | None
) -> dict[str, Any]:
    with remote.service(url, data_dir) as connection:
        if connection is not None:
            return dict(connection.send("POST", f"pipeline/{name}/schedule/{verb}"))

    def work(pipelines: Pipelines, schedules: Schedules) -> list[ScheduleState]:
        pipelines.get(name)
        return [change(schedules)]

    action = audit_actions.PAUSE if verb == "pause" else audit_actions.RESUME
    return _with_schedules(data_dir, work, Deed(action, name))[0]


def _with_schedules(
    data_dir: str | None, work: Callable[[Pipelines, Schedules], list[ScheduleState]], deed: Deed | None = None
) -> list[dict[str, Any]]:
    """The schedules that ``work`` returns, as the API shows them."""
    clock = SystemClock()

    def inside(store: Store) -> list[ScheduleState]:
        return work(Pipelines(store, clock), Schedules(store, clock))

    states = session.with_catalog(session.existing(data_dir=data_dir), lambda _, store: inside(store), deed)
    shown: list[dict[str, Any]] = msgspec.to_builtins([responses.schedule(state, clock.now()) for state in states])
    return shown


def _print(schedule: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(schedule).decode())
    elif schedule["paused"]:
        click.echo(f"paused the schedule of '{schedule['name']}' ({schedule['cron']})")
    else:
        following = schedule["next_fire"] or "never: it is not enabled"
        click.echo(f"resumed the schedule of '{schedule['name']}' ({schedule['cron']}); next run: {following}")
