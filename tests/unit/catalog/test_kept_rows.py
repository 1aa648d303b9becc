"""Rows in memory are those of the catalog, whoever writes, and however reads and commits overlap."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from service.catalog import kept_rows, run_rows
from service.catalog.duckdb_store import DuckDBStore
from service.catalog.history import History
from service.catalog.kept_rows import RUN_STATES, KeptRows
from service.catalog.pipelines import Pipelines, refuse_deleted
from service.catalog.statements import load_sql
from service.catalog.store import Transaction
from service.kit import errors
from service.kit.clock import SystemClock
from service.model import lifecycle
from service.model.run import Run
from service.model.version import Version

CLOCK = SystemClock()
QUEUED = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def store() -> Iterator[DuckDBStore]:
    opened = DuckDBStore(None)
    yield opened
    opened.close()


def run(number: int, status: Any = "running") -> Run:
    return Run(run_id=f"r{number}", pipeline="p", revision=1, status=status, queued_at=QUEUED)


def test_the_newest_run_is_known_until_a_run_of_the_pipeline_changes(store: DuckDBStore) -> None:
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


def test_a_pipeline_that_changes_is_read_again(store: DuckDBStore) -> None:
    pipelines = Pipelines(store, CLOCK)
    pipelines.create("p", "p", {"name": "p"}, None)
    pipelines.get("p").document["name"] = "changed by a caller"
    assert pipelines.get("p").document == {"name": "p"}
    pipelines.update("p", "p", {"name": "p", "description": "new"}, None)
    assert pipelines.get("p").revision == 2
    assert pipelines.has("p")
    assert pipelines.kept("p") == pipelines.get("p")
    pipelines.delete("p")
    assert not pipelines.has("p")


def test_a_statement_that_names_no_pipeline_concerns_all(store: DuckDBStore) -> None:
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
        assert committed.wait(60)
        return {"value": "old"}

    reader = threading.Thread(target=lambda: kept.get("runs", "a", "sql", slow))
    reader.start()
    assert reading.wait(60)
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


def version(number: int, *, held: bool = False) -> Version:
    return Version(
        pipeline="p", version=number, run_id=f"r{number}", revision=1, table="p", rows=1, bytes=number, columns=[],
        files=[], sources=[], created=QUEUED, held=held,
    )  # fmt: skip


def publish(history: History, number: int, **more: Any) -> None:
    history.add_run("a", run(number))
    history.publish("a", run(number, "held" if more.get("held") else "completed"), version(number, **more))


def test_a_published_version_is_known_without_a_read(store: DuckDBStore) -> None:
    history, find = History(store), load_sql("versions")["find"]
    publish(history, 1)
    assert store.keeps("versions", "a", find)
    publish(history, 2, held=True)
    assert not store.keeps("versions", "a", find), "a held version is not the newest one"
    assert (history.newest("a"), history.next_version("a")) == (version(1), 3)
    publish(history, 3)
    assert (history.newest("a"), history.next_version("a")) == (version(3), 4)
    row = store.row(find, {"pipeline_id": "a", "version": None})
    assert row == store.kept_row("versions", "a", find, {}), "what is kept is what would be read"


def test_what_was_not_committed_is_not_known(store: DuckDBStore) -> None:
    history = History(store)
    publish(history, 1)
    history.add_run("a", run(2))
    with pytest.raises(lifecycle.Superseded):
        history.publish("a", run(2, "completed"), version(2), fence=7)

    def broken_off(transaction: Transaction) -> None:
        transaction.execute("DELETE FROM versions")
        transaction.keep("versions", "a", load_sql("versions")["find"], {"value": "{}"})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.write(broken_off)
    assert history.newest("a") == version(1)


def test_a_transaction_reads_what_it_wrote_and_nobody_keeps_it(store: DuckDBStore) -> None:
    pipelines, current = Pipelines(store, CLOCK), load_sql("pipelines")["current"]

    def broken_off(transaction: Transaction) -> None:
        assert transaction.kept_row("pipelines", "p", current, {"name": "p"}) is None
        transaction.execute(
            "INSERT INTO pipelines (id, name, table_name, revision, created) VALUES ('id', 'p', 'p', 1, '2026-01-01')"
        )
        assert transaction.kept_row("pipelines", "p", current, {"name": "p"}) is not None
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.write(broken_off)
    with pytest.raises(errors.Missing):
        pipelines.get("p")
    assert store.write(lambda transaction: transaction.kept_row("pipelines", "p", current, {"name": "p"})) is None


def test_runs_are_numbered_in_their_order_whatever_is_rolled_back(store: DuckDBStore) -> None:
    history = History(store)

    def two(transaction: Transaction, *, fails: bool) -> None:
        for number in (2, 3):
            run_rows.insert(transaction, "a", run(number), history.lease)
        if fails:
            raise ZeroDivisionError

    history.add_run("a", run(1))
    with pytest.raises(ZeroDivisionError):
        store.write(lambda transaction: two(transaction, fails=True))
    store.write(lambda transaction: two(transaction, fails=False))
    store.execute("DELETE FROM runs WHERE run_id = 'r3'")
    history.add_run("a", run(4))
    rows = store.rows("SELECT run_id, sequence FROM runs ORDER BY sequence")
    assert [(row["run_id"], row["sequence"]) for row in rows] == [("r1", 1), ("r2", 2), ("r4", 3)]


def test_the_state_of_a_run_is_known_until_it_ends_or_another_statement_writes_runs(store: DuckDBStore) -> None:
    history, state = History(store), load_sql("runs")["state"]
    history.add_run("a", run(1, "queued"))
    assert store.keeps(RUN_STATES, "r1", state)
    assert history.begin_attempt(run(1)) == 1
    known = store.kept_row(RUN_STATES, "r1", state, {"run_id": "r1"})
    assert known == store.row(state, {"run_id": "r1"}) == {"status": "running", "fence": 1, "pipeline_id": "a"}
    history.add_run("b", run(2))
    assert store.keeps(RUN_STATES, "r1", state), "a statement about another run"
    store.execute("UPDATE runs SET fence = 5 WHERE run_id LIKE 'r%'")
    with pytest.raises(lifecycle.Superseded):
        history.change_run(run(1, "completed"), fence=1)
    history.change_run(run(1, "completed"), fence=5)
    assert not store.keeps(RUN_STATES, "r1", state)


def test_a_run_that_is_not_as_it_is_known_is_not_written(store: DuckDBStore) -> None:
    history = History(store)
    history.add_run("a", run(1))
    store._connection.execute("UPDATE runs SET status = 'cancelled'")  # as if somebody else could write
    with pytest.raises(lifecycle.Superseded):
        history.publish("a", run(1, "completed"), version(1))
    assert history.newest("a") is None


def test_a_run_of_a_deleted_pipeline_is_refused(store: DuckDBStore) -> None:
    """Its pipeline was known in memory before."""
    pipelines = Pipelines(store, CLOCK)
    record = pipelines.create("p", "p", {"name": "p"}, None)
    store.write(lambda transaction: refuse_deleted(record, transaction, run(1)))
    pipelines.delete("p")
    with pytest.raises(errors.Missing):
        store.write(lambda transaction: refuse_deleted(record, transaction, run(1)))


def test_a_stamp_changes_with_what_it_is_for() -> None:
    kept = KeptRows()

    def stamps() -> list[int]:
        return [
            kept.stamp(("versions", "version_pins"), "a"),
            kept.stamp(("versions",), "b"),
            kept.stamp(("versions",)),
        ]

    def changed(*touched: tuple[str, str | None]) -> list[bool]:
        before = stamps()
        kept.forget(touched)
        return [new != old for new, old in zip(stamps(), before, strict=True)]

    assert changed(("runs", "a")) == [False, False, False]
    assert changed(("versions", "a")) == [True, False, True]
    assert changed(("version_pins", "a")) == [True, False, False]
    assert changed(("versions", None)) == [True, True, True]
    assert changed(("*", None)) == [True, True, True]


def test_no_stamp_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_rows, "_MOST", 4)
    kept = KeptRows()
    seen = set()
    for number in range(10):
        kept.forget([("versions", "a" if number % 2 else "b")])
        seen.add(kept.stamp(("versions",)))
    assert len(seen) == 10


def test_a_list_is_known_until_a_pipeline_or_a_version_changes(store: DuckDBStore) -> None:
    pipelines, history = Pipelines(store, CLOCK), History(store)
    page: dict[str, Any] = {"limit": 50, "offset": 0, "q": None}

    def listed() -> list[tuple[str, int | None]]:
        found, total = pipelines.list(**page)
        assert total == len(found)
        assert pipelines.has_list(**page)
        return [(line.name, line.version) for line in found]

    assert listed() == []
    record = pipelines.create("p", "p", {"name": "p"}, None)
    assert not pipelines.has_list(**page)
    assert listed() == [("p", None)]
    history.add_run(record.id, run(1))
    assert pipelines.has_list(**page), "a run changes no line"
    history.publish(record.id, run(1, "completed"), version(1))
    assert listed() == [("p", 1)]
    pipelines.create("q", "q", {"name": "q"}, None)
    assert listed() == [("p", 1), ("q", None)]
    assert history.newest_statuses([record.id, "unknown"]) == {record.id: "completed"}
    pipelines.delete("p")
    assert listed() == [("q", None)]


def test_only_so_many_lists_are_kept(store: DuckDBStore) -> None:
    pipelines = Pipelines(store, CLOCK)
    for offset in range(40):
        pipelines.list(limit=1, offset=offset)
    assert len(pipelines._lists) <= 16
