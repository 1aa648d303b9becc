"""All pipelines at a glance: the newest runs and versions of each, schedules, and what is late."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest

from service.catalog import overview
from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.catalog.store import Store
from service.kit.clock import FixedClock
from service.kit.errors import Body
from service.model.run import Run
from service.model.version import Version
from tests import stores

pytestmark = stores.BOTH

CLOCK = FixedClock()


@pytest.fixture
def store() -> Store:
    return stores.new()


def a_run(run_id: str, begin: datetime) -> Run:
    return Run(run_id=run_id, pipeline="orders", revision=1, status="queued", queued_at=begin)


def ran(history: History, pipeline_id: str, number: int, status: str, hours_ago: float, rows: int = 0) -> Run:
    """A run that ended so many hours ago."""
    begin = CLOCK.now() - timedelta(hours=hours_ago)
    queued = a_run(f"run_{pipeline_id}_{number}", begin)
    history.add_run(pipeline_id, queued)
    history.begin_attempt(msgspec.structs.replace(queued, status="running", start_time=begin))
    ended = msgspec.structs.replace(
        queued, status=status, start_time=begin, end_time=begin + timedelta(seconds=5), duration=5.0,
        error=Body("STEP_FAILED", "it broke") if status == "failed" else None,
    )  # fmt: skip
    if status == "completed":
        version = Version(
            pipeline="orders", version=number, run_id=ended.run_id, revision=1, table="orders", rows=rows,
            bytes=rows, columns=[], files=[], sources=[], created=begin,
        )  # fmt: skip
        history.publish(pipeline_id, msgspec.structs.replace(ended, version=number), version)
    else:
        history.change_run(ended)
    return ended


def test_pipelines_at_a_glance(store: Store) -> None:
    pipelines, history = Pipelines(store, CLOCK), History(store)
    orders = pipelines.create("orders", "orders", {"schedule": {"cron": "0 * * * *", "timezone": "UTC"}}, "cli")
    pipelines.create("pay", "pay", {"description": "wages"}, "ann", owner="ann")
    ran(history, orders.id, 1, "completed", 5, rows=10)
    ran(history, orders.id, 2, "completed", 4, rows=12)
    ran(history, orders.id, 3, "failed", 1)
    first, second = overview.of_all(store, CLOCK.now(), None, {})
    assert (first.name, first.status, first.version, first.rows) == ("orders", "failed", 2, 12)
    assert [run.status for run in first.recent_runs] == ["failed", "completed", "completed"]
    assert first.recent_runs[0].error == "STEP_FAILED"
    assert first.recent_rows == [12, 10]
    assert first.last_success == CLOCK.now() - timedelta(hours=4)
    assert first.late_since is not None
    assert first.late_since <= CLOCK.now() - timedelta(hours=3)
    assert (second.status, second.description, second.owner, second.late_since) == ("idle", "wages", "ann", None)


def test_what_is_not_readable_is_not_there(store: Store) -> None:
    pipelines = Pipelines(store, CLOCK)
    for name in ("orders", "pay"):
        pipelines.create(name, name, {}, "cli")
    assert [one.name for one in overview.of_all(store, CLOCK.now(), frozenset({"pay"}), {})] == ["pay"]


def test_present_states_stand_before_stored_ones(store: Store) -> None:
    pipelines, history = Pipelines(store, CLOCK), History(store)
    orders = pipelines.create("orders", "orders", {}, "cli")
    run = a_run("run_1", CLOCK.now())
    history.add_run(orders.id, run)
    now = msgspec.structs.replace(run, status="running", duration=1.5)
    (found,) = overview.of_all(store, CLOCK.now(), None, {"run_1": now})
    assert (found.status, found.recent_runs[0].duration) == ("running", 1.5)


def test_numbers_of_rows_are_kept_from_who_sees_only_some(store: Store) -> None:
    pipelines, history = Pipelines(store, CLOCK), History(store)
    orders = pipelines.create("orders", "orders", {}, "cli")
    ran(history, orders.id, 1, "completed", 5, rows=10)
    (found,) = overview.of_all(store, CLOCK.now(), None, {}, {"orders"})
    assert (found.status, found.version, found.rows, found.bytes, found.recent_rows) == ("completed", 1, None, None, [])


def test_an_end_that_is_stored_stands_before_a_state_in_memory(store: Store) -> None:
    pipelines, history = Pipelines(store, CLOCK), History(store)
    orders = pipelines.create("orders", "orders", {}, "cli")
    ended = ran(history, orders.id, 1, "failed", 5)
    going = msgspec.structs.replace(ended, status="running", error=None)
    (found,) = overview.of_all(store, CLOCK.now(), None, {ended.run_id: going})
    assert found.status == "failed"


def test_what_starts_a_pipeline_and_what_its_run_waits_for(store: Store) -> None:
    pipelines, history = Pipelines(store, CLOCK), History(store)
    pipelines.create("orders", "orders", {}, "cli")
    report = pipelines.create("report", "report", {"trigger": {"after": ["orders"]}}, "cli")
    run = msgspec.structs.replace(a_run("run_1", CLOCK.now()), label="gpu", waiting_for="a process with the label gpu")
    history.add_run(report.id, run)
    (found,) = overview.of_all(store, CLOCK.now(), frozenset({"report"}), {})
    assert found.after == ["orders"]
    assert (found.recent_runs[0].label, found.recent_runs[0].waiting_for) == ("gpu", "a process with the label gpu")
