"""Engine: the one that executes a run, Polars in this process or Spark, and why.

Spark is imported where a run uses it. Quarantined rows are replayed by Polars, as they are few, and so are previews.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from service.jobs.job import Job
from service.kit import errors
from service.model import engines
from service.model.pipeline import Pipeline

MIB = 1 << 20
TIMES = 10
"""Times the memory of a run. Below it the engine polars, which works in parts on disk, ends sooner than a cluster."""
_FIELD = "execution.engine"


@contextlib.contextmanager
def chosen(pipeline: Pipeline, job: Job, run: str) -> Iterator[None]:
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

    cluster = Cluster(url, run, job.folder)
    try:
        cluster.check()
        job.executes_with(lambda counters: factory.frames(cluster, counters))
        yield
    finally:
        cluster.close()


def of_size(pipeline: Pipeline, job: Job) -> tuple[engines.Engine, str]:
    """The engine for the sources of the pipeline as they are now, and the reason in words."""
    limit = job.grants.memory_bytes
    if job.grants.spark_url is None:
        return "polars", "there is no cluster (PENSTOCK_SPARK_URL)"
    if places := engines.only_polars(pipeline.processors):
        return "polars", f"processors[{places[0]}] needs all rows in one place"
    size = 0
    for index, collector in enumerate(pipeline.collectors):
        seen = collector.outlook(job.collect_context(f"collectors[{index}]")) if collector.local else {}
        if "bytes" not in seen:
            return "polars", f"the size of collectors[{index}] is not known before it is read"
        size += int(seen["bytes"])
    sizes = f"the sources have {size / MIB:,.0f} MiB, and a run {limit / MIB:,.0f} MiB of memory"
    if size > TIMES * limit:
        return "spark", f"{sizes}: more than {TIMES} times as much"
    return "polars", f"{sizes}: below {TIMES} times as much one process is faster"
