"""The objects of versions in an object store, and the manifests there.

::

    <pipeline>/v000007-<run>-<attempt>/part-00000.parquet    a file of a version, and of later ones that share it
    <pipeline>/v000007-<run>-<attempt>/manifest.json         what a catalog that lost the version adopts it from
    <pipeline>/v000007-<run>-<attempt>/committed             an empty object since the commit
    current/<pipeline>.json                                  the newest version

No other attempt writes to the keys of an attempt, and nothing that a version names is written again. The order of a
publication is: files, manifest, the catalog's commit, marks. So an attempt that ends before the commit leaves
objects that nobody names, which are removed at once where that works, and otherwise by ``store_upkeep``. A file that
the version before has under the same checksum is not written: its key is named again, and an object is deleted when
no version in the catalog names it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import structlog

from service.catalog.history import History
from service.files import manifest_file
from service.files.layout import MANIFEST, Layout
from service.files.object_store import Changed, DamagedObject, NoObject, ObjectStore, safe_key
from service.kit import errors, ids
from service.model.run import Run
from service.model.version import Version
from service.runs import manifest
from service.steps.storage import File

COMMITTED = "committed"
"""The name of the object that a version has since its commit."""
_CURRENT = "current"
_TRIES = 16  # of those who write ``current`` of one pipeline at the same moment
_log = structlog.get_logger("penstock.store")


class Current(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``current/<pipeline>.json``: the newest version, and where its manifest is."""

    pipeline: str
    pipeline_id: str
    version: int
    run_id: str
    manifest: str


def upload(layout: Layout, staging: Path, version: Version, run: Run, known: Iterable[Version]) -> Version:
    """Write what ``staging`` has of a version to the object store, its manifest last. Returns it with its keys.

    ``known`` are versions in the catalog that are not deleted meanwhile; what they have is not written again. Without
    an object store the version is returned as it is. Raises ``errors.Unavailable``, ``errors.PenstockError``
    (DATA_CORRUPT), ``OSError``; then ``discard`` removes what was written.
    """
    store = layout.objects
    if store is None:
        return version
    keys = {(f.sha256, f.bytes): f.key for one in known for f in one.all_files if f.key is not None and f.sha256}
    prefix = prefix_of(version, run)
    new = [f for f in version.all_files if (f.sha256, f.bytes) not in keys]
    try:
        store.side_by_side(
            functools.partial(store.put_file, key_of(prefix, f), staging / f.name, f.bytes, f.sha256) for f in new
        )
    except DamagedObject as error:
        raise errors.PenstockError(
            f"a file changed after it was written, so nothing was stored: {error}; check the disk, then execute the "
            "pipeline again",
            code="DATA_CORRUPT",
        ) from error

    def placed(file: File) -> File:
        return msgspec.structs.replace(file, key=keys.get((file.sha256, file.bytes)) or key_of(prefix, file))

    version = msgspec.structs.replace(version, objects=prefix).each(placed)
    manifest.write(staging, version, staging)
    store.create(f"{prefix}/{MANIFEST}", (staging / MANIFEST).read_bytes())
    return version


def prefix_of(version: Version, run: Run) -> str:
    """How the keys of the objects begin that an attempt of a run writes."""
    return f"{version.pipeline}/v{version.version:06d}-{run.run_id}-{max(run.attempt, 1)}"


def discard(layout: Layout, prefix: str) -> None:
    """Remove what an attempt without a commit wrote, if that works now."""
    store = layout.objects
    if store is None:
        return
    try:
        store.delete([one.key for one in store.list(f"{prefix}/")])
    except (errors.Unavailable, NoObject) as error:
        _log.warning("objects.left", prefix=prefix, reason=str(error), removed="by a later sweep")


def follow(layout: Layout, version: Version) -> None:
    """Let the manifest in the store say what the catalog has changed since. A failure is logged."""
    store = layout.objects
    if store is None or version.objects is None:
        return
    key = f"{version.objects}/{MANIFEST}"
    try:
        content = manifest_file.decode(store.read(key)[0])
        store.put(key, manifest_file.encode({**content, "held": version.held, "state": version.state}))
    except (errors.Unavailable, NoObject, ValueError, msgspec.MsgspecError) as error:
        _log.warning("manifest.not_written", pipeline=version.pipeline, version=version.version, reason=str(error))


def upload_state(layout: Layout, folder: Path, version: Version, run: Run) -> Version:
    """Write what a run that left the version unchanged remembers, in ``folder``. Returns the version with the keys.

    Raises as ``upload``.
    """
    store = layout.objects
    if store is None or version.objects is None:
        return version
    prefix = prefix_of(version, run)
    state = []
    for file in version.state:
        key = f"{prefix}/{safe_key(file.name)}"
        try:
            store.put_file(key, folder / file.name, file.bytes, file.sha256)
        except DamagedObject as error:
            raise errors.Unavailable(f"a file changed after it was written: {error}") from error
        state.append(msgspec.structs.replace(file, key=key))
    return msgspec.structs.replace(version, state=state)


def mark(layout: Layout, pipeline_id: str, version: Version) -> None:
    """After the commit of a version: mark it as committed, and let ``current`` name it. A failure is logged."""
    store = layout.objects
    if store is None or version.objects is None:
        return
    try:
        store.put(f"{version.objects}/{COMMITTED}", b"")
    except errors.Unavailable as error:
        _log.warning("mark.not_written", pipeline=version.pipeline, version=version.version, reason=error.message)
        return
    if not version.held:
        point_current(layout, pipeline_id, version)


def point_current(layout: Layout, pipeline_id: str, version: Version) -> None:
    """Let ``current`` name a version, unless it names a newer one of the same pipeline. A failure is logged."""
    store = layout.objects
    if store is None or version.objects is None:
        return
    current = Current(
        pipeline=version.pipeline, pipeline_id=pipeline_id, version=version.version, run_id=version.run_id,
        manifest=f"{version.objects}/{MANIFEST}",
    )  # fmt: skip
    try:
        _advance(store, f"{_CURRENT}/{version.pipeline}.json", current)
    except errors.Unavailable as error:
        _log.warning("current.not_written", pipeline=version.pipeline, version=version.version, reason=error.message)


def _advance(store: ObjectStore, key: str, current: Current) -> None:
    data = msgspec.json.encode(current)
    for _ in range(_TRIES):
        try:
            found, etag = store.read(key)
        except NoObject:
            try:
                return store.create(key, data)
            except (Changed, NoObject):
                continue
        try:
            present = msgspec.json.decode(found, type=Current)
        except msgspec.MsgspecError:  # not ours, or damaged
            present = None
        if present is not None and present.pipeline_id == current.pipeline_id and present.version >= current.version:
            return None
        try:
            return store.replace(key, data, etag)
        except (Changed, NoObject):
            continue
    return None


def upload_native(layout: Layout, version: Version, native: File) -> File:
    """Write the native file of a version to the object store. Returns it with its key. Raises as ``upload``.

    Another load of the same version writes another object, so that who fetches the first one gets that.
    """
    store = layout.objects
    if store is None or version.objects is None:
        return native
    path = layout.version(version.pipeline, version.version) / native.name
    key = f"{version.objects}/{ids.new('native')}-{safe_key(native.name)}"
    try:
        store.put_file(key, path, native.bytes, native.sha256)
    except DamagedObject as error:
        raise errors.Unavailable(f"the native file changed after it was written: {error}") from error
    return msgspec.structs.replace(native, key=key)


def forget_native(layout: Layout, history: History, pipeline_id: str, old: Version) -> None:
    """Delete the object of the native file that ``old`` had, unless another version names it. A failure is logged."""
    store = layout.objects
    if store is None or store.is_pinned or old.native is None or old.native.key is None:
        return
    named = {v.native.key for v in history.with_native(pipeline_id, skip=0, limit=1000) if v.native is not None}
    if old.native.key not in named:
        _delete(store, [old.native.key])


def remove(layout: Layout, history: History, pipeline_id: str, deleted: Sequence[Version]) -> None:
    """Delete the objects of versions that the catalog has no more, except those that others name.

    Where other processes may be about to fetch them, ``store_upkeep`` does so later.
    """
    store = layout.objects
    gone = {key for version in deleted for key in named_by(version)}
    if store is None or store.is_pinned or not gone or history.queue.shared:
        return
    left, _ = history.versions(pipeline_id, limit=1_000_000, offset=0)
    _delete(store, sorted(gone - {key for version in left for key in named_by(version)}))


def purge(layout: Layout, history: History, name: str) -> bool:
    """Delete the objects of the versions of deleted pipelines of that name, manifests first: without one a version of
    a deleted pipeline is known to be purged. Returns whether there were any. Raises ``errors.Unavailable``.
    """
    store = layout.objects
    if store is None:
        return False
    gone = [c.version for c in history.committed() if not c.live and c.version.pipeline == name and c.version.objects]
    there = {one.key for one in store.list(f"{name}/")} if gone else set()
    store.delete([key for version in gone if (key := f"{version.objects}/{MANIFEST}") in there])
    store.delete(sorted({key for version in gone for key in named_by(version)} & there))
    return bool(there)


def exists(store: ObjectStore, version: Version) -> bool:
    """Whether the store has the manifest of a version; one of a deleted pipeline is purged without it."""
    try:
        store.read(f"{version.objects}/{MANIFEST}")
    except NoObject:
        return False
    return True


def named_by(version: Version) -> set[str]:
    """The keys that a version names, and those of its manifest and its mark."""
    keys = {file.key for file in version.all_files if file.key is not None}
    own = {f"{version.objects}/{MANIFEST}", f"{version.objects}/{COMMITTED}"} if version.objects is not None else set()
    return keys | own


def _delete(store: ObjectStore, keys: Sequence[str]) -> None:
    try:
        store.delete(keys)
    except errors.Unavailable as error:
        _log.warning("objects.left", objects=len(keys), reason=error.message, removed="by a later sweep")


def key_of(prefix: str, file: File) -> str:
    """The key under which an attempt writes a file."""
    return f"{prefix}/{safe_key(file.name)}"
