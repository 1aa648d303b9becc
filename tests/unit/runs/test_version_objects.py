"""Versions in an object store: what a publication writes, when it counts, and what is deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.catalog.version_marks import VersionMarks
from service.files.layout import Layout
from service.files.object_store import NoObject, ObjectStore
from service.kit import errors
from service.kit.clock import SystemClock
from service.model.version import Version
from service.runs import publication, restore, version_objects, version_upkeep
from service.runs.backup import Backups
from service.runs.scrub import Scrub
from service.runs.version_upkeep import VersionUpkeep
from tests.unit.runs.stored import CLOCK, Installation

ONE, TWO = {"part-00000.parquet": b"one"}, {"part-00000.parquet": b"one", "city=B n/part-00000.parquet": b"two"}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    with Installation(tmp_path) as installation:
        installation.create()
        yield installation


@contextmanager
def without_catalog(shop: Installation, folder: Path) -> Iterator[Installation]:
    """The installation in ``folder``, started after it has lost its catalog."""
    shop.store.close()
    for path in (folder / "data").glob("catalog.duckdb*"):
        path.unlink()
    with Installation(folder) as lost:
        lost.forget()
        lost.condition.recover(CLOCK.now(), accept_empty=False)
        yield lost


def current(shop: Installation) -> dict[str, Any]:
    assert shop.objects is not None
    return msgspec.json.decode(shop.objects.read("current/shop.json")[0], type=dict[str, Any])


def breaking(monkeypatch: pytest.MonkeyPatch, name: str, when: Callable[[str], bool]) -> None:
    """Let requests of the store fail for some keys."""
    original = getattr(ObjectStore, name)

    def broken(self: ObjectStore, key: str, *arguments: object) -> object:
        if when(key):
            raise errors.Unavailable("the object store did not answer", code="STORE_UNAVAILABLE")
        return original(self, key, *arguments)

    monkeypatch.setattr(ObjectStore, name, broken)


def test_a_version_names_the_objects_of_the_one_before(shop: Installation) -> None:
    first, second = shop.publish("run_1", ONE), shop.publish("run_2", TWO)
    assert [f.key for f in first.files] == ["shop/v000001-run_1-1/part-00000.parquet"]
    assert [f.key for f in second.files] == [
        "shop/v000001-run_1-1/part-00000.parquet", "shop/v000002-run_2-1/city=B~20n/part-00000.parquet",
    ]  # fmt: skip
    assert (current(shop)["version"], current(shop)["run_id"]) == (2, "run_2")
    assert shop.history.newest(shop.pipeline_id) == second
    assert shop.verify().findings == []


def test_what_is_not_here_is_fetched_once_and_compared(shop: Installation) -> None:
    shop.publish("run_1", ONE)
    second = shop.publish("run_2", TWO)
    shop.forget()
    assert not shop.integrity.is_intact(second)
    assert shop.read(second) == [b"one", b"two"]
    assert shop.integrity.is_intact(second)
    part = shop.layout.version("shop", 2) / "part-00000.parquet"
    assert part.stat().st_mode & 0o777 == 0o400
    part.chmod(0o600)
    part.write_bytes(b"0ne")  # a bit of the disk
    assert shop.read(second) == [b"one", b"two"]
    assert shop.integrity.damaged() == []


def test_an_object_that_is_lost_or_changed_is_damage_and_never_other_rows(shop: Installation) -> None:
    version = shop.publish("run_1", ONE)
    assert shop.objects is not None
    key = version.files[0].key
    assert key is not None
    shop.forget()
    shop.objects.put(key, b"0ne")
    with pytest.raises(errors.PenstockError) as damaged:
        shop.read(version)
    assert damaged.value.error_code == "DATA_CORRUPT"
    assert [f.kind for f in shop.verify().findings] == ["damaged"]
    shop.objects.delete([key])
    with pytest.raises(errors.PenstockError, match="has no"):
        shop.read(version)
    assert shop.integrity.damaged() == ["shop@1"]


@pytest.mark.parametrize("part", ["part-00000", "city", "manifest"])
def test_a_store_that_fails_before_the_commit_leaves_nothing(
    shop: Installation, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    first = shop.publish("run_1", {"part-00000.parquet": b"zero"})
    with monkeypatch.context() as context:
        for name in ("put_file", "create"):
            breaking(context, name, lambda key: part in key)
        with pytest.raises(errors.Unavailable):
            shop.publish("run_2", TWO)
    assert (shop.history.newest(shop.pipeline_id), current(shop)["version"]) == (first, 1)
    assert not shop.layout.version("shop", 2).exists()
    ended = msgspec.structs.replace(shop.history.run("run_2"), status="failed", end_time=CLOCK.now())
    shop.history.change_run(ended)
    shop.upkeep.sweep()
    assert {key.split("/")[1] for key in shop.objects_there() if key.startswith("shop/")} == {"v000001-run_1-1"}
    assert shop.publish("run_3", TWO).version == 2
    assert shop.verify().findings == []


def test_a_commit_that_is_refused_takes_its_objects_back(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise errors.Conflict("superseded")

    monkeypatch.setattr(shop.history, "publish", refused)
    with pytest.raises(errors.Conflict):
        shop.publish("run_1", ONE)
    assert shop.objects_there() == []


def test_a_store_that_fails_after_the_commit_changes_nothing_and_is_corrected_later(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.publish("run_1", ONE)
    with monkeypatch.context() as context:
        breaking(context, "put", lambda key: key.endswith("committed"))
        second = shop.publish("run_2", TWO)
    assert (shop.history.newest(shop.pipeline_id), current(shop)["version"]) == (second, 1)
    shop.upkeep.sweep()
    assert current(shop)["version"] == 2
    assert "shop/v000002-run_2-1/committed" in shop.objects_there()


def test_a_file_that_changed_after_it_was_written_is_not_published(shop: Installation) -> None:
    run = shop.run("run_1")
    staging, version = shop.prepared(run, ONE)
    (staging / "part-00000.parquet").write_bytes(b"0ne")
    with pytest.raises(errors.PenstockError) as damaged:
        publication.commit(shop.history, shop.layout, shop.pipeline_id, staging, run, version)
    assert (damaged.value.error_code, shop.objects_there()) == ("DATA_CORRUPT", [])


def test_current_never_goes_back(shop: Installation) -> None:
    first = shop.publish("run_1", ONE)
    shop.publish("run_2", TWO)
    version_objects.point_current(shop.layout, shop.pipeline_id, first)
    assert current(shop)["version"] == 2
    version_objects.point_current(shop.layout, "another pipeline of this name", first)
    assert current(shop)["version"] == 1


def test_an_object_is_deleted_with_the_last_version_that_names_it(shop: Installation) -> None:
    first, second, third = (shop.publish(f"run_{n}", parts) for n, parts in enumerate((ONE, TWO, TWO), 1))

    def remaining(*left: Version) -> list[str]:
        class Left:
            queue = shop.history.queue

            def versions(self, *_: object, **__: object) -> tuple[list[Version], int]:
                return list(left), len(left)

        gone = [v for v in (first, second, third) if v not in left]
        version_objects.remove(shop.layout, Left(), shop.pipeline_id, gone)  # type: ignore[arg-type]
        return shop.parts()

    both = ["shop/v000001-run_1-1/part-00000.parquet", "shop/v000002-run_2-1/city=B~20n/part-00000.parquet"]
    assert remaining(second, third) == both
    assert remaining(third) == both
    assert shop.read(third) == [b"one", b"two"]
    assert remaining() == []


def test_nothing_is_deleted_while_somebody_copies(shop: Installation) -> None:
    first = shop.publish("run_1", ONE)
    assert shop.objects is not None
    with shop.objects.pinned():
        version_objects.remove(shop.layout, shop.history, shop.pipeline_id, [first])
    assert len(shop.parts()) == 1


def test_what_the_catalog_does_not_know_is_left_and_adopted(shop: Installation, tmp_path: Path) -> None:
    shop.publish("run_1", ONE)
    shop.publish("run_2", TWO)
    with without_catalog(shop, tmp_path) as lost:
        assert lost.condition.catalog_is_lost
        lost.upkeep.sweep()
        before = lost.objects_there()
        assert [f.kind for f in lost.verify().findings] == ["damaged", "unknown", "unknown"]
        found = lost.verify(adopt=True)
        assert [f.kind for f in found.findings] == ["adopted", "adopted"]
        assert not lost.condition.catalog_is_lost
        second = lost.history.newest(lost.pipeline_id)
        assert second is not None
        assert (second.version, lost.read(second)) == (2, [b"one", b"two"])
        assert lost.publish("run_3", ONE).version == 3
        assert set(before) <= set(lost.objects_there())


def test_of_two_attempts_at_a_version_the_committed_one_is_adopted(shop: Installation, tmp_path: Path) -> None:
    shop.publish("run_a", ONE)
    run = shop.run("run_b")
    staging, version = shop.prepared(run, {"part-00000.parquet": b"never committed"})
    version = msgspec.structs.replace(version, version=1)
    version_objects.upload(shop.layout, staging, version, run, [])  # later, and its service dies
    with without_catalog(shop, tmp_path) as lost:
        lost.verify(adopt=True)
        newest = lost.history.newest(lost.pipeline_id)
        assert newest is not None
        assert (newest.run_id, lost.read(newest)) == ("run_a", [b"one"])


def test_an_older_catalog_deletes_nothing_that_was_committed(shop: Installation) -> None:
    shop.publish("run_1", ONE)
    run = shop.run("run_2")
    staging, version = shop.prepared(run, TWO)
    uploaded = version_objects.upload(shop.layout, staging, version, run, [])
    version_objects.mark(shop.layout, shop.pipeline_id, uploaded)  # what the newer catalog had committed
    shop.history.change_run(msgspec.structs.replace(run, status="interrupted", end_time=CLOCK.now()))
    before = shop.objects_there()
    shop.upkeep.sweep()
    assert shop.objects_there() == before


def test_an_installation_moves_to_a_store_by_its_setting_alone(tmp_path: Path) -> None:
    with Installation(tmp_path, stored=False) as shop:
        shop.create()
        shop.publish("run_1", ONE)
        shop.publish("run_2", TWO)
    with Installation(tmp_path) as moved:
        moved.upkeep.sweep()
        assert moved.verify().findings == []
        moved.forget()
        versions, _ = moved.history.versions(moved.pipeline_id, limit=9, offset=0)
        assert [moved.read(version) for version in versions] == [[b"one", b"two"], [b"one"]]
        assert moved.verify().findings == []
        assert current(moved)["version"] == 2


def test_a_lost_object_is_written_again_from_the_cache(shop: Installation) -> None:
    version = shop.publish("run_1", ONE)
    assert shop.objects is not None
    shop.objects.delete(shop.objects_there())
    assert shop.verify().findings == []  # as after a restore to another store
    shop.upkeep.sweep()
    assert len(shop.parts()) == 1
    assert shop.verify().findings == []
    shop.forget()
    assert shop.read(version) == [b"one"]


def test_a_deleted_pipeline_is_purged_from_the_store(shop: Installation) -> None:
    shop.publish("run_1", ONE)
    shop.pipelines.delete("shop")
    shop.forget()
    assert shop.verify().versions == 1
    assert version_upkeep.purge(shop.layout, shop.history, "shop")
    assert [key for key in shop.objects_there() if key.startswith("shop/")] == []
    assert (shop.verify().versions, shop.verify().findings) == (0, [])
    assert not version_upkeep.purge(Layout(shop.layout.root), shop.history, "other")
    shop.create()
    assert shop.publish("run_2", ONE).version == 1
    assert current(shop)["run_id"] == "run_2"


def test_a_manifest_follows_the_catalog(shop: Installation) -> None:
    version = msgspec.structs.replace(shop.publish("run_1", ONE), held=True)
    version_objects.follow(shop.layout, version)
    assert shop.objects is not None
    assert msgspec.json.decode(shop.objects.read("shop/v000001-run_1-1/manifest.json")[0])["held"] is True
    shop.objects.delete(shop.objects_there())
    version_objects.follow(shop.layout, version)  # it is logged
    with pytest.raises(NoObject):
        shop.objects.read("shop/v000001-run_1-1/manifest.json")


@pytest.mark.parametrize("cached", [True, False])
def test_a_backup_holds_versions_that_only_the_store_has(shop: Installation, tmp_path: Path, *, cached: bool) -> None:
    shop.publish("run_1", ONE)
    shop.publish("run_2", TWO)
    shop.layout.secret.write_text("s" * 48)
    if not cached:
        shop.forget()
    report = Backups(shop.store, shop.history, shop.layout, CLOCK).make(str(tmp_path / "backups"))
    assert (report.versions, shop.verify().findings) == (2, [])
    assert shop.objects is not None
    shop.objects.delete(shop.objects_there())
    found = restore.restore(tmp_path / "backups", tmp_path / "new" / "data", None, CLOCK)
    assert found.versions == 2
    with Installation(tmp_path / "new", stored=False) as local:  # without the store, as before it
        newest = local.history.newest(local.pipeline_id)
        assert newest is not None
        assert (newest.version, local.read(newest), local.verify().findings) == (2, [b"one", b"two"], [])
    with Installation(tmp_path / "new") as moved:  # to another store
        moved.upkeep.sweep()
        assert moved.verify().findings == []
        moved.forget()
        assert moved.read(newest) == [b"one", b"two"]


def test_a_backup_of_an_object_that_is_not_as_it_was_written_is_refused(shop: Installation, tmp_path: Path) -> None:
    version = shop.publish("run_1", ONE)
    assert shop.objects is not None
    assert version.files[0].key is not None
    shop.forget()
    shop.objects.put(version.files[0].key, b"0ne")
    with pytest.raises(errors.PenstockError) as damaged:
        Backups(shop.store, shop.history, shop.layout, CLOCK).make(str(tmp_path / "backups"))
    assert damaged.value.error_code == "DATA_CORRUPT"


def test_the_scrub_mends_what_is_cached_and_fetches_nothing_else(shop: Installation) -> None:
    first, second = shop.publish("run_1", ONE), shop.publish("run_2", {"part-00000.parquet": b"two"})
    (shop.layout.version("shop", 1) / "part-00000.parquet").unlink()
    part = shop.layout.version("shop", 2) / "part-00000.parquet"
    part.chmod(0o600)
    part.write_bytes(b"tw0")
    scrub = Scrub(shop.history, shop.layout, shop.integrity, SystemClock(), 1000)
    assert asyncio.run(scrub.sweep()) == []
    assert part.read_bytes() == b"two"
    assert not (shop.layout.version("shop", 1) / "part-00000.parquet").exists()
    assert (shop.read(first), shop.read(second)) == ([b"one"], [b"two"])


def test_the_deletion_of_a_version_deletes_what_no_other_names(shop: Installation) -> None:
    first, second = shop.publish("run_1", TWO), shop.publish("run_2", ONE)
    marks = VersionMarks(shop.store)
    upkeep = VersionUpkeep(shop.history, shop.pipelines, marks, shop.layout, CLOCK, shop.integrity)
    assert asyncio.run(upkeep.remove_all(shop.pipeline_id, [first], "test")) == {}
    assert [key for key in shop.objects_there() if key.startswith("shop/v000001")] == [second.files[0].key]
    shop.forget()
    assert shop.read(second) == [b"one"]
    assert shop.verify().findings == []


def test_objects_that_a_deletion_left_are_swept(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = shop.publish("run_1", TWO), shop.publish("run_2", ONE)
    marks = VersionMarks(shop.store)
    upkeep = VersionUpkeep(shop.history, shop.pipelines, marks, shop.layout, CLOCK, shop.integrity)
    with monkeypatch.context() as context:
        breaking(context, "delete", lambda _: True)
        asyncio.run(upkeep.remove_all(shop.pipeline_id, [first], "test"))
    assert len(shop.parts()) == 2
    shop.upkeep.sweep()
    assert shop.parts() == [second.files[0].key]


def test_what_a_service_wrote_that_died_before_the_commit_is_removed(shop: Installation) -> None:
    first = shop.publish("run_1", ONE)
    run = shop.run("run_2")
    staging, version = shop.prepared(run, TWO)
    version_objects.upload(shop.layout, staging, version, run, [first])  # and it is killed
    before = shop.objects_there()
    shop.upkeep.sweep()
    assert shop.objects_there() == before  # the run may be in progress, on another host
    shop.condition.recover(CLOCK.now(), accept_empty=False)
    waiting = shop.history.run("run_2")
    shop.history.change_run(msgspec.structs.replace(waiting, status="cancelled", end_time=CLOCK.now()))
    shop.upkeep.sweep()
    assert {key.split("/")[1] for key in shop.objects_there() if key.startswith("shop/")} == {"v000001-run_1-1"}
    assert shop.read(first) == [b"one"]
    assert shop.verify().findings == []


def test_a_cached_file_of_another_size_is_no_damage_at_a_start(shop: Installation) -> None:
    version = shop.publish("run_1", ONE)
    part = shop.layout.version("shop", 1) / "part-00000.parquet"
    part.chmod(0o600)
    part.write_bytes(b"half a fil")
    shop.condition.recover(CLOCK.now(), accept_empty=False)
    assert shop.condition.report() == "ok"
    assert shop.read(version) == [b"one"]


def test_a_cache_of_an_earlier_pipeline_of_this_name_is_no_damage(shop: Installation) -> None:
    version = shop.publish("run_1", ONE)
    folder = shop.layout.version("shop", 1)
    (folder / "part-00009.parquet").write_bytes(b"of another")
    (folder / "manifest.json").write_bytes(b"of another")
    assert shop.verify().findings == []
    assert shop.objects is not None
    shop.objects.put(f"{version.objects}/manifest.json", b"of another")
    (found,) = shop.verify().findings
    assert (found.kind, "not the manifest" in found.message) == ("damaged", True)
