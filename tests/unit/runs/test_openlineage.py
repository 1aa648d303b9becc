"""The events of runs for OpenLineage: which there are, what they say, and that the queue is bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.catalog import schedules
from service.catalog.history import History
from service.catalog.lineage_events import LineageEvents, Waiting
from service.catalog.pipelines import Pipelines
from service.files.layout import Layout
from service.kit.clock import FixedClock
from service.kit.errors import Body
from service.kit.settings import Settings
from service.model.lifecycle import Status
from service.model.lineage import ColumnOrigins, OriginColumns, TracedColumns
from service.model.run import Run
from service.model.version import Column, Source, Version
from service.query.integrity import Integrity
from service.runs import openlineage
from service.runs.job_resources import JobResources
from service.runs.openlineage_event import EventEncoder, is_traceable
from service.steps.storage import File
from tests import openlineage_schema, stores
from tests.registry import REGISTRY

pytestmark = stores.BOTH

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CITIES = {"name": "cities", "collectors": [{"type": "csv", "file_path": "a.csv"}]}
COLUMNS = [Column("id", "Int64"), Column("city", "String")]


class Catalog:
    """Runs whose starts and ends make events."""

    def __init__(self, data: Path) -> None:
        self.store, self.clock, self.layout = stores.new(), FixedClock(NOON), Layout(data)
        self.history = History(self.store, lineage=True)
        self.pipelines, self.events = Pipelines(self.store, self.clock), LineageEvents(self.store, self.clock)
        settings = Settings(data_dir=str(data), file_roots=(str(data / "root"),))
        resources = JobResources(
            settings, self.layout, self.history, REGISTRY, self.clock, {}, Integrity(self.layout)
        )  # fmt: skip
        self.encoder = EventEncoder(resources, self.events, "prod")

    def create(self, document: dict[str, Any]) -> str:
        return self.pipelines.create(document["name"], document["name"], document, None).id

    def run(self, identity: str, run_id: str, *statuses: Status, name: str = "cities", **more: Any) -> Run:
        run = Run(run_id=run_id, pipeline=name, revision=1, status="queued", queued_at=NOON, **more)
        self.history.add_run(identity, run)
        for status in statuses:
            run = msgspec.structs.replace(run, status=status, start_time=NOON)
            if status == "running":
                self.history.begin_attempt(run)
            else:
                run = msgspec.structs.replace(run, end_time=NOON + timedelta(seconds=2))
                self.history.change_run(run)
        return run

    def publish(
        self, identity: str, run_id: str, number: int, sources: list[Source], name: str = "cities", *,
        held: bool = False, **more: Any,
    ) -> None:  # fmt: skip
        run = self.run(identity, run_id, "running", name=name, **more)
        ended = NOON + timedelta(seconds=2)
        version = Version(
            pipeline=name, version=number, run_id=run_id, revision=1, table=name, rows=3, bytes=99, columns=COLUMNS,
            files=[File(name="part-0.parquet", rows=3, bytes=90, sha256="")], sources=sources, created=ended,
        )  # fmt: skip
        done = msgspec.structs.replace(
            run, status="held" if held else "completed", version=number, end_time=ended, storage_location="x"
        )
        self.history.publish(identity, done, msgspec.structs.replace(version, held=held))

    def sent(self, columns: TracedColumns | None = None) -> list[dict[str, Any]]:
        """All events as they would be sent; they agree with the specification."""
        found = [self.encoder.encode(waiting, columns if is_traceable(waiting) else None) for waiting in self.waiting()]
        events = [msgspec.json.decode(text, type=dict[str, Any]) for text in found]
        assert [openlineage_schema.problems(event) for event in events] == [[]] * len(events)
        return events

    def waiting(self) -> list[Waiting]:
        return self.events.next(100)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path)


@pytest.mark.parametrize(
    ("statuses", "types"),
    [
        (["running", "completed"], ["START", "COMPLETE"]),
        (["running", "failed"], ["START", "FAIL"]),
        (["running", "cancelled"], ["START", "ABORT"]),
        (["running", "interrupted"], ["START", "ABORT"]),
        (["running", "held"], ["START", "COMPLETE"]),
        (["running"], ["START"]),
        ([], []),
    ],
)
def test_each_run_has_one_start_and_one_end(catalog: Catalog, statuses: list[Status], types: list[str]) -> None:
    catalog.run(catalog.create(CITIES), "run_1", *statuses)
    assert [event["eventType"] for event in catalog.sent()] == types


def test_a_run_that_never_started_has_no_events_and_a_second_attempt_none_of_its_own(catalog: Catalog) -> None:
    identity = catalog.create(CITIES)
    run = catalog.run(identity, "run_1")
    catalog.history.change_run(msgspec.structs.replace(run, status="cancelled", end_time=NOON))
    run = catalog.run(identity, "run_2", "running")
    catalog.history.change_run(msgspec.structs.replace(run, status="retrying"))
    catalog.history.begin_attempt(msgspec.structs.replace(run, attempt=2))
    assert [(w.run.run_id, w.event) for w in catalog.waiting()] == [("run_2", "START")]


def test_without_an_address_nothing_is_stored(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.history = History(catalog.store)
    catalog.run(catalog.create(CITIES), "run_1", "running", "failed")
    assert catalog.waiting() == []


def test_sources_are_named_without_secrets_and_files_by_their_place(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "b.csv").touch()
    collectors = [
        {"type": "csv", "file_path": ["a.csv", "b.csv", "/data/c.csv"]},
        {"type": "api", "endpoint": "https://example.org:8443/v1/items?api_key=k1"},
        {"type": "pipeline", "name": "raw"},
    ]
    identity = catalog.create({"name": "cities", "collectors": collectors})
    sources = [
        Source(id="a", type="csv", rows=5, columns=[Column("id", "int64")]), Source(id="b", type="api", rows=6),
        Source(id="c", type="pipeline", rows=7, evidence={"pipeline": "raw", "version": 4}),
    ]  # fmt: skip
    catalog.publish(identity, "run_1", 1, sources)
    origins = [OriginColumns(collector="collectors[2]", columns=["n"])]
    traced = TracedColumns(columns=[ColumnOrigins(name="id", type="int64", origins=origins),
                                    ColumnOrigins(name="one", type="int64", origins=[])], why=None)  # fmt: skip
    event = catalog.sent(traced)[1]
    read = {(d["namespace"], d["name"]): d for d in event["inputs"]}
    assert read.keys() == {
        ("prod", "raw"), ("file", str(tmp_path / "uploads" / "a.csv")), ("file", str(tmp_path / "root" / "b.csv")),
        ("file", "/data/c.csv"), ("https://example.org:8443", "/v1/items"),
    }  # fmt: skip
    assert "k1" not in str(event)
    raw, api = read[("prod", "raw")], read[("https://example.org:8443", "/v1/items")]
    assert raw["facets"]["version"]["datasetVersion"] == "4"
    assert [d["inputFacets"]["inputStatistics"]["rowCount"] for d in (raw, api)] == [7, 6]
    assert read[("file", "/data/c.csv")]["inputFacets"] == {}  # its collector reads several files
    (output,) = event["outputs"]
    assert output["facets"]["schema"]["fields"][1] == {"name": "city", "type": "string"}
    assert output["facets"]["columnLineage"]["fields"] == {
        "id": {"inputFields": [{"namespace": "prod", "name": "raw", "field": "n"}]}
    }


def test_a_dataset_that_two_collectors_read_is_one_origin(catalog: Catalog) -> None:
    raw = {"type": "pipeline", "name": "raw"}
    identity = catalog.create({"name": "cities", "collectors": [raw, raw | {"version": 1}]})
    catalog.publish(identity, "run_1", 1, [Source(id=i, type="pipeline", rows=3) for i in "ab"])
    origins = [OriginColumns(collector=f"collectors[{place}]", columns=["n"]) for place in range(2)]
    traced = TracedColumns(columns=[ColumnOrigins(name="id", type="int64", origins=origins)], why=None)
    (output,) = catalog.sent(traced)[1]["outputs"]
    assert output["facets"]["columnLineage"]["fields"] == {
        "id": {"inputFields": [{"namespace": "prod", "name": "raw", "field": "n"}]}
    }


def test_scheduled_failed_held_and_restored_runs_say_so(catalog: Catalog) -> None:
    identity = catalog.create(CITIES)
    run = catalog.run(identity, "run_1", "running", requested_by="schedule")
    catalog.store.write(lambda transaction: schedules.record_fire(transaction, identity, NOON, NOON, run))
    error = Body(code="STEP_FAILED", message="no rows")
    catalog.history.change_run(msgspec.structs.replace(run, status="failed", end_time=NOON, error=error))
    catalog.run(identity, "run_2", "running", "held")
    catalog.publish(identity, "run_3", 2, [], restored_from=1)
    failed, held, restored = (e for e in catalog.sent() if e["eventType"] != "START")
    assert failed["run"]["facets"]["nominalTime"]["nominalStartTime"] == "2026-01-01T12:00:00.000000Z"
    assert failed["run"]["facets"]["errorMessage"]["message"] == "STEP_FAILED: no rows"
    assert held["outputs"] == []
    (read,) = restored["inputs"]
    assert (read["name"], read["facets"]["version"]["datasetVersion"]) == ("cities", "1")
    assert restored["outputs"][0]["facets"]["version"]["datasetVersion"] == "2"


def test_a_held_run_is_complete_again_with_its_output_when_its_version_is_accepted(catalog: Catalog) -> None:
    identity = catalog.create(CITIES)
    catalog.publish(identity, "run_1", 1, [Source(id="a", type="csv", rows=3)], held=True)
    held = catalog.history.version(identity, "cities", 1)
    catalog.history.accept(identity, held, NOON + timedelta(hours=1))
    origins = [OriginColumns(collector="collectors[0]", columns=["n"])]
    events = catalog.sent(TracedColumns(columns=[ColumnOrigins(name="id", type="int64", origins=origins)], why=None))
    assert [(e["eventType"], len(e["outputs"])) for e in events] == [("START", 1), ("COMPLETE", 0), ("COMPLETE", 1)]
    assert [is_traceable(waiting) for waiting in catalog.waiting()] == [False, False, True]
    assert len({e["run"]["runId"] for e in events}) == 1
    assert (events[1]["eventTime"], events[2]["eventTime"]) == (
        "2026-01-01T12:00:02.000000Z", "2026-01-01T13:00:00.000000Z",
    )  # fmt: skip
    facets = events[2]["outputs"][0]["facets"]
    assert (facets["version"]["datasetVersion"], list(facets["columnLineage"]["fields"])) == ("1", ["id"])
    assert events[2]["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"] == 3


def test_sent_events_are_removed_and_the_queue_is_bounded_in_age_and_number(catalog: Catalog) -> None:
    identity = catalog.create(CITIES)
    catalog.run(identity, "run_1", "running", "failed")
    catalog.events.remove(catalog.waiting()[0].sequence)
    assert [w.event for w in catalog.waiting()] == ["FAIL"]
    catalog.clock.advance(timedelta(hours=25).total_seconds())
    assert (catalog.events.trim(), catalog.waiting()) == (1, [])
    catalog.store.execute(
        "INSERT INTO lineage_events SELECT n, 'p', 'r', 'START', $now::TIMESTAMP FROM generate_series(0, 10002) t(n)",
        {"now": catalog.clock.now().replace(tzinfo=None)},
    )
    assert (catalog.events.trim(), catalog.events.trim()) == (3, 0)


@pytest.mark.parametrize(
    ("address", "url", "host"),
    [
        ("http://marquez:5000", "http://marquez:5000/api/v1/lineage", "marquez:5000"),
        ("https://lineage.example.org/", "https://lineage.example.org/api/v1/lineage", "lineage.example.org:443"),
        ("http://[::1]:81/own?x=1", "http://[::1]:81/own?x=1", "[::1]:81"),
    ],
)
def test_the_address_may_have_a_path_of_its_own(address: str, url: str, host: str) -> None:
    assert openlineage.endpoint(address) == (url, host)
