"""Storage: writes one version of a dataset. It prepares files; ``runs`` publishes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from service.kit.errors import Problem
from service.steps.context import Context
from service.steps.frame import Frame
from service.values.version_mode import Dataset, Earlier, File, UpdatedPart, Written

__all__ = ["Dataset", "Earlier", "File", "Storage", "UpdatedPart", "Written"]


class Storage(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", omit_defaults=True
):
    """Base of all storages. A subclass repeats ``frozen=True, kw_only=True`` and sets ``tag``.

    Every version is Parquet first (``parquet`` with its defaults if the pipeline names no storage). A ``deferred``
    storage derives another form from those parts (``load``): of a small version before the commit, of a large one after
    it. ``check`` finds before the commit whatever could make that fail.
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
        """Derive a form of ``dataset`` in ``folder``: where the version is being written, or the version's own folder.

        Must be safe to repeat: it writes under a temporary name, flushes and renames.
        """
        return None
