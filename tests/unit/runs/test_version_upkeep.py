"""A deletion of a version: what is refused, what a crash leaves, and what a start then does."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from service.catalog.version_marks import VersionMarks
from service.files.layout import MANIFEST, children
from service.kit import errors
from service.query.integrity import Integrity
from service.runs import version_upkeep
from service.runs.version_upkeep import VersionUpkeep
from tests.unit.runs.disasters import CLOCK, Directory, Opened


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
