"""The object store that holds the versions (PENSTOCK_WAREHOUSE_URL): whole objects, put, read, listed and deleted.

``s3://``, ``gs://``, ``az://`` and ``file://`` have one meaning here. Credentials come from the environment or the
platform, where obstore looks for them; no message and no log line has any part of a request but the key. What a store
answers is translated once: it refuses for good (``errors.Invalid``), an object is not there (``NoObject``) or was
changed by somebody else (``Changed``), or the store does not work now (``errors.Unavailable``, STORE_UNAVAILABLE),
after tries of bounded number and time.

Methods block, and threads may share a store.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from datetime import datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar
from urllib.parse import quote

import structlog

from service.files.layout import flush
from service.files.object_requests import SETTING, Changed, DamagedObject, NoObject, Requests
from service.kit import errors, store_url

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SETTING", "Changed", "DamagedObject", "NoObject", "ObjectStore", "Stored", "opened", "safe_key"]

_BLOCK = 8 << 20  # bytes of a request that writes; S3 takes at least 5 MiB
_PIECE = 4 << 20  # bytes of a request that reads
_MOST_PARTS = 9_000  # of a multipart upload; S3 takes 10 000
_AT_ONCE = 2  # blocks of one file that are on their way
_FILES = 4  # files that are on their way
_LOCK = ".lock"  # of a folder that stands for a store: it has no conditional writes of its own

_T = TypeVar("_T")
_log = structlog.get_logger("penstock.store")


class Stored(NamedTuple):
    """An object in a listing."""

    key: str
    bytes: int
    modified: datetime
    etag: str = ""


def safe_key(name: str) -> str:
    """A relative path as part of a key: what stores may treat in ways of their own is written as ``~20``."""
    return quote(name, safe="/=").replace("~", "%7E").replace("%", "~")


@contextlib.contextmanager
def opened(url: str | None, seconds: float, data: Path) -> Iterator[ObjectStore | None]:
    """The object store at ``url``, which may be out of order now; None without one. ``data`` is the data directory.

    Raises ``errors.Invalid``.
    """
    if url is None:
        yield None
        return
    folder, here = store_url.folder_of(url), data.resolve()
    if folder is not None and ((real := folder.resolve()).is_relative_to(here) or here.is_relative_to(real)):
        raise errors.Invalid(f"{SETTING}: the folder and the data directory must not contain each other", field=SETTING)
    store = ObjectStore(url, seconds=seconds)
    try:
        store.check()
    except errors.Unavailable as error:
        _log.error("store.unavailable", reason=error.message, hint="what is in the cache can be read")
    try:
        yield store
    finally:
        store.close()


class ObjectStore:
    """The objects below a URL. A request that has no success within ``seconds`` is given up."""

    def __init__(
        self, url: str, *, seconds: float = 60.0, environment: Mapping[str, str] = os.environ, setting: str = SETTING
    ) -> None:
        """Raises ``errors.Invalid``, naming the ``setting``, if the URL cannot be used. Asks nothing of the store."""
        self._requests = Requests(url, seconds, environment, setting)
        self._store, self._call, self.check = self._requests.store, self._requests.call, self._requests.check
        self._url = url.rstrip("/")
        self._stamp = "version" if url.startswith("gs:") else "e_tag"  # what conditional writes are by
        self._folder = store_url.folder_of(url)
        self._pins, self._pinning = 0, threading.Lock()
        self._blocks = ThreadPoolExecutor(_FILES * _AT_ONCE, thread_name_prefix="store-block")
        self._files = ThreadPoolExecutor(_FILES, thread_name_prefix="store-file")

    def close(self) -> None:
        """Begin no other requests."""
        self._requests.close()
        self._files.shutdown(wait=False, cancel_futures=True)
        self._blocks.shutdown(wait=False, cancel_futures=True)

    def address(self, prefix: str) -> str:
        """The URL of the objects whose keys begin with ``prefix``."""
        return f"{self._url}/{prefix}"

    def side_by_side(self, work: Iterable[Callable[[], _T]]) -> list[_T]:
        """The results of ``work``, a few at a time, in order. Raises the first error, after all have ended."""
        futures = [self._files.submit(one) for one in work]
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            future.cancel()  # one that has not begun; none if all went well
        wait(futures)
        for future in futures:
            if not future.cancelled() and (error := future.exception()) is not None:
                raise error
        if any(future.cancelled() for future in futures):
            raise errors.Unavailable("the service is stopping", retry_after=5.0)
        return [future.result() for future in futures]

    def begin(self, work: Callable[[], _T]) -> Future[_T]:
        """Begin ``work`` beside other files."""
        return self._files.submit(work)

    @contextlib.contextmanager
    def pinned(self) -> Iterator[None]:
        """In the context no object is deleted that a version names: ``is_pinned``."""
        with self._pinning:
            self._pins += 1
        try:
            yield
        finally:
            with self._pinning:
                self._pins -= 1

    @property
    def is_pinned(self) -> bool:
        """Whether somebody reads objects of versions that may be deleted meanwhile."""
        return self._pins > 0

    # objects

    def put(self, key: str, data: bytes) -> None:
        """Write an object, in the place of an earlier one."""
        self._call("write", key, lambda api: api.put(self._store, key, data, use_multipart=False))
        self._settle(key)

    def put_file(self, key: str, path: Path, size: int, sha256: str) -> None:
        """Write a file, whose bytes are compared with what is recorded of them while they are read.

        Raises ``DamagedObject``: then there is no object. ``OSError`` if the file cannot be read.
        """
        if size <= _BLOCK:
            data = path.read_bytes()
            _compare(path.name, len(data), hashlib.sha256(data).hexdigest(), size, sha256)
            self.put(key, data)
            return
        block = max(_BLOCK, -(-size // _MOST_PARTS))

        with path.open("rb", buffering=0) as source:

            def upload(api: Any) -> None:
                blocks = _blocks(source, block, size, sha256)
                api.put(self._store, key, blocks, chunk_size=block, max_concurrency=_AT_ONCE)

            self._call("write", key, upload)
        self._settle(key)

    def create(self, key: str, data: bytes) -> None:
        """Write an object that must not exist; one with the same bytes may. Raises ``Changed``."""
        try:
            self._call("write", key, lambda api: api.put(self._store, key, data, mode="create"))
        except Changed:
            if self.read(key)[0] != data:  # else it is ours: the answer to the first try was lost
                raise
        self._settle(key)

    def replace(self, key: str, data: bytes, etag: str) -> None:
        """Write an object in the place of the one that was read with ``etag``. Raises ``Changed``, ``NoObject``."""
        if self._folder is None:
            mode = {self._stamp: etag}
            self._call("write", key, lambda api: api.put(self._store, key, data, mode=mode))
            return
        with _locked(self._folder / _LOCK):
            if self.read(key)[1] != etag:
                raise Changed(key)
            self.put(key, data)

    def read(self, key: str) -> tuple[bytes, str]:
        """A small object, and its etag for ``replace``. Raises ``NoObject``."""

        def get(api: Any) -> tuple[bytes, str]:
            found = api.get(self._store, key)
            meta, data = found.meta, bytes(found.bytes())
            return data, str(meta[self._stamp])

        return self._call("read", key, get)

    def size(self, key: str) -> int | None:
        """The bytes of an object; None if it is not there."""
        try:
            return int(self._call("read", key, lambda api: api.head(self._store, key))["size"])
        except NoObject:
            return None

    def fetch(self, key: str, out: BinaryIO, size: int, sha256: str) -> None:
        """Write an object to a file, some blocks at a time, and flush it. An empty ``sha256`` is not compared.

        Raises ``NoObject``, ``DamagedObject``, ``OSError`` if the file cannot be written.
        """
        digest, written = hashlib.sha256(), 0
        for block in self._ahead(key, size):
            digest.update(block)
            written += out.write(block)
        out.flush()
        os.fsync(out.fileno())
        _compare(key, written, digest.hexdigest(), size, sha256)

    def find(self, key: str) -> Stored | None:
        """An object as a listing has it; None if it is not there."""
        try:
            return _stored(self._call("read", key, lambda api: api.head(self._store, key)))
        except NoObject:
            return None

    def copy(self, one: Stored, out: BinaryIO, go_on: Callable[[], None], size: int) -> None:
        """Write the first ``size`` bytes of an object to a file, as it was when it was listed.

        ``go_on`` is called after each block.

        Raises ``Changed``, ``NoObject``, ``DamagedObject``, ``OSError`` if the file cannot be written.
        """
        for block in self._ahead(one.key, size, one.etag):
            out.write(block)
            go_on()

    def checksum(self, key: str, size: int, sha256: str, go_on: Callable[[], None] = lambda: None) -> None:
        """Read an object and compare it. ``go_on`` is called before each block. Raises as ``fetch``."""
        digest, read = hashlib.sha256(), 0
        for block in self._ahead(key, size):
            go_on()
            digest.update(block)
            read += len(block)
        _compare(key, read, digest.hexdigest(), size, sha256)

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """The objects whose keys begin with ``prefix``, which is empty or ends with a slash, in no order."""
        found = self._call("list", prefix or "all", lambda api: list(map(_stored, _each(api, self._store, prefix))))
        return (one for one in found if one.key != _LOCK)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there are."""
        if not keys:
            return
        if self._folder is None:
            with contextlib.suppress(NoObject):  # S3 has no answer for what is not there, others name it and stop
                self._call("delete", keys[0], lambda api: api.delete(self._store, list(keys)))
                return
        for key in keys:
            with contextlib.suppress(NoObject):
                self._call("delete", key, functools.partial(self._delete_one, key))
            self._prune(key)

    # requests

    def _ahead(self, key: str, size: int, etag: str = "") -> Iterator[memoryview]:
        """The blocks of an object, some of which are on their way while one is used; those of one ``etag`` if given."""
        starts = deque(range(0, size, _PIECE))
        coming: deque[Future[memoryview]] = deque()

        def block(start: int) -> memoryview:
            end = min(start + _PIECE, size)
            if etag:
                data = self._call("read", key, functools.partial(self._block_of, key, etag, start, end))
            else:
                data = self._call(
                    "read", key, lambda api: memoryview(api.get_range(self._store, key, start=start, end=end))
                )
            if len(data) != end - start:
                raise DamagedObject(f"{key} has fewer than {size} bytes")
            return data

        try:
            while starts or coming:
                while starts and len(coming) < _AT_ONCE:
                    coming.append(self._blocks.submit(block, starts.popleft()))
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()

    def _block_of(self, key: str, etag: str, start: int, end: int, api: Any) -> memoryview:
        found = api.get(self._store, key, options={"range": (start, end), "if_match": etag})
        if _etag(found.meta) != etag:  # a store that does not know the condition
            raise api.exceptions.PreconditionError(key)
        return memoryview(found.bytes())

    def _delete_one(self, key: str, api: Any) -> None:
        api.delete(self._store, key)

    def _prune(self, key: str) -> None:
        """Remove what a folder has left of an object that was deleted: the empty folders above it."""
        for above in self._above(key):
            with contextlib.suppress(OSError):  # it is not empty
                above.rmdir()

    def _settle(self, key: str) -> None:
        """Flush what a folder has taken, as other stores do before they answer."""
        if self._folder is not None:
            flush(self._folder / key)
            for above in (*self._above(key), self._folder):
                flush(above)

    def _above(self, key: str) -> Sequence[Path]:
        """The folders between a folder that stands for a store and an object in it, the nearest first."""
        return () if self._folder is None else [self._folder / above for above in PurePath(key).parents][:-1]


def _each(api: Any, store: Any, prefix: str) -> Iterator[Any]:
    return (one for batch in api.list(store, prefix or None) for one in batch)


def _stored(one: Any) -> Stored:
    return Stored(one["path"], one["size"], one["last_modified"], _etag(one))


def _etag(meta: Mapping[str, Any]) -> str:
    """The ETag as headers have it, in quotes, which Azure's listings leave out; empty if there is none."""
    text = str(meta["e_tag"] or "").removeprefix("W/").strip('"')
    return f'"{text}"' if text else ""


def _blocks(source: BinaryIO, block: int, size: int, sha256: str) -> Iterator[bytes]:
    """The blocks of a file. Raises ``DamagedObject`` at its end, before a store makes an object of them."""
    source.seek(0)
    digest, read = hashlib.sha256(), 0
    while data := source.read(block):
        digest.update(data)
        read += len(data)
        if read >= size:
            _compare("the file", read, digest.hexdigest(), size, sha256)
        yield data
    if read < size:
        raise DamagedObject(f"the file has {read} bytes instead of {size}")


def _compare(name: str, size: int, sha256: str, wanted: int, checksum: str) -> None:
    if size != wanted:
        raise DamagedObject(f"{name} has {size} bytes instead of {wanted}")
    if checksum and sha256 != checksum:
        raise DamagedObject(f"{name} has another checksum than when it was written")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
