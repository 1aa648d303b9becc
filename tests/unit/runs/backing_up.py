"""A data directory to back up, backups of it, and what is restored from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from service.runs.backup import BackupReport, Backups
from service.runs.restore import RestoreReport, restore
from tests.unit.runs.disasters import CLOCK, NAME, Directory, Opened


def data_directory(root: Path) -> Directory:
    """With two versions, an upload and a signing secret."""
    found = Directory(root)
    found.publish(1)
    found.publish(2)
    (found.layout.uploads / "a.csv").write_text("a\n1\n")
    found.layout.secret.write_text("s" * 48)
    return found


def back_up(directory: Directory, place: Path, during: Callable[[Opened], None] | None = None) -> BackupReport:
    with Opened(directory) as opened:
        backups = Backups(opened.store, opened.history, directory.layout, CLOCK)
        if during is not None:
            copy = opened.store.copy_to

            def copy_to(path: Path, alongside: Callable[[], None]) -> None:
                copy(path, alongside)
                during(opened)

            opened.store.copy_to = copy_to  # type: ignore[method-assign]
        return backups.make(str(place))


def restored(place: Path, target: Path) -> RestoreReport:
    return restore(place, target, None, CLOCK)


def rows(data: Path) -> set[bytes]:
    return {path.read_bytes() for path in (data / "warehouse").rglob(NAME)}


def inodes(folder: Path) -> set[int]:
    return {path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
