"""The entry functions of a child that runs or answers a task, without their imports.

The engine is imported inside the functions, so that the API can name them without loading it. The forkserver has
preloaded it (``jobs.preload``), so that the import is free in the child.
"""

from __future__ import annotations

from service.processes.channel import Channel


def run(channel: Channel, order: bytes) -> bool:
    """Execute a run (``jobs.run_worker``). Returns whether the child can execute another one."""
    from service.jobs import run_worker

    return run_worker.work(channel, order)


def task(channel: Channel, call: bytes) -> None:
    """Answer a task (``jobs.tasks.worker``)."""
    from service.jobs.tasks import worker

    worker.work(channel, call)


def apply(channel: Channel, setup: bytes) -> None:
    """Apply a version to the records of one request after the other (``jobs.apply_worker``)."""
    from service.jobs import apply_worker

    apply_worker.work(channel, setup)


def interrupt(channel: Channel, order: bytes) -> None:
    """End what attempts of runs left behind on a cluster (``jobs.spark_sessions``)."""
    from service.jobs import spark_sessions

    spark_sessions.work(channel, order)
