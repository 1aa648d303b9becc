"""A version is there whole or not at all, and its native form comes and goes: publication over a real catalog."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.catalog.duckdb_store import DuckDBStore
from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.files.layout import Layout, children
from service.jobs import plugins
from service.jobs.messages import Grants, Loaded, Order, Prepared, Quarantine
from service.kit.clock import FixedClock
from service.kit.settings import Settings
from service.model import pipeline as models
from service.model.run import Run
from service.model.version import Version
from service.query.integrity import Integrity
from service.runs import publication
from service.runs.attempt import Attempt
from service.runs.job_resources import JobResources
from service.runs.live_run import LiveRun
from service.steps.storage import File, Written

T0 = datetime(2026, 1, 1, tzinfo=UTC)
FIT_RECORD = File("tape.json", 4, 0, "")


def prepared(**changes: Any) -> Prepared:
    value = Prepared(
        rows=0, rows_collected=0, rows_rejected=0, files=[], quarantine=Quarantine(files=[], refusals=[], columns=[]),
        fit_record=FIT_RECORD, state=[], stays=[], columns=[], sources=[], steps=[], warnings=[], profiles=[],
        fitted={}, deferred=[], peak_memory_bytes=100,
    )  # fmt: skip
    return msgspec.structs.replace(value, **changes)


class Shop:
    """A data directory with one pipeline, into which versions are published."""

    def __init__(self, root: Path) -> None:
        self.layout, store = Layout(root), DuckDBStore(root / "catalog.duckdb")
        self.layout.warehouse.mkdir()
        self.history = History(store)
        document = {"name": "shop", "collectors": [{"type": "csv", "file_path": "a.csv"}]}
        self.pipeline = models.decode(document, plugins.registry())
        self.pipelines = Pipelines(store, FixedClock())
        self.id = self.pipelines.create("shop", "shop", document, None).id

    def folder(self, number: int) -> Path:
        return self.layout.version("shop", number)

    def order(self, number: int) -> Order:
        staging = self.layout.staging(f"run_{number}")
        staging.mkdir(parents=True)
        (staging / "part-0.parquet").write_bytes(f"rows {number:05}".encode())
        return Order(
            run_id=f"run_{number}", pipeline_id=self.id, document={}, revision=1, version=number, created=T0,
            grants=Grants(folder=str(staging), memory_bytes=0),
        )  # fmt: skip

    def resources(self) -> JobResources:
        integrity = Integrity(self.layout)
        return JobResources(Settings(), self.layout, self.history, plugins.registry(), FixedClock(), {}, integrity)

    def publish(self, number: int) -> tuple[Order, Run, Version]:
        """A version of 10 bytes that waits for its native form."""
        order = self.order(number)
        going = Run(run_id=order.run_id, pipeline="shop", revision=1, status="running", queued_at=T0)
        self.history.add_run(self.id, going)
        made = prepared(rows=1, files=[File("part-0.parquet", 10, 1, "")], deferred=["duckdb"])
        return order, *publication.publish(self.history, self.layout, self.pipeline, order, made, going, T0, 1.0)

    def load(self, order: Order, run: Run, version: Version, *, size: int = 7, peak: int = 50) -> tuple[Run, Version]:
        (self.folder(order.version) / "shop.duckdb").write_bytes(b"n" * size)
        written = Written("duckdb", [File("shop.duckdb", size, 1, "")], 1)
        loaded = Loaded(written, "storage[0]", 0.5, peak, T0)
        return publication.note_loaded(self.history, self.layout, order, run, version, loaded)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_commit_that_fails_takes_the_folder_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.publish(1)

    def refused(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shop.history, "publish", refused)
        with pytest.raises(OSError, match="No space"):
            shop.publish(2)
    assert not shop.folder(2).exists()
    assert shop.history.version(shop.id, "shop").version == 1
    assert (shop.folder(1) / "part-0.parquet").read_bytes() == b"rows 00001"


def test_only_a_first_version_moves_what_a_pipeline_of_its_name_left(shop: Shop) -> None:
    left = shop.layout.pipeline("shop")
    (left / "v000009").mkdir(parents=True)
    for number in (1, 2):
        shop.publish(number)
    assert [f.name for f in children(left)] == ["v000001", "v000002"]
    (aside,) = shop.layout.orphans()
    assert aside == shop.layout.orphaned_root / "shop" / "v000009"


@pytest.mark.parametrize(("peak", "most"), [(50, 100), (300, 300)])
def test_a_native_form_adds_to_the_version_and_the_run(shop: Shop, peak: int, most: int) -> None:
    order, run, version = shop.publish(1)
    assert [(s.type, s.bytes, s.state) for s in run.storage] == [("parquet", 10, "ready"), ("duckdb", 0, "loading")]
    run, version = shop.load(order, run, version, peak=peak)
    assert [(s.type, s.bytes, s.state) for s in run.storage] == [("parquet", 10, "ready"), ("duckdb", 7, "ready")]
    assert (version.bytes, run.peak_memory_bytes, run.steps[-1].rows_out) == (17, most, 1)
    assert (shop.history.version(shop.id, "shop"), shop.history.run("run_1")) == (version, run)


def test_a_native_form_that_does_not_come_leaves_the_others_as_they_are(shop: Shop) -> None:
    _, run, _ = shop.publish(1)
    run = publication.note_unloaded(shop.history, shop.id, run)
    assert [(s.type, s.state) for s in run.storage] == [("parquet", "ready"), ("duckdb", "failed")]
    assert shop.history.run("run_1") == run


@pytest.mark.parametrize("keep", [1, 2])
def test_native_forms_of_all_but_the_newest_versions_are_let_go(shop: Shop, keep: int) -> None:
    for number in (1, 2, 3):
        shop.load(*shop.publish(number))
    publication.expire_native(shop.history, shop.layout, shop.id, keep)
    old = range(1, 4 - keep)
    for number in (1, 2, 3):
        version, run = shop.history.version(shop.id, "shop", number), shop.history.run(f"run_{number}")
        assert (version.native is None, version.bytes) == (number in old, 10 if number in old else 17)
        assert [s.type for s in run.storage] == (["parquet"] if number in old else ["parquet", "duckdb"])
        assert (shop.folder(number) / "shop.duckdb").exists() is (number not in old)
        assert (shop.folder(number) / "part-0.parquet").exists()
    assert shop.history.without_native() == []


@pytest.mark.parametrize(
    ("keep", "superseded"), [(0, [True, True, False]), (1, [True, True, False]), (2, [True, False, False])]
)
def test_a_version_is_superseded_when_newer_ones_keep_the_native_forms(
    shop: Shop, keep: int, superseded: list[bool]
) -> None:
    made = [shop.publish(number)[2] for number in (1, 2, 3)]
    assert [publication.is_superseded(shop.history, shop.id, keep, version) for version in made] == superseded


def test_a_superseded_version_is_not_loaded(shop: Shop) -> None:
    """It ends as if it had been loaded before the newer one, whose form took the place of its own."""
    (_, run, version), _ = shop.publish(1), shop.publish(2)
    live = LiveRun(shop.id, run, None, FixedClock())
    asyncio.run(Attempt(shop.resources(), shop.pipelines, live, shop.pipelines.get("shop")).load(version))
    assert [(s.type, s.state) for s in live.run.storage] == [("parquet", "ready")]
    assert shop.history.run("run_1") == live.run
    assert [version.version for _, version in shop.history.without_native()] == [2], "the newer one is loaded"


def test_a_native_form_is_made_from_the_newest_there_is(shop: Shop) -> None:
    """The version between was superseded before it had one."""
    shop.load(*shop.publish(1))
    shop.publish(2)
    _, _, version = shop.publish(3)
    earlier = shop.resources().native_before(shop.pipelines.get("shop"), version)
    assert earlier is not None
    assert (earlier.taken, earlier.updated, earlier.added) == (True, [], [])
    assert Path(earlier.path).parent == shop.folder(3)
    assert Path(earlier.path).read_bytes() == b"n" * 7
    assert not (shop.folder(1) / "shop.duckdb").exists()


def test_files_of_a_version_that_is_replaced_are_not_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other rows have another native form, whatever the earlier one is like."""
    shop.load(*shop.publish(1))
    _, _, version = shop.publish(2)
    other = msgspec.structs.replace(version, files=[msgspec.structs.replace(version.files[0], sha256="0")])
    resources = shop.resources()
    monkeypatch.setattr(resources.integrity, "require", lambda *_: None)
    monkeypatch.setattr(resources.integrity, "checked", lambda _: pytest.fail("its files are read"))
    assert resources.native_before(shop.pipelines.get("shop"), other) is None
