"""The directory of backups. Each backup is a folder named by its time; it gets that name when it is whole.

::

    <directory>/2026-01-01T06-00-00Z/backup.json    every other file of the backup with size and SHA-256, written last
    <directory>/2026-01-01T06-00-00Z/…              catalog.duckdb, secret.key, uploads/, warehouse/, audit/
    <directory>/.partial-…/                         a backup that is being made or was interrupted
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import msgspec

from service.files import directory_lock, disk
from service.files.layout import flush
from service.kit import errors, ids

MANIFEST = "backup.json"
_PARTIAL = ".partial-"
_STAMP = "%Y-%m-%dT%H-%M-%SZ"
_NAME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}Z")
_FOREIGN = frozenset({"lost+found"})  # file systems have it at their top


class BackupFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a backup; ``path`` is relative to the folder of the backup."""

    path: str
    bytes: int
    sha256: str


class BackupManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``backup.json``. ``checksum`` is the SHA-256 of the manifest with an empty ``checksum``."""

    format: int = 1
    release: str
    created: datetime
    versions: int
    files: list[BackupFile]
    checksum: str = ""

    def sealed(self) -> BackupManifest:
        """The manifest with its checksum."""
        plain = msgspec.structs.replace(self, checksum="")
        return msgspec.structs.replace(plain, checksum=hashlib.sha256(msgspec.json.encode(plain)).hexdigest())


@dataclass(frozen=True)
class BackupDirectory:
    """A directory that holds backups, or will. Methods block."""

    path: Path

    @classmethod
    def at(cls, text: str, data: Path) -> BackupDirectory:
        """The directory named ``text``, for a backup of the data directory ``data``.

        Raises ``errors.Invalid`` unless it is an absolute path outside ``data`` that is absent, empty or has backups.
        """
        if not text.startswith("/") or "\0" in text:
            raise _invalid("must be an absolute path")
        path, root = Path(os.path.realpath(text)), Path(os.path.realpath(data))
        if path.is_relative_to(root):
            raise _invalid("is inside the data directory; choose a directory outside it, best on another disk")
        found = cls(path)
        try:
            foreign = sorted(p.name for p in path.iterdir() if not _is_ours(p)) if path.exists() else []
        except OSError as error:
            raise _invalid(f"cannot be read ({error.strerror})") from error
        if foreign:
            raise _invalid(f"holds other files than backups, such as '{foreign[0]}'; choose an empty directory")
        return found

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Create the directory and keep other backups out of it.

        Raises ``errors.Invalid`` if it cannot be written, ``errors.Conflict`` while another backup is being made.
        """
        busy = "another backup is being written to this directory"
        with contextlib.ExitStack() as lock:
            try:
                lock.enter_context(directory_lock.locked(self.path, busy, "directory"))
            except OSError as error:
                if disk.is_full(error):
                    raise
                raise _invalid(f"cannot be used ({error.strerror})") from error
            yield

    def backups(self) -> list[Path]:
        """The folders of whole backups, oldest first."""
        if not self.path.is_dir():
            return []
        return sorted(p for p in self.path.iterdir() if _NAME.fullmatch(p.name) and (p / MANIFEST).is_file())

    def begin(self) -> Path:
        """A folder for a new backup; what interrupted ones left is removed. Raises ``errors.Invalid``, ``OSError``."""
        for left in self.path.glob(_PARTIAL + "*"):
            shutil.rmtree(left, ignore_errors=True)
        partial = self.path / (_PARTIAL + ids.new("backup"))
        try:
            partial.mkdir(mode=0o700)
        except PermissionError as error:
            raise _invalid(f"cannot be written ({error.strerror})") from error
        return partial

    def commit(self, partial: Path, manifest: BackupManifest) -> Path:
        """Write the manifest, flush, and give the backup its name, later than those of all others. Returns its folder.

        Raises ``OSError``.
        """
        write_manifest(partial, manifest)
        names = [p.name for p in self.path.iterdir() if _NAME.fullmatch(p.name)]
        moment = manifest.created
        if names and moment.strftime(_STAMP) <= max(names):
            moment = datetime.strptime(max(names), _STAMP).replace(tzinfo=UTC) + timedelta(seconds=1)
        folder = self.path / moment.strftime(_STAMP)
        partial.rename(folder)
        flush(self.path)
        flush(self.path.parent)
        return folder


def find(path: Path) -> Path:
    """The folder of a whole backup: ``path`` itself, or the newest in it.

    Raises ``errors.Missing`` if there is no such directory, ``errors.Conflict`` if it has no whole backup.
    """
    if not path.is_dir():
        raise errors.Missing(f"there is no directory {path}", field="directory")
    if (path / MANIFEST).is_file():
        return path
    whole = BackupDirectory(path).backups()
    if not whole:
        raise errors.Conflict(
            f"{path} holds no whole backup: there is no {MANIFEST} in it, nor in a folder of it", field="directory"
        )
    return whole[-1]


def write_manifest(folder: Path, manifest: BackupManifest) -> None:
    """Write and flush ``backup.json``, after all folders of the backup are private and flushed. Raises ``OSError``."""
    for above, _, _ in os.walk(folder, topdown=False):
        Path(above).chmod(0o700)
        flush(Path(above))
    path = folder / MANIFEST
    path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest.sealed()), indent=1))
    path.chmod(0o600)
    flush(path)
    flush(folder)


def read_manifest(folder: Path) -> BackupManifest:
    """The manifest of a backup. Raises ``errors.PenstockError`` (DATA_CORRUPT), ``errors.Conflict``."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=BackupManifest)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise damaged(f"{MANIFEST} cannot be read ({error})") from error
    if manifest.format > 1:
        raise errors.Conflict("a newer penstock made this backup; install that release or a later one")
    if manifest.sealed() != manifest:
        raise damaged(f"{MANIFEST} has another checksum than when it was written")
    outside = [f.path for f in manifest.files if not _is_inside(f.path)]
    if outside:
        raise damaged(f"{MANIFEST} names '{outside[0]}', which is outside the backup")
    return manifest


def damaged(what: str) -> errors.PenstockError:
    """The error of a backup that cannot be restored."""
    return errors.PenstockError(f"the backup is damaged: {what}; nothing was restored", code="DATA_CORRUPT")


def _is_ours(path: Path) -> bool:
    named = _NAME.fullmatch(path.name) or path.name.startswith(_PARTIAL)
    return path.name in _FOREIGN or (bool(named) and path.is_dir() and not path.is_symlink())


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _invalid(message: str) -> errors.Invalid:
    return errors.Invalid.of([errors.Problem("directory", message)], "request")
