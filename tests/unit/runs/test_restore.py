"""What a restore refuses, what a killed one leaves, and that two do not meet."""

from __future__ import annotations

import contextlib
import shutil
from datetime import date, datetime
from pathlib import Path

import pytest

from service.catalog import audit_rows, run_events
from service.catalog.audit_heads import AuditHeads
from service.catalog.duckdb_store import DuckDBStore
from service.catalog.store import Transaction
from service.cli import backup
from service.files import audit_check, audit_file, event_journal
from service.files.audit_file import Head
from service.files.backup_directory import MANIFEST, BackupDirectory, BackupFile
from service.files.layout import RESTORING, Layout
from service.kit import errors
from service.runs import restore as restoring
from tests.unit.runs.backing_up import back_up, data_directory, flip, restored, rows
from tests.unit.runs.disasters import NAME, Directory, Opened


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return data_directory(tmp_path / "data")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.mark.parametrize("file", ["catalog.duckdb", "uploads/a.csv", f"warehouse/shop/v000002/{NAME}", MANIFEST])
@pytest.mark.parametrize("how", ["flipped", "shortened", "missing", "a link"])
def test_a_damaged_backup_is_refused_with_the_name_of_the_file(
    directory: Directory, place: Path, tmp_path: Path, file: str, how: str
) -> None:
    back_up(directory, place)
    (folder,) = BackupDirectory(place).backups()
    path = folder / file
    if how == "flipped":
        flip(path)
    elif how == "shortened":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.rename(tmp_path / "moved")
        if how == "a link" and file != MANIFEST:
            path.symlink_to(tmp_path / "moved")
    with pytest.raises(errors.PenstockError, match=file) as caught:
        restored(place, tmp_path / "new")
    gone = file == MANIFEST and how in ("missing", "a link")
    assert caught.value.error_code == ("CONFLICT" if gone else "DATA_CORRUPT")
    assert not (tmp_path / "new").exists()


class Killed(BaseException):
    """In place of SIGKILL: no code of the process runs any more."""


@pytest.mark.parametrize("moves", [0, 1, 4, 7])
def test_a_restore_that_was_killed_is_done_again(
    directory: Directory, place: Path, tmp_path: Path, moves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that was killed after so many files had been moved to their places; foreign files stay."""
    back_up(directory, place)
    target, left = tmp_path / "new", tmp_path / "as-it-was-left"
    rename, done = Path.rename, 0

    def dying(self: Path, to: Path) -> Path:
        nonlocal done
        if self.parent.name == RESTORING:
            if done == moves:
                shutil.copytree(target, left)
                raise Killed
            done += 1
        return rename(self, to)

    with monkeypatch.context() as patched, contextlib.suppress(Killed):
        patched.setattr(Path, "rename", dying)
        restored(place, target)
    shutil.rmtree(target, ignore_errors=True)
    if left.exists():
        left.rename(target)
    else:  # everything was moved, and the kill came before the folder was removed
        restored(place, target)
        (target / RESTORING).mkdir()
    with pytest.raises(errors.Conflict, match="did not finish"):
        Layout(target).open()
    (target / "mine.txt").touch()
    with pytest.raises(errors.Conflict, match=r"mine\.txt"):
        restored(place, target)
    (target / "mine.txt").unlink()
    assert restored(place, target).versions == 2
    assert rows(target) == rows(directory.layout.root)
    assert not (target / RESTORING).exists()


def test_of_two_restores_to_one_directory_the_second_is_refused(
    directory: Directory, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(directory, place)
    target, copy = tmp_path / "new", restoring._copy
    refused: list[str] = []

    def copying(source: Path, to: Path, file: BackupFile) -> None:
        with pytest.raises(errors.Conflict) as caught:
            restored(place, target)
        refused.append(caught.value.message)
        copy(source, to, file)

    monkeypatch.setattr(restoring, "_copy", copying)
    assert restored(place, target).versions == 2
    assert set(refused) == {f"another restore to {target} is in progress"}
    assert rows(target) == directory.contents
    with pytest.raises(errors.Conflict, match="not empty"):
        restored(place, target)


def test_a_restore_that_fails_leaves_a_directory_as_it_was(directory: Directory, place: Path, tmp_path: Path) -> None:
    back_up(directory, place)
    flip(next(BackupDirectory(place).backups()[0].rglob(NAME)))
    for target, there in ((tmp_path / "absent", False), (tmp_path / "empty", True)):
        if there:
            target.mkdir()
        with pytest.raises(errors.PenstockError, match="another checksum"):
            restored(place, target)
        assert target.exists() is there


def test_a_directory_that_is_not_empty_is_not_restored_to(directory: Directory, place: Path, tmp_path: Path) -> None:
    back_up(directory, place)
    target = tmp_path / "new"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    with pytest.raises(errors.Conflict, match="not empty"):
        restored(place, target)
    assert [p.name for p in target.iterdir()] == ["mine.txt"]
    (target / "mine.txt").unlink()
    (target / ".restoring").mkdir()
    with pytest.raises(errors.Conflict, match="did not finish"):
        Layout(target).open()
    restored(place, target)
    assert rows(target) == directory.contents


@pytest.mark.parametrize("inside", ["new", "{backup}/warehouse/new"])
def test_a_backup_is_not_restored_into_itself(directory: Directory, place: Path, inside: str) -> None:
    """It would be changed by the service that runs on what was restored, and removed together with it."""
    back_up(directory, place)
    (folder,) = BackupDirectory(place).backups()
    with pytest.raises(errors.Conflict, match="inside the directory of the backups"):
        restored(place, place / inside.format(backup=folder.name))
    assert [path.name for path in place.iterdir()] == [folder.name]


def test_a_missing_backup_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.Missing, match="there is no directory"):
        restored(tmp_path / "typo", tmp_path / "new")
    (tmp_path / "typo" / ".partial-backup_1").mkdir(parents=True)
    with pytest.raises(errors.Conflict, match="no whole backup"):
        restored(tmp_path / "typo", tmp_path / "new")


def test_events_and_audit_log_of_a_catalog_elsewhere_become_files(
    directory: Directory, place: Path, tmp_path: Path
) -> None:
    """A backup of an installation with PostgreSQL has them as rows; what is restored works without it."""
    empty = Head(chain="chn_1", day=date(2026, 1, 1), begin=-1, end=-1)
    head, line = audit_file.line(empty, b'{"time":"2026-01-01T00:00:00Z"}')

    def fill(transaction: Transaction) -> None:
        run_events.append(transaction, "run_x", [("log", b'{"event":"a"}'), ("end", b"{}")])
        audit_rows.add(transaction, head.chain, [(1, datetime(2026, 1, 1), line[:-1])])
        audit_rows.put(transaction, head)

    with Opened(directory) as opened:
        opened.store.write(fill)
    back_up(directory, place)
    restored(place, tmp_path / "new")
    layout = Layout(tmp_path / "new")
    assert [event.id for event in event_journal.read(layout.log("run_x"))[0]] == [1, 2]
    assert audit_file.path(layout.audit, head.day).read_bytes() == line
    store = DuckDBStore(layout.catalog)
    assert store.rows("SELECT run_id FROM run_events UNION SELECT chain FROM audit_lines") == []
    assert [*audit_check.faults(layout.audit, AuditHeads(store).all())] == []
    store.close()


def test_what_is_restored_does_not_belong_to_the_database_that_is_in_use(
    directory: Directory, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of an installation names it; a restored directory has its catalog in a file."""
    back_up(directory, place)
    monkeypatch.setenv("PENSTOCK_CATALOG_URL", "postgresql://nobody@127.0.0.1:1/penstock")
    monkeypatch.setenv("PENSTOCK_WAREHOUSE_URL", f"file://{tmp_path}/store")
    backup.restore(str(place), data_dir=str(tmp_path / "new"), as_json=True)
    assert Layout(tmp_path / "new").catalog.exists()
    assert not Layout(tmp_path / "new").catalog_elsewhere.exists()
    assert not (tmp_path / "store").exists()
