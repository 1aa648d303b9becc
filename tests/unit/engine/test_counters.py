"""What the engine counts while it executes: rows on their way to a file, queries, bytes; and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from service.engine.counters import Counters
from service.engine.polars_frame import PolarsFrame
from service.steps.metric import Metric

OPTIONS = {"compression": "zstd", "compression_level": 3, "row_group_size": None}
ROWS = 600_000


def source(folder: Path) -> pl.LazyFrame:
    path = folder / "source.csv"
    pl.select(a=pl.int_range(ROWS), b=pl.int_range(ROWS) % 7).write_csv(path)
    return pl.scan_csv(path)


def test_rows_are_counted_on_their_way(tmp_path: Path) -> None:
    seen: list[tuple[int, float | None]] = []

    class Watched(Counters):
        def _count(self, batch: pl.DataFrame) -> pl.DataFrame:
            found = super()._count(batch)
            seen.append((self.rows, self.fraction))
            return found

    counters = Watched()
    counters.begin(ROWS)
    frame = PolarsFrame(source(tmp_path), tmp_path, progress=counters)
    assert frame.write(tmp_path / "out.parquet", **OPTIONS) == ROWS  # type: ignore[arg-type]
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == (ROWS, 1.0)
    assert counters.bytes_written == (tmp_path / "out.parquet").stat().st_size
    assert not counters.passing_rows
    assert pl.read_parquet(tmp_path / "out.parquet").equals(source(tmp_path).collect())


def test_a_stage_and_its_queries_are_one_work(tmp_path: Path) -> None:
    seen: list[float | None] = []

    class Watched(Counters):
        def queried(self, done: int, total: int) -> None:
            seen.append(self.fraction)
            super().queried(done, total)
            seen.append(self.fraction)

    counters = Watched()
    counters.begin(ROWS)
    frame = PolarsFrame(source(tmp_path), tmp_path, progress=counters)
    frame.measure([Metric("a", "mean"), Metric("a", "quantile", (0.5,)), Metric("b", "distinct"), Metric("", "rows")])
    assert None not in seen
    assert seen == sorted(seen, key=lambda part: part or 0)
    assert 0 < (seen[0] or 0) < 1
    assert seen[-1] == 1.0
    counters.begin(None)
    assert (counters.fraction, counters.expected) == (None, ROWS)


def test_without_an_expectation_there_is_no_fraction(tmp_path: Path) -> None:
    counters = Counters()
    counters.begin(None)
    frame = PolarsFrame(source(tmp_path), tmp_path, progress=counters)
    frame.write(tmp_path / "out.parquet", **OPTIONS)  # type: ignore[arg-type]
    assert (counters.fraction, counters.rows, counters.expected) == (None, ROWS, ROWS)
