"""Factory: the frames of a cluster, from what collectors give to a context."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from service.engine.counters import Counters
from service.engine.spark import file_parts, plans
from service.engine.spark.cluster import Cluster
from service.engine.spark.shared_files import SharedFiles
from service.engine.spark.spark_frame import SparkFrame
from service.kit import errors, placeholders
from service.steps.frame import Explain, FrameFactory, Parts
from service.values import polars_errors

_MOST_PLAN = 1 << 20


def frames(cluster: Cluster, progress: Counters, secrets: Sequence[str] = ()) -> FrameFactory:
    """What makes the frames of one run. A plan in which one of its ``secrets`` is written stays in this process."""

    def frame(
        lf: pl.LazyFrame, folder: Path, *, expensive: bool = True, explain: Explain | None = None,
        row_bytes: int = 0, files: Sequence[Path] = (), parts: Parts | None = None,
    ) -> SparkFrame:  # fmt: skip
        every = [part for file in files for part in file_parts.of(file)] or _alike(lf, parts() if parts else ())
        if not every and not _is_portable(lf, secrets):
            shared = SharedFiles(folder)
            path = shared.path / "rows.parquet"
            with polars_errors.attributed(None):
                lf.sink_parquet(path, compression="lz4", statistics=False, engine="streaming")
            return SparkFrame.of_file(cluster, path, shared, progress)
        return SparkFrame(cluster, every or [lf], folder, expensive=expensive, explain=explain, progress=progress)

    return frame


def _is_portable(lf: pl.LazyFrame, secrets: Sequence[str]) -> bool:
    """Whether executors can execute a plan: it holds no function that only this process has, no rows and no secret."""
    try:
        plan = plans.encode(lf)
    except errors.Permanent:
        return False
    text = plan.decode(errors="replace") if len(plan) <= _MOST_PLAN else ""
    return bool(text) and (not secrets or placeholders.mask(text, secrets) == text)


def _alike(lf: pl.LazyFrame, parts: Sequence[pl.LazyFrame]) -> list[pl.LazyFrame]:
    """The parts with the columns of all, in order."""
    schema = lf.collect_schema()
    empty = pl.LazyFrame(schema=schema)
    return [pl.concat([empty, part], how="diagonal").select(schema.names()) for part in parts]
