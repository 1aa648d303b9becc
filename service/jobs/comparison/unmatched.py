"""Unmatched rows: those that found no pair near their place, kept until all rows were seen.

Few rows are held in memory, encoded, since a few texts of a batch would keep the memory of all of its texts. Many are
written to files: one for each version and bucket of the hash of what matches rows, so that two rows that match are in
the same bucket, and one bucket of both versions fits into memory.
"""

from __future__ import annotations

import io
import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from service.jobs.comparison.pairs import ROW, SideName

_BUCKET = "bucket"
_MOST_BUCKETS = 256
_SLICE_ROWS = 65_536


class Unmatched:
    """Rows of both versions by bucket. ``folder`` takes the files, ``bucket_bytes`` is about the size of a bucket."""

    def __init__(self, folder: Path, matching: list[str], *, total_bytes: int, bucket_bytes: int) -> None:
        self._folder = folder
        self._matching = matching
        self._buckets = max(1, min(_MOST_BUCKETS, -(-total_bytes // bucket_bytes)))
        self._bucket_bytes = bucket_bytes
        self._held: dict[SideName, list[bytes]] = {side: [] for side in ROW}
        self._size = 0
        self._ends: dict[tuple[SideName, int], list[int]] = defaultdict(lambda: [0])
        self._empty: dict[SideName, pl.DataFrame] = {}

    def add(self, side: SideName, rows: pl.DataFrame, wanted: pl.Series | None = None) -> None:
        """Keep these rows of one version, or those of them that are ``wanted``; a slice at a time, to copy little."""
        self._empty.setdefault(side, rows.clear())
        for offset in range(0, rows.height, _SLICE_ROWS):
            part = rows.slice(offset, _SLICE_ROWS)
            self._add(side, part if wanted is None else part.filter(wanted.slice(offset, _SLICE_ROWS)))

    def _add(self, side: SideName, rows: pl.DataFrame) -> None:
        if not rows.height:
            return
        if self._buckets > 1 and rows.estimated_size() > self._bucket_bytes // 16:
            self._write(side, rows)
            return
        self._held[side].append(_encoded(rows))
        self._size += len(self._held[side][-1])
        if self._size > self._bucket_bytes // 4 and self._buckets > 1:
            self._flush()

    def buckets(self) -> Iterator[dict[SideName, pl.DataFrame]]:
        """The rows of both versions, one bucket after another."""
        if not self._ends:
            yield {side: self._decoded(side) for side in self._empty}
            return
        self._flush()
        for bucket in range(self._buckets):
            yield {side: self._read(side, bucket) for side in self._empty}

    def _decoded(self, side: SideName) -> pl.DataFrame:
        """The held rows of one version, which are held no longer."""
        frames = [pl.read_ipc_stream(encoded) for encoded in self._held[side]]
        self._held[side].clear()
        return pl.concat(frames or [self._empty[side]]).rechunk()

    def _flush(self) -> None:
        for side in self._empty:
            self._write(side, self._decoded(side))
        self._size = 0

    def _path(self, side: SideName, bucket: int) -> Path:
        return self._folder / f"unmatched-{side}-{bucket}.arrow"

    def _write(self, side: SideName, rows: pl.DataFrame) -> None:
        bucket = pl.struct(self._matching).hash() % self._buckets
        parts = rows.with_columns(bucket.alias(_BUCKET)).partition_by(_BUCKET, as_dict=True, include_key=False)
        for (number,), part in parts.items():
            place = int(str(number))
            with self._path(side, place).open("ab") as file:
                self._ends[side, place].append(self._ends[side, place][-1] + file.write(_encoded(part)))

    def _read(self, side: SideName, bucket: int) -> pl.DataFrame:
        """The rows of one version in a bucket, whose file is removed."""
        ends, path = self._ends[side, bucket], self._path(side, bucket)
        if len(ends) == 1:
            return self._empty[side]
        with path.open("rb") as file:
            frames = [pl.read_ipc_stream(file.read(end - start)) for start, end in itertools.pairwise(ends)]
        path.unlink()
        return pl.concat(frames).rechunk()


def _encoded(rows: pl.DataFrame) -> bytes:
    encoded = io.BytesIO()
    rows.write_ipc_stream(encoded)
    return encoded.getvalue()
