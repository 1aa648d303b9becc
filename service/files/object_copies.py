"""Copies of objects that a job reads: what names and globs in its configuration mean, copied into the job's folder.

Jobs have neither credentials nor a way to the store: the service lists and reads, with the credentials of its
environment. Each object is read by conditional requests as it was listed, so that one that is replaced meanwhile is
never half old and half new. Functions block.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from service.files import allowed_files, disk
from service.files.allowed_files import Files, ObjectCopy
from service.files.object_store import Changed, DamagedObject, NoObject, ObjectStore, Stored
from service.kit import errors, store_url

FOLDER = ".objects"
"""In the folder of a job."""
SETTING = "PENSTOCK_FILE_ROOTS"
_MAGIC = frozenset("*?[")
_MOST = 100_000
_LONGEST = 200  # bytes of a name in a file system
_SPARED = 256 << 20  # of the disk


class Named(NamedTuple):
    """A name of objects in a configuration, and the step and setting that have it."""

    step: str
    field: str
    name: str
    from_head: bool = False
    """Whether a sample is made from the beginning of each object, and reads no more of it."""


class _Wanted(NamedTuple):
    store: ObjectStore
    one: Stored
    url: str
    named: Named
    bytes: int
    """So many of the object, from its beginning."""


def copied(
    named: Iterable[Named], files: Files, folder: Path, *, seconds: float, most_bytes: int | None = None,
    head_bytes: int | None = None, go_on: Callable[[], None] = lambda: None,
) -> dict[str, tuple[ObjectCopy, ...]]:  # fmt: skip
    """The copies in ``folder``, by names; ``go_on`` is called all the time, and may raise.

    With ``head_bytes`` they are for a sample: of objects that are sampled from their beginning (``Named.from_head``)
    there is no more; what a copy has after that is a hole.

    Raises ``errors.Permanent`` for a name that is refused, or that of no object, and for more than ``most_bytes``;
    ``errors.Transient`` if an object is replaced while it is read; ``errors.Unavailable`` if the store does not work,
    and for a full disk.
    """
    with _stores(seconds) as store_of:
        once = {one.name: one for one in sorted(named, key=lambda one: not one.from_head)}  # who wants all comes last
        wanted = {name: list(_listed(one, files, store_of, head_bytes)) for name, one in once.items()}
        every = sorted((want for wants in wanted.values() for want in wants), key=lambda want: want.bytes)
        each = {want.url: want for want in every}  # the most that a name wants of it
        total = sum(want.bytes for want in each.values())
        if most_bytes is not None and total > most_bytes:
            first = next(iter(each.values())).named
            raise errors.Permanent(
                f"{total >> 20:,} MiB of objects would be read, and previews and plans copy at most "
                f"{most_bytes >> 20:,} MiB; name some of them, or execute the pipeline",
                step=first.step, field=first.field,
            )  # fmt: skip
        place = folder / FOLDER
        shutil.rmtree(place, ignore_errors=True)  # of an earlier attempt
        place.mkdir(0o700, parents=True)
        if shutil.disk_usage(place).free < total + _SPARED:
            raise disk.storage_full()
        copies = {
            url: ObjectCopy(url, str(place / str(n) / _name(want.one))) for n, (url, want) in enumerate(each.items())
        }
        for store in {id(want.store): want.store for want in each.values()}.values():
            mine = [want for want in each.values() if want.store is store]
            store.side_by_side([functools.partial(_copy, want, Path(copies[want.url].path), go_on) for want in mine])
        return {name: tuple(copies[want.url] for want in wants) for name, wants in wanted.items()}


@contextlib.contextmanager
def _stores(seconds: float, environment: Mapping[str, str] = os.environ) -> Iterator[Callable[[str], ObjectStore]]:
    """Answers the store of a bucket, which is closed at the end."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def opened(bucket: str) -> ObjectStore:
            store = ObjectStore(bucket, seconds=seconds, environment=environment, setting=SETTING)
            stack.callback(store.close)
            return store

        yield opened


def _listed(
    named: Named, files: Files, store_of: Callable[[str], ObjectStore], head_bytes: int | None
) -> Iterator[_Wanted]:
    """The objects that a name means: the one with this key, else those that match it, sorted."""
    name = named.name
    wrong = store_url.fault_of_name(name) or files.refusal(name)
    if wrong is not None:
        raise errors.Permanent(f"'{name}': {wrong}", step=named.step, field=named.field)
    bucket, key = store_url.divided(name)
    store = store_of(bucket)
    exact = store.find(key)
    found = [exact] if exact is not None else sorted(_matching(store, key)) if _MAGIC & set(key) else []
    allowed = [one for one in found if files.refusal(f"{bucket}/{one.key}") is None]
    if not allowed:
        raise errors.Permanent(f"there is no object '{name}'", step=named.step, field=named.field)
    if len(allowed) > _MOST:
        raise errors.Permanent(
            f"'{name}' means more than {_MOST:,} objects; name fewer", step=named.step, field=named.field
        )
    for one in allowed:
        if not one.etag:
            raise errors.Permanent(
                f"the store gives '{one.key}' no ETag, so that a change while it is read would not be noticed",
                step=named.step, field=named.field,
            )  # fmt: skip
        most = head_bytes if named.from_head and head_bytes is not None else one.bytes
        yield _Wanted(store, one, f"{bucket}/{one.key}", named, min(most, one.bytes))


def _matching(store: ObjectStore, key: str) -> Iterator[Stored]:
    pattern = tuple(key.split("/"))
    plain = next(n for n, part in enumerate(pattern) if _MAGIC & set(part))
    prefix = "".join(f"{part}/" for part in pattern[:plain])
    for one in store.list(prefix):
        if not one.key.endswith("/") and allowed_files.matches(tuple(one.key.split("/")), pattern):
            yield one


def _copy(want: _Wanted, path: Path, go_on: Callable[[], None]) -> None:
    go_on()
    path.parent.mkdir(0o700)
    try:
        with disk.noticed(OSError), path.open("xb") as out:
            want.store.copy(want.one, out, go_on, want.bytes)
            out.truncate(want.one.bytes)
    except (Changed, NoObject, DamagedObject):
        raise errors.Transient(
            f"'{want.url}' was changed or deleted while it was read", step=want.named.step, field=want.named.field
        ) from None


def _name(one: Stored) -> str:
    """The last part of a key as the name of a file: messages show it, and its end tells the format."""
    name = one.key.rpartition("/")[2].replace("\0", "_")
    fits = len(name.encode(errors="replace")) <= _LONGEST and name.strip(".")
    return name if fits else f"object{Path(name).suffix[:20]}"
