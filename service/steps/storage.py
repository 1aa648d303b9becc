"""Storage: writes one version of a dataset. It prepares files; ``runs`` publishes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from service.kit.errors import Problem
from service.steps.context import Context
from service.steps.frame import Frame
from service.values.version_mode import File, Layout

__all__ = ["Dataset", "File", "Storage", "Written"]


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


class Dataset(msgspec.Struct, frozen=True):
    """A dataset as a deferred storage gets it: the Parquet parts of the version, in order.

    ``key`` are the columns that name a row by the pipeline's ``mode``; ``unique`` says that they are known to.
    ``earlier`` is a form of this storage that holds the rows of the first ``earlier_parts`` parts.
    """

    pipeline: str
    version: int
    parts: list[Path]
    rows: int
    key: list[str] = []
    unique: bool = False
    earlier: Path | None = None
    earlier_parts: int = 0


class Storage(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", omit_defaults=True
):
    """Base of all storages. A subclass repeats ``frozen=True, kw_only=True`` and sets ``tag``.

    Every version is Parquet first (``parquet`` with its defaults if the pipeline names no storage). A ``deferred``
    storage derives another form from those parts after the commit (``load``); ``check`` finds before the commit
    whatever could make that fail.
    """

    deferred: ClassVar[bool] = False
    EXAMPLE: ClassVar[dict[str, Any]]

    def problems(self) -> Iterable[Problem]:
        """Combinations of settings that cannot work; fields are relative to this storage."""
        return ()

    def check(self, dataset: Dataset, ctx: Context) -> None:
        """Before the commit, over the written parts: raise ``errors.Permanent`` where ``load`` would fail."""
        return

    def write(self, frame: Frame, folder: Path, ctx: Context) -> Written | None:
        """Before the commit: execute the plan into ``folder``. Only the base storage (``parquet``) does this."""
        return None

    def load(self, dataset: Dataset, folder: Path, ctx: Context) -> Written | None:
        """After the commit: derive a form of ``dataset`` in ``folder`` (the version's own folder).

        Must be safe to repeat: it writes under a temporary name, flushes and renames.
        """
        return None
