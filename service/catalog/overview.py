"""All pipelines at a glance: four statements, however many there are."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Row, Store
from service.model.lifecycle import ENDED
from service.model.overview import PipelineGlance, RunGlance
from service.model.rights import Readable
from service.model.run import Run
from service.model.schedule import Schedule, ScheduleState

_SQL = load_sql("overview")
_MOST_RUNS = 20
_MOST_VERSIONS = 20
_GRACE = timedelta(seconds=60)
"""A run has so long to end after the time of its schedule before the data count as late."""


def of_all(
    store: Store, now: datetime, readable: Readable, going: Mapping[str, Run], filtered: Collection[str] = ()
) -> list[PipelineGlance]:
    """The readable pipelines by name, without numbers of rows of those that are ``filtered``. Blocks.

    ``going`` has the present state of runs that the catalog may lack, by run id.
    """
    names = None if readable is None else [*readable]
    rows = store.rows(_SQL["pipelines"], {"names": names})
    ids = None if names is None else [row["id"] for row in rows]
    runs = _by_pipeline(store.rows(_SQL["runs"], {"most": _MOST_RUNS, "ids": ids}))
    newest = {row["pipeline_id"]: row for row in store.rows(_SQL["versions"], {"most": _MOST_VERSIONS, "ids": ids})}
    successes = {row["pipeline_id"]: _utc(row["last_success"]) for row in store.rows(_SQL["successes"], {"ids": ids})}
    found = [
        _glance(
            row, [_run(one, going) for one in runs[row["id"]]], newest.get(row["id"]), successes.get(row["id"]), now
        )
        for row in rows
    ]
    return [_without_rows(one) if one.name in filtered else one for one in found]


def _without_rows(glance: PipelineGlance) -> PipelineGlance:
    return msgspec.structs.replace(glance, rows=None, bytes=None, recent_rows=[])


def _glance(
    row: Row, runs: list[RunGlance], newest: Row | None, success: datetime | None, now: datetime
) -> PipelineGlance:
    schedule = msgspec.json.decode(row["schedule"], type=Schedule) if row["schedule"] is not None else None
    newest = newest or {}
    return PipelineGlance(
        name=row["name"], description=row["description"], revision=row["revision"], owner=row["owner"],
        visibility=row["visibility"], status=runs[0].status if runs else "idle",
        cron=schedule.cron if schedule is not None else None,
        timezone=schedule.timezone if schedule is not None else None, paused=row["paused"],
        after=msgspec.json.decode(row["after"]) if row["after"] is not None else [],
        next_run=_next(row, schedule, now), late_since=_late(row, schedule, success, now), last_success=success,
        version=newest.get("version"), rows=next(iter(newest.get("recent_rows", ())), None), bytes=newest.get("bytes"),
        version_created=_utc(newest.get("created")), recent_runs=runs, recent_rows=newest.get("recent_rows", []),
    )  # fmt: skip


def _next(row: Row, schedule: Schedule | None, now: datetime) -> datetime | None:
    if schedule is None:
        return None
    handled = row["handled"].replace(tzinfo=UTC)
    state = ScheduleState(
        pipeline_id=row["id"], name=row["name"], schedule=schedule, paused=row["paused"], handled=handled
    )
    return state.next_fire(now)


def _late(row: Row, schedule: Schedule | None, success: datetime | None, now: datetime) -> datetime | None:
    if schedule is None or not schedule.enabled or row["paused"] or success is None:
        return None
    due = _due(schedule, success)
    return due if due + _GRACE < now else None


@functools.lru_cache(maxsize=4096)
def _due(schedule: Schedule, success: datetime) -> datetime:
    """When a pipeline had to run next; a page asks again and again."""
    return schedule.after(success)


def _run(row: Row, going: Mapping[str, Run]) -> RunGlance:
    run = going.get(row["run_id"])
    if run is not None and row["status"] not in ENDED:  # else its end was written meanwhile
        return RunGlance(
            run_id=run.run_id, status=run.status, start_time=run.start_time, end_time=run.end_time,
            duration=run.duration, error=run.error.code if run.error is not None else None,
            label=run.label, waiting_for=run.waiting_for,
        )  # fmt: skip
    return RunGlance(
        run_id=row["run_id"], status=row["status"], start_time=_utc(row["start_time"]), end_time=_utc(row["end_time"]),
        duration=row["duration"], error=row["error_code"], label=row["label"], waiting_for=row["waiting_for"],
    )  # fmt: skip


def _by_pipeline(rows: list[Row]) -> defaultdict[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["pipeline_id"]].append(row)
    return found


def _utc(value: datetime | None) -> datetime | None:
    return value.replace(tzinfo=UTC) if value is not None else None
