"""Stage: rows that were computed once and are read again, in memory while they fit, else in Parquet files.

The engine hands over batches. They are collected; when they exceed what the run may hold they go to a file, and what
follows goes to further ones. So nobody must know before how large the result of a plan is, and nothing is computed
twice. The files lie in the page cache mostly; they are removed with the last frame over them.
"""

from __future__ import annotations

import collections
import itertools
import weakref
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from service.engine.memory import Memory
from service.values.staged import Staged

SMALL_BYTES = 1024 * 1024
SMALL_ROWS = 50_000
_WIDE = 250
"""Columns."""
_GROUP_ROWS = 122_880
_LEAST_ROWS, _GROUP_BYTES = 1000, 8 << 20
"""Of a row group. Whoever reads all columns holds several of them, whole: a million rows of 330 bytes took 430 MiB in
groups of 30 MiB, 150 MiB in such ones, and no more CPU. Of thousands of columns each group costs too much."""
_LOOK = 8 << 20
"""Bytes collected between two looks at what the process holds."""
_numbers = itertools.count(1)


class Stage:
    """The rows of a plan. ``files`` hold them, one after another; without files they are in memory."""

    def __init__(self, lf: pl.LazyFrame, rows: int, size: int, files: Iterable[Path] = ()) -> None:
        self.lf, self.files = lf, tuple(files)
        self.report = Staged("file" if self.files else "memory", rows, size)
        weakref.finalize(self, _remove, self.files)

    @classmethod
    def of_file(cls, lf: pl.LazyFrame, path: Path) -> Stage:
        """The rows that ``lf`` reads from a file that was just written; read back at once if they are few."""
        rows = int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
        size = path.stat().st_size
        if rows > SMALL_ROWS or size > SMALL_BYTES:
            return cls(_unfiltered(lf), rows, size, [path])
        read = lf.collect()
        path.unlink()
        return cls(read.lazy(), rows, int(read.estimated_size()))

    @property
    def small(self) -> bool:
        """Whether the in-memory engine answers faster than the streaming one; few bytes may be many rows."""
        return not self.files and self.report.rows <= SMALL_ROWS and self.report.bytes <= SMALL_BYTES


class Staging:
    """Takes the batches of one plan, in order, and makes a stage of them. With ``keep`` that is a file.

    About ``expected`` bytes come, if that is known.
    """

    def __init__(
        self, schema: pl.Schema, folder: Path, memory: Memory, *, expected: int | None = None, keep: bool = False
    ) -> None:
        self._schema, self._folder, self._memory = schema, folder, memory
        self._bound, self._part = 0 if keep else memory.for_stage(expected), memory.for_part(len(schema))
        self._keep = keep
        self._batches: collections.deque[pl.DataFrame] = collections.deque()
        self._files: list[Path] = []
        self._rows = self._size = self._written = self._looked = 0
        self._failure: Exception | None = None

    @property
    def bytes_written(self) -> int:
        """What went to files so far."""
        return self._written

    def take(self, lf: pl.LazyFrame) -> Stage:
        """Execute the plan. Raises what that raises; nothing is left on disk then."""
        try:
            lf.sink_batches(self._add, engine="streaming")
            if self._failure is not None:
                raise self._failure
            return self._stage()
        except BaseException:
            _remove(self._files)
            raise

    def _add(self, batch: pl.DataFrame) -> bool:
        """Collect a batch; true ends the plan. An error is kept: the engine would make another one of it."""
        try:
            self._rows += batch.height
            self._size += int(batch.estimated_size())
            self._batches.append(batch)
            if self._size >= self._part and (self._files or self._is_too_large()):
                self._flush()
        except Exception as error:
            self._failure = error
        return self._failure is not None

    def _is_too_large(self) -> bool:
        if self._size <= self._bound and self._size - self._looked < _LOOK:
            return False
        self._looked = self._size
        return self._size > self._bound or self._memory.free() < self._bound // 4

    def _flush(self) -> None:
        """Write what was collected, and let go of it piece by piece."""
        while True:
            piece, size = [], 0
            while self._batches and size < self._part:
                piece.append(self._batches.popleft())
                size += int(piece[-1].estimated_size())
            self._write(pl.concat(piece) if piece else pl.DataFrame(schema=self._schema))
            if not self._batches:
                break
        self._size = 0

    def _write(self, rows: pl.DataFrame) -> None:
        path = self._folder / f"stage-{next(_numbers)}.parquet"
        self._files.append(path)
        width = int(rows.estimated_size()) // max(1, rows.height) if len(self._schema) <= _WIDE else 0
        size = max(_LEAST_ROWS, min(_GROUP_ROWS, _GROUP_BYTES // max(1, width)))
        rows.write_parquet(path, compression="lz4", statistics=False, row_group_size=size)
        self._written += path.stat().st_size

    def _stage(self) -> Stage:
        if self._files or self._keep or self._size > self._bound:
            if self._batches or not self._files:
                self._flush()
            lf = _unfiltered(pl.scan_parquet(self._files, glob=False, schema=self._schema))
            return Stage(lf, self._rows, self._written, self._files)
        rows = pl.concat(self._batches) if self._batches else pl.DataFrame(schema=self._schema)
        self._batches.clear()
        if self._rows <= SMALL_ROWS:
            rows = rows.rechunk()
        return Stage(rows.lazy(), self._rows, self._size)


def _remove(files: Iterable[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)


def _unfiltered(lf: pl.LazyFrame) -> pl.LazyFrame:
    """A wide scan without filters pushed into it: filtering by all of 1 500 columns while reading takes 17 s."""
    if len(lf.collect_schema()) <= _WIDE:
        return lf
    return lf.map_batches(
        lambda batch: batch, predicate_pushdown=False, projection_pushdown=True, slice_pushdown=True, streamable=True
    )
