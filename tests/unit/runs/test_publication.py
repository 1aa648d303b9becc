"""Staging becomes a version, with what collectors remember; or nothing happened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.catalog.history import Committed
from service.catalog.store import Uncertain
from service.files.layout import Layout, children
from service.jobs import messages
from service.jobs.messages import Grants, Loaded, Order, Remembered
from service.kit import errors
from service.model.run import Run, StoredForm
from service.model.version import Version
from service.runs import publication, recovery
from service.steps.storage import File, Written
from tests.registry import a_pipeline
from tests.unit.runs.preparing import prepared

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PIPELINE = a_pipeline()


class Books:
    """A history that keeps what is published, or refuses it."""

    def __init__(self, refuses: Exception | None = None) -> None:
        self.refuses = refuses
        self.runs: list[Run] = []
        self.kept: list[Version] = []

    def publish(
        self, pipeline_id: str, run: Run, version: Version, fence: int | None, changed: Sequence[tuple[Run, Version]]
    ) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.runs.append(run)
        self.kept.insert(0, version)
        for earlier in changed:
            self.note_native(pipeline_id, *earlier)

    healthy = True

    def committed(self) -> list[Committed]:
        return [Committed(version=version, live=True, pipeline_id="p") for version in self.kept]

    def newest(self, pipeline_id: str) -> Version | None:
        return self.kept[0] if self.kept else None

    def with_native(self, pipeline_id: str, *, skip: int, limit: int) -> list[Version]:
        return [version for version in self.kept[skip : skip + limit] if version.native is not None]

    def run(self, run_id: str) -> Run:
        return next(run for run in self.runs if run.run_id == run_id)

    def note_native(self, pipeline_id: str, run: Run, version: Version) -> None:
        self.runs = [run if run.run_id == known.run_id else known for known in self.runs]
        self.kept = [version if version.version == known.version else known for known in self.kept]

    def amend_run(self, pipeline_id: str, run: Run) -> None:
        self.runs = [run]


def published(layout: Layout, books: Books, number: int, **more: Any) -> tuple[Run, Version]:
    staging = layout.staging(f"r{number}")
    staging.mkdir()
    (staging / "part-0.parquet").write_bytes(b"rows")
    file = File("part-0.parquet", 4, 1, "")
    order = Order(
        run_id=f"r{number}", pipeline_id="id", document={}, revision=1, version=number, created=NOW,
        grants=Grants(folder=str(staging), memory_bytes=0),
    )  # fmt: skip
    run = Run(run_id=f"r{number}", pipeline="p", revision=1, status="running")
    ready = prepared(file, rows=1, files=[file], **more)
    return publication.publish(books, layout, PIPELINE, order, ready, run, NOW, 1.0)  # type: ignore[arg-type]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.create()
    return made


def test_requirement_20_what_the_catalog_refuses_was_never_there(layout: Layout) -> None:
    published(layout, Books(), 1)
    with pytest.raises(OSError, match="full"):
        published(layout, Books(OSError("the disk is full")), 2)
    assert [path.name for path in children(layout.pipeline("p"))] == ["v000001"]
    assert list(layout.staging_root.iterdir()) == []


def test_a_version_of_which_nobody_knows_whether_it_was_committed_keeps_its_folder(layout: Layout) -> None:
    """If it was, the catalog has it; if not, the next run moves the folder aside."""
    with pytest.raises(Uncertain):
        published(layout, Books(Uncertain("the connection was lost")), 1)
    assert [path.name for path in children(layout.pipeline("p"))] == ["v000001"]
    published(layout, Books(), 1)
    assert [path.name for path in children(layout.pipeline("p"))] == ["v000001"]
    assert len(layout.orphans()) == 1


def test_requirement_20_the_folder_is_on_the_disk_before_the_catalog_names_it(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut leaves a version that the catalog knows and nobody can read."""
    happened: list[str] = []

    class Watched(Books):
        def publish(self, *_: object) -> None:
            happened.append("commit")

    def flushed(path: Path) -> None:
        happened.append(f"{path.name} with {sorted(p.name for p in path.iterdir() if not p.name.startswith('.'))}")

    monkeypatch.setattr(publication, "flush", flushed)
    published(layout, Watched(), 1)
    assert happened == ["warehouse with ['p']", "p with ['v000001']", "commit"]


def test_a_version_lies_beside_the_ones_before(layout: Layout) -> None:
    books = Books()
    for number in (1, 2):
        run, version = published(layout, books, number, rows_collected=3, rows_rejected=2, deferred=["duckdb"])
        assert (run.status, run.version, run.rows_collected, run.rows_rejected) == ("completed", number, 3, 2)
        assert [(s.type, s.state, s.location) for s in run.storage] == [
            ("parquet", "ready", f"warehouse/p/v00000{number}"),
            ("duckdb", "loading", f"warehouse/p/v00000{number}/p.duckdb"),
        ]
        assert version.wants_native
    assert [path.name for path in children(layout.pipeline("p"))] == ["v000001", "v000002"]
    assert (layout.pipeline("p") / "current").resolve().name == "v000002"
    assert not layout.deleted_root.exists()


def test_what_another_pipeline_of_that_name_left_is_moved_aside(layout: Layout) -> None:
    books = Books()
    published(layout, books, 1)
    (layout.version("p", 1) / "old").touch()
    published(layout, books, 1)
    assert [path.name for path in layout.version("p", 1).iterdir()] == ["part-0.parquet"]
    (aside,) = layout.deleted_root.iterdir()
    assert (aside / "v000001" / "old").exists()


def test_a_link_in_the_place_of_the_pipeline_is_refused(layout: Layout, tmp_path: Path) -> None:
    """No reader would follow it to the new version."""
    (tmp_path / "elsewhere").mkdir()
    layout.pipeline("p").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.PenstockError, match="symbolic link"):
        published(layout, Books(), 1)
    assert not list((tmp_path / "elsewhere").iterdir())


def with_native(number: int) -> Loaded:
    written = Written("duckdb", [File("p.duckdb", 6, 1, "")], 1)
    return Loaded(written, "storage[1]", 0.1, 1, NOW)


def natives(books: Books) -> list[int]:
    return [version.version for version in books.kept if version.native is not None]


def test_the_native_file_of_a_version_replaces_the_one_before(layout: Layout) -> None:
    books = Books()
    for number in (1, 2, 3):
        published(layout, books, number, deferred=["duckdb"], loaded=[with_native(number)])
        assert natives(books) == [number]


def test_native_files_that_a_crash_left_are_found_after_a_while(layout: Layout) -> None:
    books = Books()
    published(layout, books, 1, deferred=["duckdb"], loaded=[with_native(1)])
    left = books.kept[0]
    for number in range(2, publication._LOOKS + 1):
        assert natives(books)[0] == number - 1
        books.note_native("id", books.run("r1"), left)  # as if it had stayed
        published(layout, books, number, deferred=["duckdb"], loaded=[with_native(number)])
    assert natives(books) == [publication._LOOKS]


def test_native_files_that_another_configuration_kept_go(layout: Layout) -> None:
    books = Books()
    for number in (1, 2):
        published(layout, books, number, deferred=["duckdb"], loaded=[with_native(number)])
    books.kept = [msgspec.structs.replace(v, native=File("p.duckdb", 6, 1, ""), revision=9) for v in books.kept]
    published(layout, books, 3, deferred=["duckdb"], loaded=[with_native(3)])
    assert natives(books) == [3]


def test_native_files_of_old_versions_go_and_no_others(layout: Layout) -> None:
    books = Books()
    for number in (1, 2, 3):
        run, version = published(layout, books, number, deferred=["duckdb"])
        native = layout.version("p", number) / "p.duckdb"
        native.write_bytes(b"native")
        version = msgspec.structs.replace(version, native=File("p.duckdb", 6, 1, ""), bytes=10)
        books.note_native("id", run, version)
    publication.expire_native(books, layout, "id", keep=2)  # type: ignore[arg-type]
    assert [(v.version, v.native is not None, v.bytes) for v in books.kept] == [
        (3, True, 10),
        (2, True, 10),
        (1, False, 4),
    ]
    assert [(layout.version("p", n) / "p.duckdb").exists() for n in (1, 2, 3)] == [False, True, True]
    assert [[s.type for s in run.storage] for run in books.runs] == [["parquet"], *[["parquet", "duckdb"]] * 2]


@pytest.mark.parametrize("keep", [1, 2])
def test_a_native_file_that_would_be_removed_moves_to_the_next_version(layout: Layout, keep: int) -> None:
    books = Books()
    run, version = published(layout, books, 1, deferred=["duckdb"])
    file = layout.version("p", 1) / "p.duckdb"
    file.write_bytes(b"native")
    version = msgspec.structs.replace(version, native=File("p.duckdb", 6, 1, ""), bytes=10)
    books.note_native("id", run, version)
    published(layout, books, 2, deferred=["duckdb"])
    folder = layout.version("p", 2)
    path = publication.take_native(books, layout, "id", keep, version, folder)  # type: ignore[arg-type]
    assert path.read_bytes() == b"native"
    assert file.exists() == (books.kept[1].native is not None) == (path == file) == (keep == 2)
    recovery.sweep_temporary(folder)  # as after a load that was killed
    assert path.exists() == (keep == 2)


def test_only_what_is_still_loading_has_failed() -> None:
    books = Books()
    forms = [
        StoredForm(type="a", location="", bytes=0, state="ready"),
        StoredForm(type="b", location="", bytes=0, state="loading"),
    ]
    run = Run(run_id="r", pipeline="p", revision=1, status="completed", storage=forms)
    told = publication.note_unloaded(books, "id", run)  # type: ignore[arg-type]
    assert [s.state for s in told.storage] == ["ready", "failed"]
    assert books.runs == [told]


@pytest.mark.parametrize("links", [True, False])
def test_files_that_stay_are_those_of_the_version_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """With hard links they take no space; a file system without them gets copies."""
    name = "state/users/rows-000000.parquet"
    kept = tmp_path / "v000001" / name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"rows")
    file = File(name, 4, 0, "")
    order = Order(
        run_id="r", pipeline_id="p", document={}, revision=1, version=2, created=NOW,
        grants=Grants(folder=str(tmp_path / "staging"), memory_bytes=0),
        remembered=Remembered(folder=str(tmp_path / "v000001"), files=[file]),
    )  # fmt: skip
    ready = prepared(file, state=[file], stays=[name])
    if not links:

        def refused(self: Path, target: Path) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(Path, "hardlink_to", refused)
    publication.carry(order, ready)
    copy = tmp_path / "staging" / name
    assert copy.read_bytes() == b"rows"
    assert (copy.stat().st_ino == kept.stat().st_ino) is links
    assert messages.decode(messages.encode(ready)) == ready
