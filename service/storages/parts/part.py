"""A part: one Parquet file of a version, either new or taken from the version before; and what writes new ones."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.files import checksums
from service.kit import errors, lazy
from service.storages.parts import row_numbers, sizes
from service.values.version_mode import File

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

Key = tuple[str | None, ...]
"""The values of a partition as text, one for each column of ``partition_by``; empty without partitions."""
MARK = "\x1f"
"""What the names of columns begin with that are not stored."""
NUMBER = f"{MARK}number"


@dataclass(frozen=True)
class Part:
    """``file`` describes a part of the version before, whose number in its name is ``number``; None: it is new.

    ``sha256`` is the checksum of a new one.
    """

    path: Path
    rows: int
    key: Key = ()
    file: File | None = None
    number: int | None = None
    sha256: str = ""

    def chunks(self, rows: int | None = None) -> Iterator[pl.DataFrame]:
        """The rows, up to ``rows`` at once."""
        rows = rows or sizes.CHUNK
        scan = pl.scan_parquet(self.path, glob=False, hive_partitioning=False)
        for offset in range(0, self.rows, rows):
            yield scan.slice(offset, rows).collect()


@dataclass(frozen=True)
class PartWriter:
    """Writes new parts into ``folder``, under names that do not matter."""

    folder: Path
    compression: str
    compression_level: int | None
    row_group_size: int | None
    step: str
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def path(self) -> Path:
        """The path of the next file."""
        self.folder.mkdir(exist_ok=True)
        return self.folder / f"{next(self.numbers)}.parquet"

    def frame(self, rows: pl.DataFrame, key: Key = (), number: int | None = None) -> Part:
        """Write some rows; a column ``NUMBER`` goes to the file's metadata."""
        metadata = row_numbers.encode(rows[NUMBER]) if NUMBER in rows.columns else None
        return self.plan(rows.drop(NUMBER, strict=False).lazy(), key, number, metadata)

    def pieces(self, rows: pl.DataFrame, target: int, key: Key = (), number: int | None = None) -> list[Part]:
        """Write some rows to parts of about ``target`` rows."""
        count = max(math.ceil(rows.height / (1.5 * target)), 1)
        size = math.ceil(rows.height / count) or 1
        found = [self.frame(rows.slice(at, size), key) for at in range(0, max(rows.height, 1), size)]
        return [dataclasses.replace(found[0], number=number), *found[1:]]

    def plan(
        self, lf: pl.LazyFrame, key: Key = (), number: int | None = None, metadata: dict[str, str] | None = None
    ) -> Part:
        """Execute a plan into a part."""
        target = self.path()
        options = self.options() | {"row_group_size": self.row_group_size or sizes.ROW_GROUP}
        with checksums.Following(target) as followed:
            lf.sink_parquet(target, metadata=metadata, engine="streaming", **options)
        counted = pl.scan_parquet(target, glob=False).select(pl.len()).collect().item()  # from the footer
        return Part(target, int(counted), key, number=number, sha256=followed.hexdigest())

    def options(self) -> dict[str, Any]:
        """The options of a frame that is written to a part."""
        return {
            "compression": self.compression,
            "compression_level": self.compression_level,
            "row_group_size": self.row_group_size,
        }


def check_names(names: list[str], step: str) -> None:
    """Raise ``errors.Permanent`` for a column that looks like one of ours."""
    for name in names:
        if name.startswith(MARK):
            raise errors.Permanent(f"the column {name!r} begins with a control character; rename it", step=step)
