"""The Parquet storage, the first form of every version: one streaming execution, flushed to disk, rows counted back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec

from service.files import layout
from service.kit import errors, lazy
from service.kit.errors import Problem
from service.steps.context import Context
from service.steps.frame import Frame
from service.steps.storage import File, Storage, Written

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_LEVELS = {"zstd": (1, 22)}
_BLOCK = 4 << 20


class ParquetStorage(Storage, frozen=True, kw_only=True, tag="parquet"):
    """Immutable Parquet files with statistics, one folder a version.

    ``mode`` is ``replace``: each version is the whole data.
    """

    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "parquet", "compression": "zstd", "compression_level": 3}

    mode: Annotated[Literal["replace"], msgspec.Meta(description="Each version is the whole data.")] = "replace"
    compression: Annotated[
        Literal["zstd", "snappy", "lz4", "none"], msgspec.Meta(description="How pages are compressed.")
    ] = "zstd"
    compression_level: Annotated[int, msgspec.Meta(description="zstd: 1 to 22; 3 by default.")] | None = None
    row_group_size: Annotated[int, msgspec.Meta(ge=1000, le=100_000_000, description="Rows in a row group.")] | None = (
        None
    )

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
        target = folder / "part-00000.parquet"
        rows = frame.write(
            target,
            compression="uncompressed" if self.compression == "none" else self.compression,
            compression_level=self._level(),
            row_group_size=self.row_group_size,
        )
        layout.flush(target)
        counted = pl.scan_parquet(target, glob=False).select(pl.len()).collect().item()  # from the footer
        if counted != rows:
            raise errors.Permanent(f"{rows} rows were written but {counted} are in the file", step=ctx.step)
        target.chmod(0o400)
        return Written(type="parquet", files=[describe(target, rows)], rows=rows)

    def _level(self) -> int | None:
        if self.compression_level is None:
            return 3 if self.compression == "zstd" else None
        return self.compression_level


def describe(path: Path, rows: int) -> File:
    """The file's name, size and SHA-256: neither Parquet nor DuckDB detects a flipped bit without it."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as handle:
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while block := handle.read(_BLOCK):
            digest.update(block)
    return File(path.name, path.stat().st_size, rows, digest.hexdigest())
