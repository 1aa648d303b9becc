"""Rows in memory are those of the catalog, whoever writes, and however reads and commits overlap."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from service.catalog import kept_rows
from service.catalog.history import History
from service.catalog.kept_rows import KeptRows
from service.catalog.pipelines import Pipelines
from service.catalog.statements import load_sql
from service.catalog.store import Store
from service.kit.clock import SystemClock
from service.model.run import Run

CLOCK = SystemClock()
QUEUED = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store(None)
    yield opened
    opened.close()


def run(number: int, status: Any = "running") -> Run:
    return Run(run_id=f"r{number}", pipeline="p", revision=1, status=status, queued_at=QUEUED)


def test_the_newest_run_is_known_until_a_run_of_the_pipeline_changes(store: Store) -> None:
    history = History(store)
    history.add_run("a", run(1))
    history.add_run("b", run(2))
    assert not history.has_newest_run("a")
    assert history.newest_run("a") == run(1)
    assert history.has_newest_run("a")
    history.newest_run("b")
    history.change_run(run(1, "failed"))
    assert not history.has_newest_run("a")
    assert history.has_newest_run("b"), "the run of another pipeline"
    assert history.newest_run("a") == run(1, "failed")


def test_a_pipeline_that_changes_is_read_again(store: Store) -> None:
    pipelines = Pipelines(store, CLOCK)
    pipelines.create("p", "p", {"name": "p"}, None)
    pipelines.get("p").document["name"] = "changed by a caller"
    assert pipelines.get("p").document == {"name": "p"}
    pipelines.update("p", "p", {"name": "p", "description": "new"}, None)
    assert pipelines.get("p").revision == 2
    assert pipelines.has("p")
    pipelines.delete("p")
    assert not pipelines.has("p")


def test_a_statement_that_names_no_pipeline_concerns_all(store: Store) -> None:
    history = History(store)
    history.add_run("a", run(1))
    history.newest_run("a")
    store.execute("DELETE FROM runs")
    assert history.newest_run("a") is None


def test_every_statement_that_writes_names_its_table() -> None:
    tables = {s.split("CREATE TABLE ")[1].split(" ")[0] for s in load_sql("schema").values() if "CREATE TABLE" in s}
    written = {
        kept_rows.written_table(sql)
        for name in ("runs", "versions", "pipelines", "schedules", "version_marks", "deliveries", "trigger_inputs")
        for sql in load_sql(name).values()
        if not sql.lstrip().upper().startswith(("SELECT", "WITH"))
    }
    assert written <= tables
    assert {"runs", "versions", "pipelines", "schedules"} <= written
    assert kept_rows.written_table("SELECT 1") == "*"


def test_a_read_that_a_commit_overtakes_is_not_kept() -> None:
    kept, reading, committed = KeptRows(), threading.Event(), threading.Event()

    def slow() -> dict[str, Any]:
        reading.set()
        assert committed.wait(10)
        return {"value": "old"}

    reader = threading.Thread(target=lambda: kept.get("runs", "a", "sql", slow))
    reader.start()
    assert reading.wait(10)
    kept.forget([("runs", "a")])
    committed.set()
    reader.join()
    assert kept.get("runs", "a", "sql", lambda: {"value": "new"}) == {"value": "new"}


def test_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_rows, "_MOST", 2)
    kept = KeptRows()
    for key in ("a", "b", "a", "c"):
        kept.get("runs", key, "sql", dict)
    assert [kept.has("runs", key, "sql") for key in ("a", "b", "c")] == [True, False, True]
