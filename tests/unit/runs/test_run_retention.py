"""Retention of runs: which are deleted, with their logs, and that statistics are the same before and after."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.catalog import expired_runs
from service.catalog.expired_runs import ExpiredRuns
from service.catalog.history import History
from service.catalog.lineage_events import LineageEvents
from service.catalog.pipelines import Pipelines
from service.catalog.surplus import Surplus
from service.catalog.version_marks import VersionMarks
from service.files.layout import Layout
from service.kit import errors
from service.kit.clock import FixedClock
from service.model.lifecycle import Status
from service.model.run import Run
from service.model.version import Version
from service.query.integrity import Integrity
from service.runs import retention
from service.runs.retention import Retention
from service.runs.version_upkeep import VersionUpkeep
from tests import stores

pytestmark = stores.BOTH

FIGURES = (
    "total_executions", "successful_executions", "failed_executions", "held_executions", "success_rate",
    "average_duration", "p50_duration", "p95_duration", "total_rows_processed", "rows_per_second", "last_execution",
    "last_error",
)  # fmt: skip


class Past:
    """Runs of two pipelines, a minute apart."""

    def __init__(self, data: Path) -> None:
        self.clock, self.store, self.layout = FixedClock(), stores.new(), Layout(data)
        self.layout.create()
        self.history, self.pipelines = History(self.store, lineage=True), Pipelines(self.store, self.clock)
        self.ids = {name: self.pipelines.create(name, name, {"name": name}, None).id for name in ("shop", "other")}
        upkeep = VersionUpkeep(
            self.history, self.pipelines, VersionMarks(self.store), self.layout, self.clock, Integrity(self.layout)
        )
        self.expired = ExpiredRuns(self.store)
        self.retention = Retention(Surplus(self.store), self.expired, upkeep, self.layout, self.clock)

    def run(self, run_id: str, status: Status, seconds: float = 1.0, *, name: str = "shop", **more: int) -> None:
        self.clock.advance(60)
        start = self.clock.now()
        run = Run(run_id=run_id, pipeline=name, revision=1, status="running", queued_at=start, start_time=start)
        self.history.add_run(self.ids[name], run)
        error = errors.Permanent(f"{run_id} failed", step="x").as_body() if status == "failed" else None
        end = start + timedelta(seconds=seconds)
        self.history.change_run(
            msgspec.structs.replace(run, status=status, end_time=end, rows_stored=10, error=error, **more)
        )
        self.layout.log(run_id).write_text("{}")

    def version(self, run_id: str, number: int, name: str = "shop") -> None:
        self.history.adopt(self.ids[name], self.history.run(run_id), Version(
            pipeline=name, version=number, run_id=run_id, revision=1, table=name, rows=1, bytes=1, columns=[],
            files=[], sources=[], created=self.clock.now(),
        ))  # fmt: skip

    def surplus(self, pipeline_id: str | None = None) -> list[tuple[str, int]]:
        wanted = None if pipeline_id is None else [pipeline_id]
        return sorted((v.pipeline, v.version) for _, v in Surplus(self.store).versions(pipeline_ids=wanted))

    def figures(self, name: str = "shop") -> dict[str, object]:
        found = self.history.statistics(self.ids[name])
        return {figure: found[figure] for figure in FIGURES}

    def runs(self, name: str = "shop") -> list[str]:
        return [run.run_id for run in self.history.runs(self.ids[name], limit=1000, offset=0)[0]]

    def logs(self) -> set[str]:
        return {file.stem for file in self.layout.logs.iterdir()}

    def later(self, days: float) -> None:
        LineageEvents(self.store, self.clock).remove(1 << 40)  # they were sent
        self.clock.advance(days * 86400)

    def sweep(self) -> int:
        return asyncio.run(self.retention.sweep_runs())


@pytest.fixture
def past(tmp_path: Path) -> Past:
    made = Past(tmp_path)
    for place, seconds in enumerate((0.25, 3, 1.5, 7, 2)):
        made.run(f"done_{place}", "completed", seconds)
    for place in range(2):
        made.run(f"failed_{place}", "failed")
    made.run("held", "held")
    made.run("restored", "completed", 99, restored_from=1)
    made.run("cancelled", "cancelled")
    made.run("newest", "completed", 4)
    made.run("elsewhere", "completed", 5, name="other")
    return made


def test_statistics_are_the_same_before_and_after(past: Past) -> None:
    past.version("done_1", 1)
    before = past.figures()
    assert (before["total_executions"], before["p50_duration"], before["average_duration"]) == (10, 2.5, 17.75 / 6)
    past.later(91)
    assert (past.sweep(), past.sweep()) == (8, 0)
    assert past.runs() == ["newest", "failed_1", "done_1"]
    assert past.logs() == {"newest", "failed_1", "done_1", "elsewhere"}
    assert past.runs("other") == ["elsewhere"]  # the newest run of its pipeline
    assert past.figures() == before
    past.run("one more", "completed", 6)
    past.run("and one", "failed")
    assert past.figures()["total_executions"] == 12
    before = past.figures()
    past.later(91)
    assert past.sweep() == 3  # those two are the newest ones now; "one more" is neither
    assert past.figures() == before


@pytest.mark.parametrize(("settings", "days", "gone"), [({}, 89, 0), ({"days": 5}, 6, 9), ({"days": 100}, 99, 0)])
def test_days_decide(past: Past, settings: dict[str, int], days: int, gone: int) -> None:
    past.pipelines.update("shop", "shop", {"name": "shop", "retention": settings}, None)
    past.later(days)
    assert past.sweep() == gone


def test_pipelines_of_older_releases_keep_all_until_set(past: Past) -> None:
    past.store.execute("INSERT INTO unlimited_pipelines VALUES ($id)", {"id": past.ids["shop"]})
    past.later(1000)
    assert past.sweep() == 0
    past.pipelines.update("shop", "shop", {"name": "shop", "retention": {}}, None)
    assert past.sweep() == 9


def test_runs_with_an_event_that_was_not_sent_stay(past: Past) -> None:
    past.clock.advance(91 * 86400)
    assert past.sweep() == 0


@pytest.mark.parametrize("when", ["before the logs", "before the runs", "after the runs"])
def test_a_kill_at_any_point_leaves_work_for_the_next_sweep(
    past: Past, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    before = past.figures()
    past.later(91)
    delete = past.expired.delete

    def die(batch: Any, **_: object) -> None:
        if when == "after the runs":
            delete(batch)
        raise KeyboardInterrupt

    where, name = (Path, "unlink") if when == "before the logs" else (past.expired, "delete")
    monkeypatch.setattr(where, name, die)
    with pytest.raises(KeyboardInterrupt):
        past.sweep()
    monkeypatch.undo()
    assert past.figures() == before
    assert past.sweep() == (0 if when == "after the runs" else 9)
    assert (past.figures(), past.logs()) == (before, {"newest", "failed_1", "elsewhere"})


def test_a_sweep_is_bounded(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_BATCH", 2)
    monkeypatch.setattr(retention, "_BATCHES", 3)
    past.later(91)
    assert [past.sweep() for _ in range(3)] == [6, 3, 0]


def test_many_durations_are_kept_with_three_digits(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expired_runs, "_MOST_DURATIONS", 3)
    before = past.figures()
    past.run("between", "completed", 1.2345678)
    past.run("last", "failed")
    past.later(91)
    past.sweep()
    kept = past.store.rows("SELECT microseconds FROM run_durations ORDER BY microseconds")
    assert [row["microseconds"] for row in kept] == [250000, 1230000, 1500000, 2000000, 3000000, 4000000, 7000000]
    after = past.figures()
    assert after["total_executions"] == before["total_executions"] + 2  # type: ignore[operator]
    assert after["average_duration"] == pytest.approx((17.75 + 1.234567) / 7, abs=2e-6)


def test_deleted_versions_are_forgotten_later_but_no_number_is_used_again(past: Past) -> None:
    for place in range(3):
        past.version(f"done_{place}", place + 1)
    marks, shop = VersionMarks(past.store), past.ids["shop"]
    past.version("newest", 4)
    for number in (1, 2):
        marks.delete(shop, past.history.version(shop, "shop", number), past.clock.now())
    past.later(91)
    past.expired.forget_versions(past.clock.now())
    assert past.history.was_deleted("done_1")
    assert not past.history.was_deleted("done_0")


def test_the_hourly_sweep_also_forgets_what_is_over(past: Past) -> None:
    called: list[datetime] = []

    async def hours() -> None:
        done = asyncio.Event()

        def forget() -> None:
            called.append(past.clock.now())
            loop.call_soon_threadsafe(done.set)

        loop = asyncio.get_running_loop()
        past.retention._forget = [forget]
        await past.retention.start()
        for _ in range(2):
            await asyncio.wait_for(done.wait(), 60)
            done.clear()
            past.clock.advance(3600)
        await past.retention.close()

    asyncio.run(hours())
    assert (called[1] - called[0]) == timedelta(hours=1)


def test_a_commit_sweeps_the_versions_of_its_pipeline_and_an_hour_those_of_all(past: Past) -> None:
    for name, owner in past.ids.items():
        past.pipelines.update(name, name, {"name": name, "keep_versions": 1}, None)
        past.run(f"{name}_0", "completed", name=name)
        past.version(f"{name}_0", 1, name)
        assert past.surplus(owner) == []

    async def settled() -> None:
        while (sleeps := past.clock.sleeps) is None or sleeps <= 0:  # noqa: ASYNC110 - a test may watch
            await asyncio.sleep(0.001)

    async def act() -> None:
        await past.retention.start()
        await settled()
        for name in past.ids:
            past.run(f"{name}_1", "completed", name=name)
            past.version(f"{name}_1", 2, name)
        assert past.surplus() == [("other", 1), ("shop", 1)]
        past.retention.check(past.ids["shop"])
        while past.surplus(past.ids["shop"]):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert past.surplus() == [("other", 1)]
        past.clock.advance(3600)
        while past.surplus():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await past.retention.close()

    asyncio.run(act())
    assert [past.history.next_version(owner) for owner in past.ids.values()] == [3, 3]
