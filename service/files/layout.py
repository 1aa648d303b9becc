"""Paths in the data directory. No other module builds one.

::

    <data>/catalog.duckdb                      the catalog (opened by one process only)
    <data>/secret.key                          the signing secret, mode 0600, where none was configured
    <data>/uploads/…                           files that collectors may read
    <data>/warehouse/<pipeline>/v000003/       a committed version: part-*.parquet, manifest.json, <table>.duckdb
    …/v000003/state/<collector>/               what its collectors remember for the next version
    <data>/warehouse/.staging/<run>/           what a run is writing
    <data>/warehouse/.deleted/…                versions of deleted pipelines whose name was taken again
    <data>/logs/<run>.ndjson                   the log lines of a run
    <data>/spill/…                             scratch folders of query workers
    <data>/pace/…                              when runs may call each host again; emptied at start
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "manifest.json"
FIT_RECORD = "tape.json"
STATE = "state"


@dataclass(frozen=True)
class Layout:
    """The data directory."""

    root: Path

    @property
    def catalog(self) -> Path:
        return self.root / "catalog.duckdb"

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
    def deleted_root(self) -> Path:
        return self.warehouse / ".deleted"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

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

    def create(self) -> None:
        """Create the directories that must exist, readable by their owner alone."""
        self.root.mkdir(parents=True, exist_ok=True)
        for folder in (self.uploads, self.warehouse, self.staging_root, self.logs, self.spill, self.pace):
            folder.mkdir(mode=0o700, exist_ok=True)


def flush(path: Path) -> None:
    """fsync a file or folder: neither Parquet writers nor renames are durable without it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
