"""The Parquet storage, the first form of every version: one streaming execution, flushed to disk, rows counted back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.files import checksums
from service.kit.errors import Problem
from service.steps.context import Context
from service.steps.frame import Frame
from service.steps.storage import Written
from service.storages.parts.next_version import NextVersion
from service.storages.parts.part import PartWriter
from service.storages.versioned_storage import VersionedStorage
from service.values.version_mode import File

_LEVELS = {"zstd": (1, 22)}


class ParquetStorage(VersionedStorage, frozen=True, kw_only=True, tag="parquet"):
    """Immutable Parquet files with statistics, one folder a version. Each version is the whole data."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "parquet", "compression": "zstd", "compression_level": 1}

    compression: Annotated[
        Literal["zstd", "snappy", "lz4", "none"], msgspec.Meta(description="How pages are compressed.")
    ] = "zstd"
    compression_level: Annotated[int, msgspec.Meta(description="zstd: 1 to 22; 1 by default.")] | None = None
    row_group_size: Annotated[int, msgspec.Meta(ge=1000, le=100_000_000, description="Rows in a row group.")] | None = (
        None
    )
    keep_versions: (
        Annotated[int, msgspec.Meta(ge=1, le=1_000_000, description="How many versions stay: retention.versions.")]
        | Literal["all"]
        | None
    ) = None

    def problems(self) -> Iterable[Problem]:
        if self.compression_level is None:
            return
        if self.compression not in _LEVELS:
            yield Problem("compression_level", f"'{self.compression}' has no levels; leave it out or use zstd")
            return
        low, high = _LEVELS[self.compression]
        if not low <= self.compression_level <= high:
            yield Problem("compression_level", f"{self.compression} takes {low} to {high}")

    def write(self, frame: Frame, folder: Path, ctx: Context) -> Written:
        writer = PartWriter(
            folder / ".parts", "uncompressed" if self.compression == "none" else self.compression, self._level(),
            self.row_group_size, ctx.step,
        )  # fmt: skip
        return NextVersion(folder, ctx, writer).write(frame)

    def _level(self) -> int | None:
        if self.compression_level is None:
            return 1 if self.compression == "zstd" else None
        return self.compression_level


def describe(path: Path, rows: int) -> File:
    """The file's name, size and SHA-256: neither Parquet nor DuckDB detects a flipped bit without it."""
    return File(path.name, path.stat().st_size, rows, checksums.sha256(path))
