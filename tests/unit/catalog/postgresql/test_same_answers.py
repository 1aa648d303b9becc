"""Both databases answer the same about one catalog: tables for SQL, statistics, and what retention would delete."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

from service.catalog import catalog_copy
from service.catalog.duckdb_store import DuckDBStore
from service.catalog.expired_runs import ExpiredRuns
from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.catalog.postgresql.server import Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.catalog.saved_queries import SavedQueries
from service.catalog.store import Store
from service.catalog.surplus import Surplus
from service.catalog.system_tables import SystemTables
from service.catalog.version_marks import VersionMarks
from service.files.layout import Layout
from service.kit import errors
from service.kit.clock import FixedClock
from service.model.run import Run, Step
from service.model.saved_query import QueryDefinition
from service.model.version import Column, Refusal, Version
from service.steps.storage import File
from tests.postgresql import Cluster

pytestmark = pytest.mark.services
NAMES = ["zeta", "a_b", "a-b", "ab", "b"]
DOCUMENT = {
    "description": "é \0", "collectors": [{"type": "csv"}],
    "schedule": {"cron": "0 5 * * *", "timezone": "Europe/Paris"}, "storage": [{"type": "parquet", "keep_versions": 2}],
}  # fmt: skip


def fill(store: Store) -> None:
    """Some pipelines, each with runs that ended in different ways, and versions."""
    clock, history = FixedClock(), History(store)
    pipelines, marks = Pipelines(store, clock), VersionMarks(store)
    for place, name in enumerate(NAMES):
        identity = pipelines.create(name, name.replace("-", "__"), {"name": name, **DOCUMENT}, "ann").id
        for number in range(1, 8):
            clock.advance(61)
            now = clock.now()
            run = Run(
                run_id=f"{name}{number}", pipeline=name, revision=1, status="running", queued_at=now, start_time=now
            )
            history.add_run(identity, run)
            ended = now + timedelta(microseconds=1_234_567 * number + place)
            steps = [
                Step(
                    step=f"step {n}",
                    phase="processing",
                    started=now,
                    ended=ended,
                    duration=0.1 * n,
                    rows_in=n,
                    rows_out=None,
                )
                for n in range(number)
            ]
            error = errors.Permanent("it failed \0", step="x").as_body() if number == 4 else None
            done = msgspec.structs.replace(
                run, status="failed" if error else "completed", end_time=ended, duration=1.5e-7 * number, steps=steps,
                error=error, version=None if error else number, rows_stored=number,
            )  # fmt: skip
            if error:
                history.change_run(done)
                continue
            version = Version(
                pipeline=name, version=number, run_id=run.run_id, revision=1, table=name, rows=3, bytes=1 << 40,
                columns=[Column("a", "Int64"), Column("\ue0000", "String")], files=[], sources=[],
                created=ended, quarantine=[File("q", 1, number, "")], held=number == 7,
                refusals=[Refusal(step="s", rule="r", column=None, rows=number)],
            )  # fmt: skip
            history.publish(
                identity, msgspec.structs.replace(done, status="held" if number == 7 else done.status), version
            )
            if number == 2:
                marks.pin(identity, version)
                for tag in ("z", "B", "a"):
                    marks.tag(identity, version, tag)
    SavedQueries(store, clock).put(
        "q", QueryDefinition(sql="SELECT '\0'", max_rows=3), by="ann", columns=[], tables=["zeta"], repeatable=True
    )


@pytest.fixture
def both(cluster: Cluster, tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """One catalog in DuckDB and in PostgreSQL."""
    layout = Layout(tmp_path)
    layout.create()
    file = DuckDBStore(layout.catalog)
    fill(file)
    file.close()
    with cluster.database() as url:
        catalog_copy.copy(str(tmp_path), url)
        stores = DuckDBStore(layout.catalog), PostgreSQLStore(Server(url))
        yield stores
        for store in stores:
            store.close()


def test_tables_for_sql(both: tuple[Store, Store], tmp_path: Path) -> None:
    tables = [SystemTables(store, Layout(tmp_path)) for store in both]
    for readable in (None, frozenset({"zeta", "ab"}), frozenset[str]()):
        for name in tables[0].names:
            frames = [pl.read_parquet(io.BytesIO(one.snapshot(name, readable))) for one in tables]
            assert frames[0].schema == frames[1].schema, name
            assert frames[0].rows() == frames[1].rows(), name
            assert frames[0].height > 0 or readable is not None, name


def test_statistics(both: tuple[Store, Store]) -> None:
    found = []
    for store in both:
        history, pipelines = History(store), Pipelines(store, FixedClock())
        found.append([history.statistics(pipelines.get(name).id) for name in NAMES])
    for one, other in zip(*found, strict=True):
        assert {k: type(v) for k, v in one.items()} == {k: type(v) for k, v in other.items()}
        numbers = [{k: v for k, v in figures.items() if isinstance(v, float)} for figures in (one, other)]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-12)
        assert one | numbers[1] == other
    assert found[0][0]["p95_duration"] > found[0][0]["p50_duration"] > 0


def test_lists_and_retention(both: tuple[Store, Store]) -> None:
    found = []
    for store in both:
        history, pipelines = History(store), Pipelines(store, FixedClock())
        lines, total = pipelines.list(limit=3, offset=1, q="B")
        record = pipelines.get("zeta")
        later = FixedClock().now() + timedelta(days=100)
        found.append((
            [line.name for line in lines], total, [t.name for t in history.tables()], history.newest_statuses(),
            [(v.pipeline, v.version) for _, v in Surplus(store).versions()], ExpiredRuns(store).next(later, 3),
            history.versions(record.id, limit=9, offset=0), history.runs(record.id, limit=9, offset=0, status="failed"),
            [c.version.run_id for c in history.committed()], VersionMarks(store).of(record.id), record,
        ))  # fmt: skip
    assert found[0] == found[1]
    assert found[0][0] == ["a_b", "ab", "b"]
