"""Engine: the one that executes a run, Polars in this process or Spark, and why.

Spark is imported where a run uses it. Quarantined rows are replayed by Polars, as they are few, and so are previews.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from service.jobs import source_size
from service.jobs.job import Job
from service.kit import errors
from service.model import engines
from service.model.pipeline import Pipeline

MIB = 1 << 20
TIMES = 10
"""Times the memory of a run. Below it the engine polars, which works in parts on disk, ends sooner than a cluster."""
_FIELD = "execution.engine"


@contextlib.contextmanager
def chosen(pipeline: Pipeline, job: Job, run: str, attempt: int) -> Iterator[None]:
    """Execute inside with the engine of the pipeline; its session lasts as long. Raises ``errors.Permanent``."""
    name, url = pipeline.execution.engine, job.grants.spark_url
    if name == "auto":
        name, reason = of_size(pipeline, job)
        job.log.info("run.engine_chosen", engine=name, reason=reason)
    if name != "spark":
        yield
        return
    if url is None:
        raise errors.Permanent("there is no cluster; set PENSTOCK_SPARK_URL, or the engine polars", field=_FIELD)
    from service.engine.spark import factory
    from service.engine.spark.cluster import Cluster

    cluster = Cluster(url, run, job.folder, attempt)
    try:
        cluster.check(_sources(pipeline, job))
        secrets = list(job.grants.secrets.values())
        job.executes_with(lambda counters: factory.frames(cluster, counters, secrets), cluster.spread)
        yield
    finally:
        cluster.close()


def _sources(pipeline: Pipeline, job: Job) -> list[Path]:
    """The files that executors must read."""
    found = [Path(part) for stored in job.grants.stored.values() for part in stored.parts]
    for index, collector in enumerate(pipeline.collectors):
        found += source_size.files(collector, job.collect_context(f"collectors[{index}]")) or ()
    return list(dict.fromkeys(found))


def of_size(pipeline: Pipeline, job: Job, limit: int | None = None) -> tuple[engines.Engine, str]:
    """The engine for the sources of the pipeline as they are now, and the reason in words.

    ``limit`` is the memory of a run in bytes, if it is not that of this job.
    """
    limit = limit or job.grants.memory_bytes
    if job.grants.spark_url is None:
        return "polars", "there is no cluster (PENSTOCK_SPARK_URL)"
    if places := engines.only_polars(pipeline.processors):
        return "polars", f"processors[{places[0]}] needs all rows in one place"
    size = 0
    for index, collector in enumerate(pipeline.collectors):
        found = source_size.of(collector, job.collect_context(f"collectors[{index}]"))
        if found is None:
            return "polars", f"the size of collectors[{index}] is not known before it is read"
        size += found
    sizes = f"the sources have {size / MIB:,.0f} MiB unpacked, and a run {limit / MIB:,.0f} MiB of memory"
    if size > TIMES * limit:
        return "spark", f"{sizes}: more than {TIMES} times as much"
    return "polars", f"{sizes}: up to {TIMES} times as much one process is faster"


def planned(pipeline: Pipeline, job: Job, limit: int | None) -> engines.Chosen:
    """The engine that a run would have now, and why."""
    name = pipeline.execution.engine
    if name == "auto":
        return engines.Chosen(*of_size(pipeline, job, limit))
    missing = name == "spark" and job.grants.spark_url is None
    return engines.Chosen(name, f"as configured{'; a run needs a cluster (PENSTOCK_SPARK_URL)' if missing else ''}")
