"""The mode of a pipeline: how the rows of a run become the next version; and what storages get and give for it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

Mode = Literal["replace", "append", "merge"]
OnDelete = Literal["keep", "remove"]
PartitionUnit = Literal["year", "month", "day"]


class File(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file of a version: its name inside the version's folder, size in bytes, rows, sha256 in hex.

    ``key`` is that of its object, if an object store has it: the one under which an earlier version wrote it, too.
    """

    name: str
    bytes: int
    rows: int
    sha256: str
    key: str | None = None


class VersionMode(msgspec.Struct, frozen=True, kw_only=True):
    """The settings ``mode`` to ``cluster_by`` that all storages of a pipeline share.

    ``partition_by`` maps columns to the unit of time that names their folders, or to None for their values.
    """

    mode: Mode = "replace"
    key: list[str] = []
    full: bool = False
    on_delete: OnDelete = "keep"
    partition_by: dict[str, PartitionUnit | None] = {}
    cluster_by: list[str] = []

    @property
    def arranged(self) -> bool:
        """Whether rows are stored in another order than the run has them."""
        return bool(self.partition_by or self.cluster_by)


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How the parts of a version are arranged: by partition, then sorted by ``cluster_by``, then by first appearance.

    In such a version, each part notes the numbers of its rows in order of appearance; the next new row gets
    ``next_row``. ``key`` are the columns by which a merge made each row unique; empty if none did.
    """

    partition_by: dict[str, PartitionUnit | None] = {}
    cluster_by: list[str] = []
    next_row: int = 0
    key: list[str] = []


class BaseVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The version that a run continues: its folder, its parts in order, and their layout."""

    version: int
    folder: str
    files: list[File]
    layout: Layout = Layout()

    def path(self, file: File) -> Path:
        """The path of one of its files."""
        return Path(self.folder) / file.name


class Written(msgspec.Struct, frozen=True):
    """What a storage wrote. ``files`` are on disk and flushed; their rows were counted after writing.

    ``links`` are the files that were not written because the version before has them, by name, each with its path;
    publishing links them. ``run_rows`` are the rows of this run (None: all). ``layout`` is how the parts are arranged.
    """

    type: str
    files: list[File]
    rows: int
    links: dict[str, str] = {}
    run_rows: int | None = None
    layout: Layout = Layout()


class UpdatedPart(msgspec.Struct, frozen=True):
    """A part whose ``rows`` rows take the places of others, from row number ``first`` on."""

    path: str
    first: int
    rows: int


class Earlier(msgspec.Struct, frozen=True):
    """The native form of the version before, in the file ``path``, and what makes that of the next version from it.

    Its rows keep their places; those of the parts ``added`` follow. ``taken`` says that the version before has let the
    file go, which may then be changed in its place.
    """

    path: str
    updated: list[UpdatedPart]
    added: list[str]
    taken: bool = False


class Dataset(msgspec.Struct, frozen=True):
    """A dataset as a deferred storage gets it: the Parquet parts of the version, in order.

    ``key`` are the columns that name a row by the pipeline's ``mode``; ``unique`` says that they are known to.
    ``earlier`` is a form of this storage that can become the form of this version.
    """

    pipeline: str
    version: int
    parts: list[Path]
    rows: int
    key: list[str] = []
    unique: bool = False
    earlier: Earlier | None = None
