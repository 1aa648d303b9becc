"""Restoring a backup to a new data directory: every file is compared with its checksum, then the whole is verified.

The files are written to a hidden folder of the new data directory and moved to their places at the end, the catalog
last. ``serve`` refuses a directory in which a restore did not finish; the next restore takes its place, so that a kill
at any moment leaves nothing that a person must tidy.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

import msgspec
import structlog

from service.catalog import audit_files, journal_files
from service.catalog.duckdb_store import DuckDBStore
from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.files import backup_directory, directory_lock, disk, permissions
from service.files.backup_directory import BackupFile
from service.files.layout import RESTORING, Layout, flush
from service.kit import errors
from service.kit.clock import Clock
from service.query.integrity import Integrity
from service.runs.condition import Condition
from service.runs.verification import Verifier

_BLOCK = 4 << 20
_RESTORED = (
    "warehouse", "uploads", "audit", "logs", "spill", "pace", "secret.key", "catalog.duckdb.wal", "catalog.duckdb",
)  # fmt: skip
"""What a restore puts into a data directory: only that is its own to remove."""

_log = structlog.get_logger("penstock.backup")


class RestoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored: the folder of the backup, the new data directory, and how much."""

    backup: str
    data_dir: str
    versions: int
    files: int
    bytes: int


def restore(directory: Path, target: Path, group: int | None, clock: Clock) -> RestoreReport:
    """Restore the backup in ``directory`` (the newest there) to the data directory ``target``. Blocks.

    Raises ``errors.Missing``, ``errors.Conflict`` if ``target`` is not empty or in ``directory``, another restore
    writes to it, or there is no whole backup, ``errors.PenstockError`` (DATA_CORRUPT) naming the damaged file,
    ``errors.Unavailable`` (STORAGE_FULL), ``errors.Invalid``. When it raises, ``target`` is as it was, but without what
    an interrupted restore left.
    """
    folder = backup_directory.find(directory)
    manifest = backup_directory.read_manifest(folder)
    existed = target.exists()
    if target.resolve().is_relative_to(directory.resolve()):
        raise errors.Conflict(
            f"{target} is inside the directory of the backups; name another with --data-dir", field="data_dir"
        )
    try:
        with directory_lock.locked(target, f"another restore to {target} is in progress", "data_dir"):
            versions = _restore(folder, manifest.files, Layout(target, group), clock, keep=existed)
    except OSError as error:
        raise (_full(target) if disk.is_full(error) else _failed(error)) from error
    return RestoreReport(
        backup=str(folder), data_dir=str(target), versions=versions, files=len(manifest.files),
        bytes=sum(f.bytes for f in manifest.files),
    )  # fmt: skip


def _restore(folder: Path, files: list[BackupFile], target: Layout, clock: Clock, *, keep: bool) -> int:
    """Write the files of a backup to a hidden folder, verify them, and move them. Returns the number of versions.

    When it raises, the directory of ``target`` is removed unless ``keep``.
    """
    _refuse_used(target.root)
    staged = Layout(target.root / RESTORING, target.group)
    try:
        _clear(staged.root)
        staged.open()
        for file in files:
            _copy(folder / file.path, staged.root / file.path, file)
        versions = _verify(staged, clock)
        _promote(staged, target)
    except BaseException:
        _clear(staged.root)
        if not keep:
            with contextlib.suppress(OSError):
                target.root.rmdir()
        raise
    return versions


def _refuse_used(target: Path) -> None:
    try:
        names = sorted(p.name for p in target.iterdir())
    except OSError as error:
        raise errors.Invalid(f"{target} cannot be read ({error.strerror})", field="data_dir") from error
    own = {RESTORING, *_RESTORED} if RESTORING in names else set()
    used = [name for name in names if name not in own]
    if used:
        raise errors.Conflict(
            f"the data directory {target} is not empty ('{used[0]}'); name a new one with --data-dir", field="data_dir"
        )


def _clear(staged: Path) -> None:
    """Remove what a restore wrote, and what it moved to its place already; the folder that says so goes last."""
    if staged.exists():
        for name in _RESTORED:
            _remove(staged.with_name(name))
        _remove(staged)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _copy(source: Path, target: Path, file: BackupFile) -> None:
    digest, size = hashlib.sha256(), 0
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise backup_directory.damaged(f"{file.path} cannot be read ({error.strerror})") from error
    with os.fdopen(reading, "rb", buffering=0) as blocks, target.open("xb") as writing:
        target.chmod(0o600)
        while block := blocks.read(_BLOCK):
            digest.update(block)
            writing.write(block)
            size += len(block)
        writing.flush()
        os.fsync(writing.fileno())
    if size != file.bytes:
        raise backup_directory.damaged(f"{file.path} has {size} bytes instead of {file.bytes}")
    if digest.hexdigest() != file.sha256:
        raise backup_directory.damaged(f"{file.path} has another checksum than when it was written")


def _verify(layout: Layout, clock: Clock) -> int:
    """Set the modes, tidy as a start does, and verify. Returns the number of versions."""
    for _, version in layout.version_folders():
        permissions.restrict(version.parent, layout.group, shared=0o750)
        permissions.share(version, layout.group)
    store = DuckDBStore(layout.catalog)
    try:
        journal_files.give_back(store, layout)
        audit_files.give_back(store, layout.audit)
        history = History(store)
        condition = Condition(store, history, layout, Integrity(layout))
        condition.recover(clock.now(), accept_empty=False)
        found = Verifier(store, history, Pipelines(store, clock), layout, condition).verify(deep=True)
    finally:
        store.close()
    tampered = [f for f in found.findings if f.kind == "tampered"]
    if tampered:  # the rows are whole, and who lost a disk needs them
        _log.warning("restore.audit_tampered", file=tampered[0].folder, reason=tampered[0].message)
    first = next((f for f in found.findings if f.kind in ("damaged", "refused")), None)
    if first is not None:
        raise backup_directory.damaged(f"{first.folder}: {first.message}")
    return found.versions


def _promote(layout: Layout, target: Layout) -> None:
    """Move everything to its place, the catalog last."""
    for above, _, _ in os.walk(layout.root, topdown=False):
        flush(Path(above))
    for path in sorted(layout.root.iterdir(), key=lambda p: p == layout.catalog):
        path.rename(target.root / path.name)
    flush(target.root)
    layout.root.rmdir()
    target.create()
    flush(target.root)


def _full(target: Path) -> errors.Unavailable:
    return errors.Unavailable(
        f"the disk of {target} is full, so nothing was restored; free space or name another --data-dir",
        code="STORAGE_FULL", retry_after=60,
    )  # fmt: skip


def _failed(error: OSError) -> errors.PenstockError:
    return errors.PenstockError(f"nothing was restored: {error.strerror or error}")
