"""Batch: the rows of the run on disk, in the columns of the version, and the keys among them."""

from __future__ import annotations

import bisect
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.kit import errors, lazy
from service.steps.context import Context
from service.storages.parts import sizes
from service.storages.parts.part import MARK

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

INDEX = f"{MARK}index"
PLACE = f"{MARK}place"


@dataclass(frozen=True)
class Batch:
    """The rows of a run: ``rows`` of them, as the plan ``lf`` over one file reads them."""

    lf: pl.LazyFrame
    rows: int

    def chunks(self, wanted: pl.Series | None = None) -> Iterator[pl.DataFrame]:
        """The rows in order, or those for which ``wanted`` (a mask) is true; up to ``sizes.CHUNK`` at once."""
        for offset in range(0, self.rows, sizes.CHUNK):
            mask = wanted.slice(offset, sizes.CHUNK) if wanted is not None else None
            if mask is not None and not mask.any():
                continue
            chunk = self.lf.slice(offset, sizes.CHUNK).collect()
            yield chunk if mask is None else chunk.filter(mask)

    def keys(self, key: Sequence[str]) -> pl.DataFrame:
        """The columns of the key, with the index of each row in ``INDEX``."""
        return self.lf.select(key).collect(engine="streaming").with_row_index(INDEX)


def deduplicated(batch: Batch, key: Sequence[str], folder: Path, ctx: Context) -> Batch:
    """The batch with one row for each key: the last one, in the place of the first.

    Raises ``errors.Permanent`` for rows without a key, before anything is stored.
    """
    keys = batch.keys(key)
    missing = keys.select(pl.any_horizontal(pl.col(list(key)).is_null()).sum()).item()
    if missing:
        raise errors.Permanent(
            f"the key {', '.join(key)} is missing in {missing} rows; drop them (drop_na) or choose another key",
            step=ctx.step, field="key",
        )  # fmt: skip
    distinct = keys.select(pl.struct(key).n_unique() if len(key) > 1 else pl.col(key).n_unique()).item()
    if distinct == keys.height:
        return batch
    last = keys.group_by(list(key), maintain_order=True).agg(pl.col(INDEX).last()).select(INDEX)
    ctx.warn(
        "duplicate_keys",
        f"{keys.height - distinct} rows have the key ({', '.join(key)}) of a later row, which took their place",
        rows=keys.height - distinct,
    )
    target = folder / "distinct.parquet"
    kept = batch.lf.with_row_index(INDEX).join(last.with_row_index(PLACE).lazy(), on=INDEX, how="inner")
    kept.sort(PLACE).drop(INDEX, PLACE).sink_parquet(target, compression="lz4", engine="streaming")
    return Batch(pl.scan_parquet(target, glob=False), last.height)


class Lookup:
    """The rows of the batch for each part, when parts are asked for in order.

    A large batch is split once into files for some parts each, so that its rows are read twice and never held at once.
    """

    def __init__(self, batch: Batch, matched: pl.DataFrame, folder: Path) -> None:
        """``matched`` has the ``INDEX`` of a row and the ``PLACE`` of the part that has its key."""
        self._folder = folder
        counts = dict(matched.group_by(PLACE).len().iter_rows())
        self._starts: list[int] = []
        held = sizes.HELD
        for place in sorted(counts):
            if held + counts[place] > sizes.HELD:
                self._starts.append(place)
                held = 0
            held += counts[place]
        self._counts, self._bucket, self._held = counts, -1, pl.DataFrame()
        self._split(batch, matched)

    def count(self, place: int) -> int:
        """How many rows of the batch have a key of the part."""
        return int(self._counts.get(place, 0))

    def rows(self, place: int) -> pl.DataFrame:
        """The rows of the batch that have a key of the part."""
        bucket = bisect.bisect_right(self._starts, place) - 1
        if bucket != self._bucket:
            files = sorted(self._folder.glob(f"{bucket}-*.parquet"))
            self._held, self._bucket = pl.read_parquet(files, glob=False), bucket
        return self._held.filter(pl.col(PLACE) == place).drop(PLACE)

    def close(self) -> None:
        """Remove the files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _split(self, batch: Batch, matched: pl.DataFrame) -> None:
        self._folder.mkdir()
        edges = pl.Series(self._starts, dtype=pl.UInt32)
        for number, offset in enumerate(range(0, batch.rows, sizes.CHUNK)):
            wanted = matched.filter(pl.col(INDEX).is_between(offset, offset + sizes.CHUNK, closed="left"))
            if not wanted.height:
                continue
            chunk = batch.lf.slice(offset, sizes.CHUNK).collect().with_row_index(INDEX, offset)
            rows = chunk.join(wanted, on=INDEX, how="inner", maintain_order="left").drop(INDEX)
            buckets = edges.search_sorted(rows[PLACE], side="right") - 1
            for bucket in buckets.unique():
                part = rows.filter(buckets == bucket)
                part.write_parquet(self._folder / f"{bucket}-{number:06d}.parquet", compression="lz4", statistics=False)
