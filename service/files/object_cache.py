"""The files of versions that an object store holds, in the data directory while they are read: the cache.

A version never changes, so that a file is fetched once, however many ask for it, and is what the catalog recorded: it
is written under another name, compared with its checksum on the way, flushed, and renamed. Files that nobody has used
for longest are removed when all of them take more than the budget. A file without an object is not cached.

Who uses a version calls ``touch`` before the look whether its files are there. ``evict`` leaves what was touched a
short time ago, or since the oldest fetch in progress began: those files are about to be opened. What is open for
longer, readers report (``runs.cache_keeper``).
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import NamedTuple

import structlog

from service.files import disk, permissions
from service.files.layout import CACHED, Layout
from service.files.object_store import ObjectStore
from service.kit import errors, ids

PLACE = "cache"
"""How the name of the folder in the staging area begins that files are written to."""
_log = structlog.get_logger("penstock.store")
_GRACE = 60.0  # seconds between a look at a version and the moment when its reader is known

Noted = Callable[[int, int, str], None]
"""Called with an open file, its size and its checksum, which was computed while the file was written."""


class Wanted(NamedTuple):
    """A file of the version in ``folder``, and its object."""

    folder: Path
    name: str
    key: str
    bytes: int
    sha256: str


class Cached(NamedTuple):
    """The cached files of the version in ``folder``, and when it was last used (monotonic)."""

    folder: Path
    files: list[Wanted]
    used: float


class ObjectCache:
    """The cache of a data directory, of at most ``budget`` bytes. Methods block, and threads may share it."""

    def __init__(self, layout: Layout, store: ObjectStore, budget: int, noted: Noted, grace: float = _GRACE) -> None:
        self._layout = layout
        self._store = store
        self._budget = budget
        self._noted = noted
        self._grace = grace
        self._place = layout.staging(ids.new(PLACE))
        self._lock = threading.Lock()
        self._coming: dict[Path, Future[None]] = {}
        self._used: dict[Path, float] = {}
        self._filling: dict[object, float] = {}  # when fetches began that somebody waits for
        self._size: int | None = None  # bytes of all files, as far as known

    @property
    def is_full(self) -> bool:
        """Whether files may have to be removed."""
        return self._size is None or self._size > self._budget

    def touch(self, folder: Path) -> None:
        """Note that the version in ``folder`` is used."""
        with self._lock:
            self._used[folder] = time.monotonic()

    def grow(self, size: int) -> None:
        """Note that ``size`` bytes of versions came in another way than by a fetch."""
        if self._size is not None:
            self._size += size

    def begin(self, wanted: Iterable[Wanted]) -> list[Future[None]]:
        """Begin to fetch files in this order; those that are on their way already are not fetched twice."""
        return [self._begin(one) for one in wanted]

    def fill(self, wanted: Sequence[Wanted]) -> None:
        """Fetch files, and wait until they are there.

        Raises ``errors.Unavailable`` if the store or the disk does not work, ``object_store.NoObject``,
        ``object_store.DamagedObject``.
        """
        mark = object()
        with self._lock:
            self._filling[mark] = time.monotonic()
        try:
            futures = self.begin(wanted)
            for future in futures:
                future.result()
        except CancelledError:
            raise errors.Unavailable("the service is stopping", retry_after=5.0) from None
        finally:
            with self._lock:
                del self._filling[mark]

    def survey(self, versions: Iterable[tuple[Path, Sequence[Wanted]]]) -> list[Cached]:
        """Which of these files are there, by folder; the folder that was not used for longest comes first.

        ``is_full`` is exact afterwards. A file that several versions share counts once.
        """
        found, sizes = [], dict[tuple[int, int], int]()
        for folder, files in versions:
            there = []
            for file in files:
                try:
                    status = (folder / file.name).lstat()
                except OSError:
                    continue
                there.append(file)
                sizes[status.st_dev, status.st_ino] = status.st_size
            if there:
                found.append(Cached(folder, there, self._last_use(folder)))
        self._size = sum(sizes.values())
        return sorted(found, key=lambda one: one.used)

    def evict(self, cached: Cached) -> int:
        """Remove the files of a version, unless somebody is about to open them. Returns the bytes that this freed.

        What the store does not have in this size stays. Raises ``errors.Unavailable``.
        """
        lost = next((file for file in cached.files if self._store.size(file.key) != file.bytes), None)
        if lost is not None and not (cached.folder / lost.name).exists():  # the version was deleted meanwhile
            return 0
        if lost is not None:
            _log.error(
                "cache.kept", object=lost.key, hint="the object store does not have it; the next upkeep writes it"
            )
            return 0
        gone = self._place / ids.new("evicted")
        gone.mkdir(mode=0o700, parents=True)
        freed = 0
        try:
            with self._lock:  # renames only: a reader may wait for the lock
                latest = min([time.monotonic(), *self._filling.values()]) - self._grace
                if max(cached.used, self._used.get(cached.folder, cached.used)) > latest:
                    return 0
                for number, file in enumerate(cached.files):
                    try:
                        status = (cached.folder / file.name).lstat()
                        (cached.folder / file.name).replace(gone / str(number))
                    except OSError:
                        continue
                    freed += status.st_size if status.st_nlink == 1 else 0
                self._used.pop(cached.folder, None)
        finally:
            shutil.rmtree(gone, ignore_errors=True)
        self._size = max(0, (self._size or 0) - freed)
        return freed

    def close(self) -> None:
        """Remove what was being written."""
        shutil.rmtree(self._place, ignore_errors=True)

    def _last_use(self, folder: Path) -> float:
        used = self._used.get(folder)
        if used is not None:
            return used
        try:
            return time.monotonic() - max(0.0, time.time() - folder.stat().st_mtime)
        except OSError:
            return 0.0

    def _begin(self, wanted: Wanted) -> Future[None]:
        path = wanted.folder / wanted.name
        with self._lock:
            coming = self._coming.get(path)
            if coming is None:
                coming = self._coming[path] = self._store.begin(lambda: self._fetch(wanted))
                coming.add_done_callback(lambda _: self._coming.pop(path, None))
            return coming

    def _fetch(self, wanted: Wanted) -> None:
        self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary, target = self._place / ids.new("part"), wanted.folder / wanted.name
        try:
            with temporary.open("xb") as out:
                self._store.fetch(wanted.key, out, wanted.bytes, wanted.sha256)
                self._noted(out.fileno(), wanted.bytes, wanted.sha256)
            self._make_room(wanted)
            permissions.share_file(temporary, self._layout.group)
            temporary.replace(target)
        except OSError as error:
            reason = "it is full" if disk.is_full(error) else error.strerror
            raise errors.Unavailable(
                f"a file of the object store could not be written to the data directory ({reason}); free space or "
                "lower PENSTOCK_CACHE_BYTES, then try again",
                code="STORE_UNAVAILABLE", retry_after=30, limit="store",
            ) from error  # fmt: skip
        finally:
            temporary.unlink(missing_ok=True)
        self.grow(wanted.bytes)

    def _make_room(self, wanted: Wanted) -> None:
        """Create the folders of a file, with the modes that those of a published version have."""
        folder = (wanted.folder / wanted.name).parent
        if folder.is_dir():
            return
        missing = [above for above in (folder, *folder.parents) if above.is_relative_to(self._layout.warehouse)]
        for above in reversed(missing[:-1]):
            if not above.is_dir():
                above.mkdir(mode=0o700, exist_ok=True)
                permissions.restrict(above, self._layout.group, shared=0o750)
                if above == wanted.folder:
                    (above / CACHED).touch()
