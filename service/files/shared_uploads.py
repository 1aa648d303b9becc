"""Uploads in an object store: every host has the same files, each of them a copy of an object.

The key of an upload has its path and its SHA-256, ``uploads/orders.csv~<sha256>``: it is written whole or not at all,
and a listing shows what each host lacks. Where a replaced one is still there, the last one counts. Files that a person
put into the folder of the uploads stay; ``push`` writes them to the store. Without a store nothing is done. Functions
block.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import msgspec
import structlog

from service.files import checksums, uploads
from service.files.layout import RECEIVING, Layout
from service.files.object_store import DamagedObject, NoObject, ObjectStore, Stored, safe_key
from service.kit import errors, ids

_PREFIX = "uploads/"
_KEY = re.compile(r"uploads/(.+)~([0-9a-f]{64})")
_COPIES = ".copies.json"
_PATIENCE = 30.0
_pulling = threading.Lock()
_log = structlog.get_logger("penstock.store")


class Upload(NamedTuple):
    """An upload in the store."""

    path: str
    sha256: str
    stored: Stored


def finish(layout: Layout, incoming: uploads.Incoming) -> tuple[uploads.Uploaded, bool]:
    """Move a received file to its path, after the store has it. Returns and raises as ``Incoming.finish``, and
    ``errors.Unavailable``.
    """
    done, new = incoming.finish(functools.partial(put, layout))
    _placed(layout, done.path, done.sha256)  # not before: a host that is killed here fetches the file
    return done, new


def put(layout: Layout, path: str, file: Path, size: int, sha256: str) -> None:
    """Write a file that is about to get its ``path`` to the store. Raises ``errors.Unavailable``.

    It takes the place of those that were there before it: of two that come at one moment neither removes the other.
    """
    store = layout.objects
    if store is None:
        return
    key = _key(path, sha256)
    before = [one.stored.key for one in _all(store) if one.path == path]
    try:
        store.put_file(key, file, size, sha256)
    except DamagedObject as error:
        raise errors.Unavailable(f"the file changed while it was received: {error}", retry_after=5) from error
    store.delete([other for other in before if other != key])


def _placed(layout: Layout, path: str, sha256: str) -> None:
    """Note that a file has its path, and is a copy of an object."""
    if layout.objects is not None:
        with _turn():
            _note(layout, {**_copies(layout), path: sha256})


def delete(layout: Layout, path: str) -> None:
    """Remove an upload, from the store first. Raises ``errors.Missing``, ``errors.Unavailable``."""
    pull(layout)
    if layout.objects is not None:
        named = "/".join(uploads.segments(path))
        layout.objects.delete([one.stored.key for one in _all(layout.objects) if one.path == named])
    uploads.delete(layout.uploads, path)


def pull(layout: Layout) -> None:
    """Let the folder of the uploads have what the store has. Raises ``errors.Unavailable``."""
    store = layout.objects
    if store is None:
        return
    with _turn():
        there = _newest(store)
        copies = _copies(layout)
        for path in [path for path in copies if path not in there]:
            try:
                uploads.delete(layout.uploads, path)
            except errors.Missing:
                _log.debug("upload.gone", path=path)
            del copies[path]
        for path, one in there.items():
            is_here = copies.get(path) == one.sha256 and (layout.uploads / path).is_file()
            if not is_here and _fetch(layout, store, one):
                is_here, copies[path] = True, one.sha256
            if is_here:
                _date(layout.uploads / path, one.stored.modified)
        _note(layout, copies)


def push(layout: Layout) -> None:
    """Write the files to the store that it does not have. Raises ``errors.Unavailable``."""
    store = layout.objects
    if store is None:
        return
    pull(layout)
    there, copies = _newest(store), _copies(layout)
    lines, _ = uploads.list_files(layout.uploads, limit=1_000_000, offset=0)
    for line in lines:
        file = layout.uploads / line.path
        if line.path not in there and line.path not in copies and file.is_file():
            try:
                sha256 = checksums.sha256(file)
                put(layout, line.path, file, line.bytes, sha256)
                _placed(layout, line.path, sha256)
            except OSError as error:
                _log.warning("upload.not_written", path=line.path, reason=error.strerror)


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    """One at a time makes the folder like the store; others wait, but not for long if the store stands still."""
    if not _pulling.acquire(timeout=_PATIENCE):
        raise errors.Unavailable("uploads are being fetched from the object store; try again", retry_after=5)
    try:
        yield
    finally:
        _pulling.release()


def _fetch(layout: Layout, store: ObjectStore, one: Upload) -> bool:
    """Fetch an upload; False if it has gone, or something else has its path."""
    temporary, target = layout.uploads / (RECEIVING + ids.new("up")), layout.uploads / one.path
    try:
        with temporary.open("xb") as out:
            store.fetch(one.stored.key, out, one.stored.bytes, one.sha256)
        changed = one.stored.modified.timestamp()  # the same on every host
        os.utime(temporary, (changed, changed))
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.replace(target)
        return True
    except (NoObject, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        _log.warning("upload.not_fetched", path=one.path, reason=type(error).__name__)
        return False
    except (DamagedObject, OSError) as error:
        raise errors.Unavailable(
            f"the upload '{one.path}' could not be fetched from the object store ({error})", code="STORE_UNAVAILABLE",
            retry_after=5, limit="store",
        ) from error  # fmt: skip
    finally:
        temporary.unlink(missing_ok=True)


def _date(file: Path, modified: datetime) -> None:
    """Let a copy be as old as its object, so that all hosts list the same."""
    nanoseconds = round(modified.timestamp() * 1_000_000) * 1000
    with contextlib.suppress(OSError):
        if file.stat().st_mtime_ns != nanoseconds:
            os.utime(file, ns=(nanoseconds, nanoseconds))


def _newest(store: ObjectStore) -> dict[str, Upload]:
    return {one.path: one for one in sorted(_all(store), key=lambda u: (u.stored.modified, u.stored.key))}


def _all(store: ObjectStore) -> list[Upload]:
    found = ((_KEY.fullmatch(stored.key), stored) for stored in store.list(_PREFIX))
    all_ = [Upload(unquote(key[1].replace("~", "%")), key[2], stored) for key, stored in found if key is not None]
    return [one for one in all_ if _is_allowed(one.path)]


def _is_allowed(path: str) -> bool:
    """Whether an upload can have the path: nobody else's objects get out of the folder."""
    try:
        return "/".join(uploads.segments(path)) == path
    except errors.Invalid:
        return False


def _key(path: str, sha256: str) -> str:
    return f"{_PREFIX}{safe_key(path)}~{sha256}"


def _copies(layout: Layout) -> dict[str, str]:
    """The SHA-256 of the files that are copies of objects, by path."""
    try:
        return msgspec.json.decode((layout.uploads / _COPIES).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError):
        return {}


def _note(layout: Layout, copies: dict[str, str]) -> None:
    temporary = layout.uploads / f"{RECEIVING}{ids.new('copies')}"
    temporary.write_bytes(msgspec.json.encode(copies))
    temporary.replace(layout.uploads / _COPIES)
