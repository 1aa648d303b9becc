"""``penstock worker``: executes the runs of an installation that several processes serve, without its API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import click
import structlog

from service.api import server
from service.cli import service_start
from service.kit import errors
from service.kit.settings import Settings
from service.kit.stopping import Stopping


def worker(**chosen: Any) -> None:
    """Execute runs until a signal. Raises ``errors.Invalid``, ``errors.Conflict``, ``errors.Unavailable``."""
    settings, environment = service_start.begin(**chosen, max_concurrent_queries=1)  # it answers none
    refuse(settings)
    asyncio.run(_work(settings, environment))


def refuse(settings: Settings) -> None:
    """Raise ``errors.Invalid`` if a worker with these settings could do nothing."""
    wanted = {
        "PENSTOCK_CATALOG_URL": (settings.catalog_url, "the catalog in PostgreSQL, postgresql://…"),
        "PENSTOCK_WAREHOUSE_URL": (settings.warehouse_url, "the object store with the versions, s3://bucket/prefix"),
    }
    problems = [
        errors.Problem(name, f"is not set: a worker needs {what}, the same as 'penstock serve' has")
        for name, (given, what) in wanted.items()
        if given is None
    ]
    if settings.max_concurrent_runs == 0:
        problems.append(errors.Problem("PENSTOCK_MAX_CONCURRENT_RUNS", "is 0: a worker executes runs; --concurrency 2"))
    if settings.only_labelled and not settings.worker_labels:
        problems.append(errors.Problem("PENSTOCK_ONLY_LABELLED", "needs a label, or no run is executed; set --label"))
    if problems:
        raise errors.Invalid.of(problems, "settings")


async def _work(settings: Settings, environment: Mapping[str, str]) -> None:
    """Answer on the health port at once, and work as soon as the rest of the service is loaded."""
    stopping = Stopping.by_signals()
    async with AsyncExitStack() as stack:
        listener = None
        if settings.health_port is not None:
            listener = await stack.enter_async_context(server.listening(settings.host, settings.health_port))
        from service import bootstrap

        def announce() -> None:
            labels = ", ".join(settings.worker_labels)
            shown = f"Penstock works on up to {settings.max_concurrent_runs} runs at a time"
            shown += f" (labels: {labels})" if labels else ""
            click.echo(shown + (f"; its health is at {listener.url}" if listener is not None else ""))
            structlog.get_logger("penstock.server").info(
                "worker.started", concurrency=settings.max_concurrent_runs, labels=list(settings.worker_labels),
                health=listener.url if listener is not None else None,
            )  # fmt: skip

        await bootstrap.work(settings, environment, listener, stopping, announce)
