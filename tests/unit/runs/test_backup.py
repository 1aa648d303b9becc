"""Backups of a data directory and what is restored from them: whole or refused, never silently less."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from service.catalog.duckdb_store import DuckDBStore
from service.files.backup_directory import MANIFEST, BackupDirectory
from service.files.layout import Layout
from service.kit import errors
from service.model.run import StoredForm
from service.model.version import Version
from service.runs import backup
from service.runs.backup import BackupReport, Backups
from service.steps.storage import File
from tests.unit.runs.backing_up import back_up, data_directory, flip, inodes, restored, rows
from tests.unit.runs.disasters import CLOCK, NAME, Directory, Opened


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return data_directory(tmp_path / "data")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def test_what_is_restored_is_what_was_backed_up(directory: Directory, place: Path, tmp_path: Path) -> None:
    report = back_up(directory, place)
    assert (report.directory, report.versions, report.shared_bytes) == (str(place), 2, 0)
    (folder,) = BackupDirectory(place).backups()
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert report.files == len(written) - 1
    assert report.bytes == sum(p.stat().st_size for p in written if p.name != MANIFEST)
    assert {p.stat().st_mode & 0o777 for p in written} == {0o600}
    assert {p.stat().st_mode & 0o777 for p in (place, folder, *folder.rglob("*")) if p.is_dir()} == {0o700}
    assert not inodes(folder) & inodes(directory.layout.root)
    assert not any(directory.layout.staging_root.iterdir())
    target = tmp_path / "new"
    found = restored(place, target)
    assert (found.versions, found.files, found.bytes) == (2, report.files, report.bytes)
    assert rows(target) == directory.contents
    assert (target / "uploads" / "a.csv").read_text() == "a\n1\n"
    assert (target / "secret.key").read_text() == "s" * 48
    assert (target / "warehouse" / "shop" / "current").readlink() == Path("v000002")
    copy = Directory.__new__(Directory)
    copy.layout = Layout(target)
    assert copy.start() == "ok"
    assert copy.versions() == directory.versions()
    modes = {p.relative_to(target).as_posix(): p.stat().st_mode & 0o777 for p in target.rglob("*")}
    assert (modes["catalog.duckdb"], modes["secret.key"], modes["warehouse"]) == (0o600, 0o600, 0o700)
    assert modes[f"warehouse/shop/v000001/{NAME}"] == 0o400


def test_unchanged_files_are_shared_with_the_backup_before(directory: Directory, place: Path, tmp_path: Path) -> None:
    back_up(directory, place)
    directory.publish(3)
    report = back_up(directory, place)
    first, second = BackupDirectory(place).backups()
    shared = inodes(first) & inodes(second)
    names = {p.relative_to(second).as_posix() for p in second.rglob("*") if p.stat().st_ino in shared}
    version = {f"warehouse/shop/v00000{n}/{file}" for n in (1, 2) for file in (NAME, "manifest.json")}
    assert names == {*version, "uploads/a.csv", "secret.key"}
    assert report.shared_bytes == sum((second / name).stat().st_size for name in names)
    shutil.rmtree(first)
    restored(place, tmp_path / "new")
    assert rows(tmp_path / "new") == directory.contents


def test_a_damaged_file_of_the_backup_before_is_not_shared(directory: Directory, place: Path, tmp_path: Path) -> None:
    back_up(directory, place)
    (first,) = BackupDirectory(place).backups()
    flip(first / "warehouse" / "shop" / "v000001" / NAME)
    back_up(directory, place)
    restored(place, tmp_path / "new")
    assert rows(tmp_path / "new") == directory.contents
    with pytest.raises(errors.PenstockError, match=rf"warehouse/shop/v000001/{NAME} has another checksum"):
        restored(first, tmp_path / "old")


def test_a_damaged_version_fails_the_backup_unless_an_earlier_one_has_it(
    directory: Directory, place: Path, tmp_path: Path
) -> None:
    part = directory.layout.version("shop", 1) / NAME
    back_up(directory, place)
    flip(part)
    with pytest.raises(errors.PenstockError, match="version 1 of 'shop' is damaged") as caught:
        back_up(directory, tmp_path / "other")
    assert caught.value.error_code == "DATA_CORRUPT"
    assert caught.value.details == {"pipeline": "shop", "version": 1}
    assert not any((tmp_path / "other").iterdir())
    back_up(directory, place)
    restored(place, tmp_path / "new")
    assert rows(tmp_path / "new") == directory.contents


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_a_damaged_native_table_is_left_out_and_wanted_again(
    directory: Directory, place: Path, tmp_path: Path, how: str
) -> None:
    native = File("shop.duckdb", 4, 1, hashlib.sha256(b"good").hexdigest())
    with Opened(directory) as opened:
        record, version = opened.pipelines.get("shop"), opened.history.committed()[1].version
        forms = [StoredForm(type="duckdb", location="shop.duckdb", bytes=4)]
        run = msgspec.structs.replace(opened.history.run(version.run_id), storage=forms)
        version = msgspec.structs.replace(version, native=native, bytes=version.bytes + 4)
        opened.history.note_native(record.id, run, version)
    if how == "damaged":
        (directory.layout.version("shop", 2) / native.name).write_bytes(b"evil")
    back_up(directory, place)
    restored(place, tmp_path / "new")
    copy = Directory.__new__(Directory)
    copy.layout = Layout(tmp_path / "new")
    found = copy.versions()[1]
    assert (found.native, found.wants_native, found.bytes) == (None, True, version.bytes - 4)
    assert not list((tmp_path / "new").rglob("shop.duckdb"))
    assert directory.versions()[1].native == native


def test_what_happens_during_the_copy_is_not_in_the_backup(directory: Directory, place: Path, tmp_path: Path) -> None:
    """A pipeline that is purged is restored, as it was when the copy began."""

    def purge(opened: Opened) -> None:
        opened.pipelines.delete("shop")
        shutil.rmtree(directory.layout.pipeline("shop"))
        (directory.layout.uploads / "a.csv").unlink()

    back_up(directory, place, purge)
    restored(place, tmp_path / "new")
    assert rows(tmp_path / "new") == directory.contents
    with Opened(directory) as opened, pytest.raises(errors.Missing):
        opened.pipelines.get("shop")


def test_versions_of_deleted_pipelines_are_backed_up_until_they_are_purged(
    directory: Directory, place: Path, tmp_path: Path
) -> None:
    with Opened(directory) as opened:
        opened.pipelines.delete("shop")
    assert back_up(directory, place).versions == 2
    shutil.rmtree(directory.layout.pipeline("shop"))
    assert back_up(directory, place).versions == 0
    restored(place, tmp_path / "new")


def test_a_version_that_is_purged_while_it_is_pinned_is_left_out(
    directory: Directory, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Opened(directory) as opened:
        opened.pipelines.delete("shop")
    pin = backup._pin

    def pin_late(folder: Path, pins: Path, version: Version) -> None:
        if version.version == 2:
            shutil.rmtree(directory.layout.pipeline("shop"))
        pin(folder, pins, version)

    monkeypatch.setattr(backup, "_pin", pin_late)
    assert back_up(directory, place).versions == 1
    assert restored(place, tmp_path / "new").versions == 1
    assert rows(tmp_path / "new") == {b"rows 1"}


def test_a_damaged_manifest_is_made_from_the_catalog(directory: Directory, place: Path, tmp_path: Path) -> None:
    """A restore verifies what it restores: a backup of the damage would be one that cannot be restored."""
    path = directory.layout.version("shop", 2) / "manifest.json"
    flip(path)
    damaged = path.read_bytes()
    assert back_up(directory, place).versions == 2
    assert restored(place, tmp_path / "new").versions == 2
    assert path.read_bytes() == damaged
    shutil.copyfile(Layout(tmp_path / "new").version("shop", 2) / "manifest.json", path)
    assert directory.verify().findings == []


@pytest.mark.parametrize(
    ("text", "message"),
    [("backups", "absolute path"), ("", "absolute path"), ("/a\0b", "absolute path"), ("{data}", "inside the data"),
     ("{data}/b", "inside the data"), ("{link}/b", "inside the data"), ("{used}", "holds other files"),
     ("{file}", "cannot be read"), ("{file}/b", "cannot be"), ("/proc/no-such-place", "cannot be used")],
)  # fmt: skip
def test_directories_that_cannot_hold_a_backup(directory: Directory, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("mine")
    (tmp_path / "link").symlink_to(directory.layout.root)
    places = {"data": directory.layout.root, "link": tmp_path / "link", "used": tmp_path / "used"}
    with pytest.raises(errors.Invalid, match=message) as caught:
        _make(directory, text.format(**places, file=tmp_path / "used" / "mine.txt"))
    assert caught.value.details["field"] == "directory"
    assert [p.name for p in (tmp_path / "used").iterdir()] == ["mine.txt"]


def _make(directory: Directory, text: str) -> BackupReport:
    with Opened(directory) as opened:
        return Backups(opened.store, opened.history, directory.layout, CLOCK).make(text)


def test_a_name_that_a_manifest_cannot_hold_is_named(directory: Directory, place: Path) -> None:
    """A person copied a file with a name in another encoding; it is neither left out nor an unexplained failure."""
    upload = directory.layout.uploads / os.fsdecode(b"caf\xe9.csv")
    upload.write_text("a\n1\n")
    with pytest.raises(errors.Conflict, match=r"caf.*is not UTF-8; rename it"):
        back_up(directory, place)
    assert list(place.iterdir()) == []
    upload.rename(directory.layout.uploads / "café.csv")
    back_up(directory, place)


def test_one_backup_at_a_time_is_written_to_a_directory(directory: Directory, place: Path) -> None:
    with BackupDirectory(place).locked(), pytest.raises(errors.Conflict, match="another backup"):
        _make(directory, str(place))
    assert _make(directory, str(place)).versions == 2


def test_a_stopped_backup_leaves_nothing(directory: Directory, place: Path) -> None:
    with Opened(directory) as opened:
        backups = Backups(opened.store, opened.history, directory.layout, CLOCK)
        backups.stop()
        with pytest.raises(errors.Unavailable, match="the service stops"):
            backups.make(str(place))
    assert not any(place.iterdir())


def test_a_lost_catalog_is_not_backed_up(directory: Directory, place: Path) -> None:
    directory.catalog.unlink()
    with pytest.raises(errors.Conflict, match="the catalog is missing"):
        _make(directory, str(place))


def test_the_copy_of_a_catalog_has_its_schema_and_its_rows(directory: Directory, tmp_path: Path) -> None:
    """Keys and defaults too; the catalog itself stays locked and usable."""
    shape = (
        "SELECT table_name, sql FROM duckdb_tables() WHERE NOT internal UNION ALL "
        "SELECT table_name, constraint_text FROM duckdb_constraints() UNION ALL "
        "SELECT index_name, sql FROM duckdb_indexes() ORDER BY ALL"
    )
    with Opened(directory) as opened:
        opened.store.copy_to(tmp_path / "it's a copy.duckdb", lambda: None)
        assert opened.store.rows("SELECT database_name FROM duckdb_databases() WHERE NOT internal") == [
            {"database_name": "catalog"}
        ]
        copy = DuckDBStore(tmp_path / "it's a copy.duckdb")
        try:
            assert not copy.created
            assert copy.rows(shape) == opened.store.rows(shape)
            for table in ("runs", "versions", "pipelines", "properties"):
                every = f"FROM {table} ORDER BY ALL"
                assert copy.rows(every) == opened.store.rows(every)
        finally:
            copy.close()
