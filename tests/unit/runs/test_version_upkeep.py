"""A deletion of a version: what is refused, what a crash leaves, and what a start then does."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.catalog.expired_runs import ExpiredRuns
from service.catalog.surplus import Surplus
from service.catalog.version_marks import VersionMarks
from service.files.layout import MANIFEST, children
from service.kit import errors
from service.kit.clock import FixedClock
from service.model.version import Version
from service.query.integrity import Integrity
from service.runs import retention as retention_task
from service.runs import version_upkeep
from service.runs.retention import Retention
from service.runs.version_upkeep import VersionUpkeep
from tests.unit.runs.disasters import CLOCK, DOCUMENT, Directory, Opened


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    """With two versions of one pipeline."""
    made = Directory(tmp_path / "data")
    made.publish(1)
    made.publish(2)
    return made


def delete(directory: Directory, number: int, *, read: bool = False) -> None:
    with Opened(directory) as opened:
        upkeep = VersionUpkeep(
            opened.history, opened.pipelines, VersionMarks(opened.store), directory.layout, CLOCK,
            Integrity(directory.layout), [lambda folder: read and folder.name == f"v{number:06d}"],
        )  # fmt: skip
        asyncio.run(upkeep.delete("shop", number, "admin"))


def folders(directory: Directory) -> list[str]:
    return [folder.name for folder in children(directory.layout.pipeline("shop"))]


def test_catalog_and_folder_are_removed(directory: Directory) -> None:
    delete(directory, 1)
    assert (folders(directory), children(directory.layout.staging_root)) == (["v000002"], [])
    assert [v.version for v in directory.versions()] == [2]
    assert not directory.verify().findings
    directory.publish(3)
    assert folders(directory) == ["v000002", "v000003"]


def test_a_version_that_is_read_stays(directory: Directory) -> None:
    with pytest.raises(errors.Conflict) as caught:
        delete(directory, 1, read=True)
    assert caught.value.error_code == "VERSION_IN_USE"
    assert folders(directory) == ["v000001", "v000002"]


@pytest.mark.parametrize("broken", ["before the rename", "after the rename"])
def test_a_start_finishes_a_deletion(directory: Directory, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    if broken == "before the rename":
        monkeypatch.setattr(version_upkeep, "remove_folder", lambda *_: None)
    else:
        monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    delete(directory, 1)
    left = folders(directory), [f.name[:7] for f in children(directory.layout.staging_root)]
    assert left == ((["v000001", "v000002"], []) if broken == "before the rename" else (["v000002"], ["purged_"]))
    monkeypatch.undo()
    assert directory.start() == "ok"
    assert (folders(directory), directory.layout.orphans()) == (["v000002"], [])
    assert children(directory.layout.staging_root) == []
    assert not directory.verify(adopt=True).findings


def test_a_foreign_folder_in_the_place_of_a_deleted_version_is_kept(directory: Directory) -> None:
    delete(directory, 1)
    folder = directory.layout.version("shop", 1)
    folder.mkdir()
    (folder / "part-00000.parquet").write_bytes(b"mine")
    (folder / MANIFEST).write_bytes(b"{}")
    directory.start()
    assert [f.name for f in directory.layout.orphans()] == ["v000001"]


@pytest.mark.parametrize("number", [1, 2])
def test_the_newest_version_and_marked_ones_stay(directory: Directory, number: int) -> None:
    with Opened(directory) as opened:
        marks, record = VersionMarks(opened.store), opened.pipelines.get("shop")
        version = opened.history.version(record.id, "shop", 1)
        marks.pin(record.id, version)
        marks.pin(record.id, version)
        marks.tag(record.id, version, "stable")
        found = opened.history.table("shop@stable")
        assert found is not None
        assert found.version == version
        assert opened.history.table("shop@unstable") is None
        assert opened.history.table("SHOP__quarantine@stable") is not None
    with pytest.raises(errors.Conflict, match="newest" if number == 2 else "pinned"):
        delete(directory, number)


def test_versions_that_are_deleted_together_are_refused_one_by_one(directory: Directory) -> None:
    for number in (3, 4, 5):
        directory.publish(number)
    with Opened(directory) as opened:
        marks, record = VersionMarks(opened.store), opened.pipelines.get("shop")
        versions = [opened.history.version(record.id, "shop", number) for number in range(1, 6)]
        marks.pin(record.id, versions[0])
        marks.tag(record.id, versions[1], "stable")
        refused = marks.delete_all(record.id, versions, CLOCK.now())
        assert {number: why.error_code for number, why in refused.items()} == dict.fromkeys((1, 2, 5), "VERSION_IN_USE")
        again = marks.delete_all(record.id, versions[2:4], CLOCK.now())
        assert {number: why.error_code for number, why in again.items()} == dict.fromkeys((3, 4), "VERSION_NOT_FOUND")
    assert [version.version for version in directory.versions()] == [1, 2, 5]


@pytest.mark.parametrize(
    ("settings", "stay"),
    [
        ({}, [1, 2, 3, 4, 5]), ({"retention": {"versions": 2}}, [1, 2, 4, 5]), ({"keep_versions": 1}, [1, 2, 5]),
        ({"storage": [{"type": "duckdb"}, {"type": "parquet", "keep_versions": 2}]}, [1, 2, 4, 5]),
        ({"storage": [{"type": "parquet", "keep_versions": "all"}]}, [1, 2, 3, 4, 5]),
        ({"retention": {"versions": "all"}}, [1, 2, 3, 4, 5]), ({"retention": {}}, [1, 2, 3, 4, 5]),
    ],
)  # fmt: skip
def test_retention_keeps_the_newest_and_the_marked(
    directory: Directory, settings: dict[str, object], stay: list[int]
) -> None:
    for number in (3, 4, 5):
        directory.publish(number)
    with Opened(directory) as opened:
        opened.pipelines.update("shop", "shop", {**DOCUMENT, **settings}, None)
        marks, record = VersionMarks(opened.store), opened.pipelines.get("shop")
        marks.pin(record.id, opened.history.version(record.id, "shop", 1))
        marks.tag(record.id, opened.history.version(record.id, "shop", 2), "stable")
        upkeep = VersionUpkeep(
            opened.history, opened.pipelines, marks, directory.layout, CLOCK, Integrity(directory.layout)
        )
        surplus, expired = Surplus(opened.store), ExpiredRuns(opened.store)
        deleted = asyncio.run(Retention(surplus, expired, upkeep, directory.layout, CLOCK).sweep())
        opened.store.execute("INSERT INTO unlimited_pipelines VALUES ($id)", {"id": record.id})
        assert Surplus(opened.store).versions() == []
    assert [v.version for v in directory.versions()] == stay
    assert (deleted, len(folders(directory))) == (5 - len(stay), len(stay))


def test_a_surplus_version_that_is_read_goes_as_soon_as_it_is_not(directory: Directory) -> None:
    """The run that commits a version reads the one before until it has ended, shortly after retention looks."""

    async def test(opened: Opened) -> None:
        clock, read = FixedClock(), [True]
        upkeep = VersionUpkeep(
            opened.history, opened.pipelines, VersionMarks(opened.store), directory.layout, clock,
            Integrity(directory.layout), [lambda _: read[0]],
        )  # fmt: skip
        retention = Retention(Surplus(opened.store), ExpiredRuns(opened.store), upkeep, directory.layout, clock)
        await retention.start()
        try:
            await until(lambda: clock.sleeps == 5.0)
            assert folders(directory) == ["v000001", "v000002"]
            read[0] = False
            clock.advance(5)
            await until(lambda: clock.sleeps == 3595.0)
        finally:
            await retention.close()

    with Opened(directory) as opened:
        opened.pipelines.update("shop", "shop", {**DOCUMENT, "retention": {"versions": 1}}, None)
        asyncio.run(test(opened))
    assert folders(directory) == ["v000002"]


def test_what_a_sweep_could_not_look_at_is_looked_at_with_the_next_one(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_task, "_SETTLE", 0.0)

    async def test(opened: Opened) -> None:
        clock, surplus, failures = FixedClock(), Surplus(opened.store), [OSError("full"), OSError("full")]
        look = surplus.versions

        def versions(*given: Any) -> list[tuple[str, Version]]:
            if failures:
                raise failures.pop()
            return look(*given)

        monkeypatch.setattr(surplus, "versions", versions)
        upkeep = VersionUpkeep(
            opened.history, opened.pipelines, VersionMarks(opened.store), directory.layout, clock,
            Integrity(directory.layout),
        )  # fmt: skip
        retention = Retention(surplus, ExpiredRuns(opened.store), upkeep, directory.layout, clock)
        await retention.start()
        try:
            await until(lambda: clock.sleeps == 3600.0)  # the first sweep, of all, has failed
            retention.check(opened.pipelines.get("shop").id)
            await until(lambda: not failures and clock.sleeps == 3600.0)
            retention.check("another")
            await until(lambda: folders(directory) == ["v000002"])
        finally:
            await retention.close()

    with Opened(directory) as opened:
        opened.pipelines.update("shop", "shop", {**DOCUMENT, "retention": {"versions": 1}}, None)
        asyncio.run(test(opened))


async def until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not there():  # noqa: ASYNC110 - a test may watch
            await asyncio.sleep(0.001)


def test_retention_goes_on_after_versions_that_configurations_name(directory: Directory) -> None:
    for number in range(3, 7):
        directory.publish(number)
    with Opened(directory) as opened:
        opened.pipelines.update("shop", "shop", {**DOCUMENT, "keep_versions": 1}, None)
        for number in (1, 2, 4):
            reader = {"collectors": [{"type": "pipeline", "name": "shop", "version": number}]}
            opened.pipelines.create(f"reader_{number}", f"reader_{number}", reader, None)
        upkeep = VersionUpkeep(
            opened.history, opened.pipelines, VersionMarks(opened.store), directory.layout, CLOCK,
            Integrity(directory.layout),
        )  # fmt: skip
        surplus = Surplus(opened.store)
        assert [v.version for _, v in surplus.versions(2)] == [3, 4, 5]
        retention = Retention(surplus, ExpiredRuns(opened.store), upkeep, directory.layout, CLOCK)
        assert asyncio.run(retention.sweep()) == 2
    assert [v.version for v in directory.versions()] == [1, 2, 4, 6]


@pytest.mark.parametrize("old", [True, False])
def test_pipelines_of_older_releases_keep_all_versions_until_set(directory: Directory, old: bool) -> None:
    with Opened(directory) as opened:
        record = opened.pipelines.get("shop")
        for number in range(3, 33):
            one = opened.history.version(record.id, "shop", number - 1)
            run = msgspec.structs.replace(opened.history.run(one.run_id), run_id=f"run_{number}", status="running")
            opened.history.add_run(record.id, run)
            version = msgspec.structs.replace(one, version=number, run_id=run.run_id)
            opened.history.publish(record.id, msgspec.structs.replace(run, status="completed"), version)
        if old:
            opened.store.execute("INSERT INTO unlimited_pipelines VALUES ($id)", {"id": record.id})
        surplus = Surplus(opened.store)
        assert [v.version for _, v in surplus.versions()] == ([] if old else [1, 2])
        opened.pipelines.update("shop", "shop", {**DOCUMENT, "retention": {"versions": 31}}, None)
        assert [v.version for _, v in surplus.versions()] == [1]
