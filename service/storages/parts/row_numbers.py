"""Row numbers: the order of first appearance of the rows of a part, in the metadata of its Parquet file.

Only the parts of an arranged version (``partition_by``, ``cluster_by``) have them: there, a row that moves to another
place is sorted among others by its number. They are differences, compressed, so that rows in sequence cost nothing.
"""

from __future__ import annotations

import base64
import zlib
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

from service.kit import errors, lazy

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_KEY = "penstock.row_numbers"


def encode(numbers: pl.Series) -> dict[str, str]:
    """The metadata of a file whose rows have these numbers."""
    steps = numbers.cast(pl.Int64).diff().fill_null(0) if len(numbers) else numbers.cast(pl.Int64)
    first = int(numbers[0]) if len(numbers) else 0
    packed = base64.b85encode(zlib.compress(array("q", steps.to_list()).tobytes(), 6)).decode()
    return {_KEY: f"{first}:{packed}"}


def read(path: Path) -> pl.Series:
    """The numbers of the rows in a file. Raises ``errors.PenstockError`` (DATA_CORRUPT) if it has none."""
    first, _, packed = pl.read_parquet_metadata(path).get(_KEY, "").partition(":")
    if not packed:
        raise errors.PenstockError(f"{path.name} has no row numbers", code="DATA_CORRUPT")
    steps = array("q", zlib.decompress(base64.b85decode(packed)))
    return pl.Series(steps, dtype=pl.Int64).cum_sum() + int(first)
