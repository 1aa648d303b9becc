"""Spilled rows: rows that wait until both versions were read, in buckets of which one fits into memory.

Few rows are held in memory, encoded, since a few texts of a batch would keep the memory of all of its texts. Many are
written to files, one for each bucket.
"""

from __future__ import annotations

import io
import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import polars as pl

_BUCKET = "bucket"
_MOST_BUCKETS = 256


def bucket_count(total_bytes: int, bucket_bytes: int) -> int:
    """How many buckets rows of ``total_bytes`` need, so that one of them takes about ``bucket_bytes``."""
    return max(1, min(_MOST_BUCKETS, -(-total_bytes // bucket_bytes)))


class Spilled:
    """Rows in ``buckets`` buckets by the whole numbers ``bucket``, about ``held_bytes`` of them in memory.

    Their files in ``folder`` have names that begin with ``name``.
    """

    def __init__(self, folder: Path, name: str, bucket: pl.Expr, buckets: int, held_bytes: int) -> None:
        self._folder = folder
        self._name = name
        self._bucket = bucket % buckets
        self._buckets = buckets
        self._most_held = held_bytes
        self._held: list[bytes] = []
        self._size = 0
        self._ends: dict[int, list[int]] = defaultdict(lambda: [0])
        self._empty: pl.DataFrame | None = None

    def add(self, rows: pl.DataFrame) -> None:
        """Keep these rows."""
        if self._empty is None:
            self._empty = rows.clear()
        if self._ends:
            self._write(rows)
        elif rows.height:
            encoded = io.BytesIO()
            rows.write_ipc_stream(encoded)
            self._held.append(encoded.getvalue())
            self._size += len(self._held[-1])
            if self._size > self._most_held and self._buckets > 1:
                self._write(self._decoded())

    def buckets(self) -> Iterator[pl.DataFrame | None]:
        """The rows, one bucket after another; always the same number of buckets. They are kept no longer.

        A bucket is None if there never were rows, so that their columns are not known.
        """
        if self._empty is None:
            yield from [None] * self._buckets
        elif self._ends:
            yield from map(self._read, range(self._buckets))
        else:
            yield from self._divided(self._decoded())

    def _decoded(self) -> pl.DataFrame:
        """The held rows, which are held no longer."""
        frames = [pl.read_ipc_stream(encoded) for encoded in self._held]
        self._held.clear()
        assert self._empty is not None
        return pl.concat(frames or [self._empty]).rechunk()

    def _divided(self, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """The rows of each bucket, in order."""
        if self._buckets == 1:
            yield rows
            return
        numbered = rows.with_columns(self._bucket.cast(pl.UInt8).alias(_BUCKET))
        parts = numbered.partition_by(_BUCKET, as_dict=True, include_key=False)
        for bucket in range(self._buckets):
            yield parts.get((bucket,), rows.clear())

    def _path(self, bucket: int) -> Path:
        return self._folder / f"{self._name}-{bucket}.arrow"

    def _write(self, rows: pl.DataFrame) -> None:
        for bucket, part in enumerate(self._divided(rows)):
            if part.height:
                with self._path(bucket).open("ab") as file:
                    part.write_ipc_stream(file)
                    self._ends[bucket].append(file.tell())

    def _read(self, bucket: int) -> pl.DataFrame | None:
        """The rows in a bucket, whose file is removed."""
        ends, path = self._ends[bucket], self._path(bucket)
        if len(ends) == 1:
            return self._empty
        with path.open("rb") as file:
            frames = [pl.read_ipc_stream(file.read(end - start)) for start, end in itertools.pairwise(ends)]
        path.unlink()
        return pl.concat(frames).rechunk()
