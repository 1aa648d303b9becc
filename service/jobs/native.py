"""Native forms of a small version, made by the run's own worker before the commit.

Another process would cost more than the load itself. A form of a large version is loaded after the commit, in another
child: the memory of both would add up in one.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from service.jobs import memory
from service.jobs.job import Job
from service.jobs.messages import Loaded
from service.model.pipeline import Pipeline
from service.steps.storage import Dataset

_MOST_BYTES = 4 * 1024 * 1024
_MOST_VALUES = 1_000_000


def is_small(dataset: Dataset, columns: int) -> bool:
    """Whether the forms of a dataset are loaded in a fraction of a second and in little memory."""
    size = sum(part.stat().st_size for part in dataset.parts)
    return size <= _MOST_BYTES and dataset.rows * columns <= _MOST_VALUES


def load(pipeline: Pipeline, dataset: Dataset, job: Job) -> list[Loaded]:
    """Load every deferred form into the job's folder; none if one fails, which another child then tries again."""
    loaded: list[Loaded] = []
    for index, storage in enumerate(pipeline.storage):
        if not storage.deferred:
            continue
        ctx = job.context(f"storage[{index}]")
        began = time.perf_counter()
        try:
            written = storage.load(dataset, ctx.folder, ctx)
        except Exception as error:  # a database that is out of memory, say: Parquet has the rows
            job.log.warning("native.postponed", step=ctx.step, message=str(error))
            _remove(loaded, ctx.folder)
            return []
        if written is not None:
            took = time.perf_counter() - began
            loaded.append(Loaded(written, ctx.step, took, memory.peak(), datetime.now(UTC)))
    for one in loaded:
        job.end(one.record)
        job.log.info("native.loaded", step=one.step, rows=one.written.rows)
    return loaded


def _remove(loaded: list[Loaded], folder: Path) -> None:
    for one in loaded:
        for file in one.written.files:
            (folder / file.name).unlink(missing_ok=True)
