"""Paths in the data directory. No other module builds one.

::

    <data>/catalog.duckdb                      the catalog (opened by one process only)
    <data>/catalog.postgresql                  instead of it: the number of the database that is the catalog
    <data>/secret.key                          the signing secret, mode 0600, where none was configured
    <data>/uploads/…                           files that collectors may read
    <data>/warehouse/<pipeline>/v000003/       a committed version: part-*.parquet, manifest.json, <table>.duckdb
    <data>/warehouse/<pipeline>/current        a link to the newest version
    …/v000003/state/<collector>/               what its collectors remember for the next version
    <data>/warehouse/.staging/<run>/           what a run is writing; of a worker that may be kept
    <data>/warehouse/.staging/<worker>/<run>/
    <data>/warehouse/.deleted/…                versions of deleted pipelines whose name was taken again
    <data>/warehouse/.sorted/…                 copies of sorted rows (query.sorted_copies)
    <data>/warehouse/.orphaned/<pipeline>/…    folders that the catalog does not know, moved there at a start
    <data>/logs/<run>.ndjson                   the log lines and other events of a run (files.event_journal)
    <data>/audit/2026-11-30.ndjson             who did what on that day (files.audit_file)
    <data>/spill/…                             scratch folders of query workers
    <data>/.reserve                            space for log-ins and deletions on a full disk (files.reserve)
    <data>/pace/…                              when runs may call each host again; emptied at start
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.files import disk, permissions
from service.kit import errors, ids

if TYPE_CHECKING:
    from service.files.object_store import ObjectStore

MANIFEST = "manifest.json"
UNCOMMITTED = ".uncommitted"
"""A file in the folder of a version from before the rename until after the commit and the link to it."""
CACHED = ".cached"
"""A file in the folder of a version that was made for files of the object store: nothing in it is only there."""
_ODD = frozenset("*?[]{}")
PARTS = "part-*.parquet"
"""The files with the rows of a version, in its folder and those below it; no others have such names."""
CURRENT = "current"
"""The link to the newest version, in the folder of a pipeline."""
NEW_LINKS = f".{CURRENT}-*"
"""Links that are about to take the place of ``CURRENT``."""
TEMPORARY = ".tmp-*"
"""Files that a form of a version is written to before they get their names."""
SCRATCH = "query-"
"""How the names of the scratch folders of query workers begin."""
RECEIVING = ".receiving-"
"""How the names of files begin that are being uploaded."""
RESTORING = ".restoring"
"""The folder of a data directory into which a backup is being restored."""
PROBE = ".probe"
"""How the names of files begin that a check of the disk writes and removes."""
FIT_RECORD = "tape.json"
STATE = "state"
RUN_STATE = "state-of-runs"
"""The folder, in that of a version, with the state of runs that left the version unchanged: a folder for each."""
STDERR = ".stderr"
"""What a child wrote to standard error, in its own folder."""


@dataclass(frozen=True)
class Layout:
    """The data directory. ``group`` is the id of a group that may read the warehouse.

    With ``objects`` that store holds the versions, and the warehouse those that were made or read here of late.
    """

    root: Path
    group: int | None = None
    objects: ObjectStore | None = None

    @property
    def catalog(self) -> Path:
        return self.root / "catalog.duckdb"

    @property
    def catalog_elsewhere(self) -> Path:
        return self.root / "catalog.postgresql"

    @property
    def reserve(self) -> Path:
        return self.root / ".reserve"

    @property
    def secret(self) -> Path:
        return self.root / "secret.key"

    @property
    def uploads(self) -> Path:
        return self.root / "uploads"

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse"

    @property
    def staging_root(self) -> Path:
        return self.warehouse / ".staging"

    @property
    def sorted(self) -> Path:
        return self.warehouse / ".sorted"

    @property
    def deleted_root(self) -> Path:
        return self.warehouse / ".deleted"

    @property
    def orphaned_root(self) -> Path:
        return self.warehouse / ".orphaned"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def audit(self) -> Path:
        return self.root / "audit"

    @property
    def spill(self) -> Path:
        return self.root / "spill"

    @property
    def pace(self) -> Path:
        return self.root / "pace"

    def staging(self, run_id: str) -> Path:
        return self.staging_root / run_id

    def pipeline(self, name: str) -> Path:
        return self.warehouse / name

    def version(self, name: str, number: int) -> Path:
        return self.warehouse / name / f"v{number:06d}"

    def log(self, run_id: str) -> Path:
        return self.logs / f"{run_id}.ndjson"

    def version_folders(self) -> list[tuple[str, Path]]:
        """The folders in the folders of pipelines, with the pipeline's name; links are not among them."""
        return [(above.name, below) for above in children(self.warehouse) for below in children(above)]

    def orphans(self) -> list[Path]:
        """The folders below ``.orphaned``."""
        return [below for above in children(self.orphaned_root) for below in children(above)]

    def open(self) -> None:
        """``create``, for a directory that a user chose. Raises ``errors.Invalid`` if it cannot be a data directory."""
        odd = sorted({c for c in str(self.root) if c in _ODD or not c.isprintable()})
        if odd:
            shown = " ".join(c if c.isprintable() else repr(c) for c in odd)
            raise errors.Invalid(
                f"the path of the data directory contains {shown}, which readers take for patterns; choose another "
                "--data-dir",
                field="data_dir",
            )
        if (self.root / RESTORING).exists():
            raise errors.Conflict(
                f"a restore to {self.root} did not finish; run 'penstock restore' again", field="data_dir"
            )
        try:
            self.create()
        except OSError as error:
            if disk.is_full(error):
                raise disk.storage_full() from error
            raise errors.Invalid(
                f"the data directory cannot be used: {error.strerror}; choose another --data-dir", field="data_dir"
            ) from error

    def create(self) -> None:
        """Create the directories that must exist, readable by their owner and the group alone.

        The mode of a directory that holds other files than Penstock's is left as it is. Raises ``OSError``,
        ``errors.Invalid``.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.catalog.exists() or self.catalog_elsewhere.exists() or not any(self.root.iterdir()):
            permissions.restrict(self.root, self.group, shared=0o710)
        for folder in (self.uploads, self.warehouse, self.staging_root, self.logs, self.audit, self.spill, self.pace):
            folder.mkdir(mode=0o700, exist_ok=True)
        permissions.restrict(self.warehouse, self.group, shared=0o750)

    def point_current(self, name: str, number: int) -> None:
        """Let the link ``current`` in the folder of a pipeline name a version; readers see the old or the new one."""
        link, target = self.pipeline(name) / CURRENT, self.version(name, number).name
        if link.is_symlink() and str(link.readlink()) == target:
            return
        temporary = link.with_name(f".{CURRENT}-{ids.new('link')}")
        with contextlib.suppress(OSError):  # a file system without links
            temporary.symlink_to(target)
            temporary.replace(link)


def linked(folder: Path) -> str | None:
    """What is wrong with the folder of a version if it, or the one of its pipeline, is a link; readers follow none."""
    for place in (folder.parent, folder):
        if place.is_symlink():
            return f"{place.name} is a symbolic link; move the folder itself to its place"
    return None


def children(folder: Path) -> list[Path]:
    """The folders in ``folder``, by name, without links and hidden ones; empty if it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and not p.is_symlink() and p.is_dir())


def flush(path: Path) -> None:
    """fsync a file or folder: neither Parquet writers nor renames are durable without it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
