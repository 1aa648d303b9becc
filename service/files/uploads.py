"""Uploaded files under one folder. No path leads out of it.

A path is opened folder by folder through descriptors, without following links. A file is received under a hidden name,
flushed to disk and renamed: a collector sees the old file or the new one. Methods block; the API calls them in threads.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from service.files import disk
from service.files.layout import RECEIVING
from service.kit import errors, ids

_LONGEST, _DEEPEST = 255, 8
_EXTRA = frozenset("._ -=")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def segments(path: str) -> list[str]:
    """The parts of a relative path. Raises ``errors.Invalid`` for a part that is not allowed as a name."""
    parts = path.strip("/").split("/")
    if len(parts) > _DEEPEST:
        raise errors.Invalid(f"path: at most {_DEEPEST} levels", field="path")
    for part in parts:
        letters = all(c in _EXTRA or unicodedata.category(c)[0] in "LNM" for c in part)
        if not letters or not part or part[0] in ". " or part[-1] in ". " or len(part.encode()) > _LONGEST:
            raise errors.Invalid(
                f"path: '{part[:60]}' is not allowed as a name: use letters, digits, '.', '_', '-', '=' and spaces, "
                f"no leading dot, at most {_LONGEST} bytes",
                field="path",
            )
    return parts


Keep = Callable[[str, Path, int, str], None]


def _nothing(*_: object) -> None:
    return None


class Incoming:
    """A file that is being received."""

    def __init__(self, root: Path, path: str) -> None:
        self._parts = segments(path)
        self._root = root
        self._hidden = RECEIVING + ids.new("up")
        self._hash = hashlib.sha256()
        self._size = 0
        try:
            handle = os.open(root / self._hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _full(error) from error
        self._file = os.fdopen(handle, "wb", buffering=1 << 20)

    def write(self, block: bytes) -> None:
        """Append a block. Raises ``errors.Unavailable`` (STORAGE_FULL if the disk is full)."""
        try:
            self._file.write(block)
        except OSError as error:
            raise _full(error) from error
        self._hash.update(block)
        self._size += len(block)

    def finish(self, keep: Keep = _nothing) -> tuple[Uploaded, bool]:
        """Flush the file and move it to its path. Returns the file, and whether its path is new.

        ``keep`` gets path, file, size and SHA-256 before the file has its path; what it raises ends the upload.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise _full(error) from error
        name = self._parts[-1]
        try:
            with _walk(self._root, self._parts[:-1], create=True) as folder:
                found = _kind(folder, name)
                if found is not None and not stat.S_ISREG(found):
                    raise _conflict("/".join(self._parts))
                keep("/".join(self._parts), self._root / self._hidden, self._size, self._hash.hexdigest())
                os.replace(self._root / self._hidden, name, dst_dir_fd=folder)
                os.fsync(folder)
        except OSError as error:
            raise _full(error) from error
        done = Uploaded(path="/".join(self._parts), bytes=self._size, sha256=self._hash.hexdigest())
        return done, found is None

    def discard(self) -> None:
        """Remove the received data of an upload that did not finish."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(FileNotFoundError):
            (self._root / self._hidden).unlink()


def list_files(root: Path, *, limit: int, offset: int) -> tuple[list[UploadedLine], int]:
    """Files by path, and their total number."""
    found = sorted(_files(root, root), key=lambda f: f.path)
    return found[offset : offset + limit], len(found)


def _files(root: Path, folder: Path) -> Iterator[UploadedLine]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(root, Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    state = entry.stat(follow_symlinks=False)
                    yield UploadedLine(
                        path=_shown(str(Path(entry.path).relative_to(root))),
                        bytes=state.st_size,
                        modified=datetime.fromtimestamp(state.st_mtime, UTC),
                    )


def _shown(path: str) -> str:
    """A path as text: somebody may have copied a file whose name has another encoding."""
    return os.fsencode(path).decode(errors="replace")


def delete(root: Path, path: str) -> None:
    """Remove a file and the folders that this leaves empty. Raises ``errors.Missing``."""
    parts = segments(path)
    try:
        with _walk(root, parts[:-1], create=False) as folder:
            if not stat.S_ISREG(_kind(folder, parts[-1]) or 0):
                raise FileNotFoundError(path)
            os.unlink(parts[-1], dir_fd=folder)
            os.fsync(folder)
    except FileNotFoundError:
        raise errors.Missing(
            f"there is no file '{'/'.join(parts)}'; GET /api/v1/files lists them", field="path"
        ) from None
    for depth in range(len(parts) - 1, 0, -1):
        with contextlib.suppress(OSError), _walk(root, parts[: depth - 1], create=False) as folder:
            os.rmdir(parts[depth - 1], dir_fd=folder)


@contextlib.contextmanager
def _walk(root: Path, parts: list[str], *, create: bool) -> Iterator[int]:
    """A descriptor of the folder at ``parts`` below ``root``."""
    folder = os.open(root, _FOLDER & ~os.O_NOFOLLOW)  # an operator may have put a link in its place
    try:
        for depth, part in enumerate(parts):
            try:
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=folder)
                below = os.open(part, _FOLDER, dir_fd=folder)
            except (NotADirectoryError, OSError) as error:
                if create and error.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise _conflict("/".join(parts[: depth + 1])) from None
                if error.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise FileNotFoundError("/".join(parts)) from None
                raise
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


def _kind(folder: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None


def _conflict(path: str) -> errors.Conflict:
    return errors.Conflict(
        f"'{path}' already exists as something else (a file or a folder)", code="FILE_EXISTS", field="path"
    )


def _full(error: OSError) -> errors.PenstockError:
    if disk.is_full(error):
        return disk.storage_full()
    return errors.Unavailable(f"the file could not be written ({error.strerror}); nothing was kept", retry_after=5)


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was received."""

    path: str
    bytes: int
    sha256: str


class UploadedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A file in the list of uploads."""

    path: str
    bytes: int
    modified: datetime
