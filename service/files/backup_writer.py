"""Writing the files of a backup: unchanged files are hard links to the backup before, others are copies."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
from pathlib import Path

from service.files import backup_directory
from service.files.backup_directory import BackupFile
from service.files.checksums import sha256
from service.files.layout import flush
from service.kit import errors

_BLOCK = 4 << 20


class Mismatch(Exception):
    """A file differs from what was recorded of it; the text says how."""


class BackupWriter:
    """Writes files into ``folder``, and shares them with the backup in ``before`` if that has them unchanged.

    A file of the earlier backup is read and compared with its checksum before it is shared, so that a damaged one is
    never taken over. Setting ``stop`` ends the work with ``errors.Unavailable``.
    """

    def __init__(self, folder: Path, before: Path | None, stop: threading.Event) -> None:
        self._folder = folder
        self._before = before
        self._stop = stop
        self._earlier: dict[str, BackupFile] = {}
        if before is not None:
            with contextlib.suppress(errors.PenstockError):  # a damaged backup shares nothing
                self._earlier = {file.path: file for file in backup_directory.read_manifest(before).files}
        self.files: list[BackupFile] = []

    @property
    def shared_bytes(self) -> int:
        """The bytes of the files that are shared with the earlier backup."""
        return sum(file.bytes for file in self.files if self._earlier.get(file.path) is file)

    def add(
        self, source: Path, name: str, *, size: int | None = None, checksum: str = "", most: int | None = None
    ) -> None:
        """Add the file ``source`` as ``name``. ``size`` and ``checksum`` are what is recorded of it.

        Of a file that grows only the first ``most`` bytes are added.

        Raises ``Mismatch``, ``OSError``, ``errors.Unavailable``.
        """
        target = self._folder / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        earlier = self._earlier.get(name)
        length = source.stat().st_size
        if earlier is not None and not checksum and earlier.bytes == length and most in (None, length):
            checksum, size = sha256(source), earlier.bytes
        if earlier is None or (earlier.bytes, earlier.sha256) != (size, checksum) or not self._share(earlier, target):
            self._copy(source, target, name, size, checksum, most)

    def add_written(self, name: str) -> None:
        """Add a file that is in the folder already. Raises ``OSError``."""
        path = self._folder / name
        path.chmod(0o600)
        flush(path)
        self.files.append(BackupFile(path=name, bytes=path.stat().st_size, sha256=sha256(path)))

    def drop(self, name: str) -> None:
        """Take a file out that could not be added whole."""
        (self._folder / name).unlink(missing_ok=True)

    def withdraw(self, folder: str) -> None:
        """Take a folder out again, with the files in it that were added."""
        shutil.rmtree(self._folder / folder, ignore_errors=True)
        self.files = [file for file in self.files if not file.path.startswith(f"{folder}/")]

    def _share(self, earlier: BackupFile, target: Path) -> bool:
        assert self._before is not None
        path = self._before / earlier.path
        self._go_on()
        try:
            if path.is_symlink() or sha256(path) != earlier.sha256:
                return False
            target.hardlink_to(path)
        except OSError:  # it is missing, or the file system allows no (more) links
            return False
        self.files.append(earlier)
        return True

    def _copy(self, source: Path, target: Path, name: str, size: int | None, checksum: str, most: int | None) -> None:
        """Copy the file as long as it is now: one that is appended to meanwhile stays a prefix of itself."""
        digest, copied = hashlib.sha256(), 0
        with source.open("rb", buffering=0) as reading, target.open("xb", buffering=0) as writing:
            os.fchmod(writing.fileno(), 0o600)
            left = os.fstat(reading.fileno()).st_size
            left = left if most is None else min(left, most)
            while left and (block := reading.read(min(_BLOCK, left))):
                self._go_on()
                digest.update(block)
                _write(writing.fileno(), block)
                copied, left = copied + len(block), left - len(block)
            os.fsync(writing.fileno())
        found = digest.hexdigest()
        if size is not None and copied != size:
            raise Mismatch(f"{source.name} has {copied} bytes instead of {size}")
        if checksum and found != checksum:
            raise Mismatch(f"{source.name} has another checksum than when it was written")
        self.files.append(BackupFile(path=name, bytes=copied, sha256=found))

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise errors.Unavailable("the service stops, so the backup was not made; make it again")


def _write(handle: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(handle, view) :]
