"""Routes of health: whether the process answers, and whether it can work."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import structlog
from litestar import Response

import service
from service.api import examples, responses
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get
from service.api.services import ServicesDependency
from service.catalog.store import Store
from service.kit import ids

_log = structlog.get_logger("penstock.api")


@get(
    "/health",
    **route(
        "public",
        "Service",
        "Check liveness",
        "Answers while the process runs. Checks nothing else.",
        ResponseDoc(
            text="The service is alive.", kind=responses.Health, example={"status": "healthy", "version": "0.1.0"}
        ),
    ),
)
async def health() -> responses.Health:
    return responses.Health(status="healthy", version=service.__version__)


@get(
    "/health/ready",
    **route(
        "public",
        "Service",
        "Check readiness",
        "Checks the catalog, the disk and the process that workers are forked from, and names what confines query "
        "workers. Answers 503 with the same body if a check fails.",
        ResponseDoc(text="The service is ready.", kind=responses.Readiness, example=examples.READINESS),
        ResponseDoc(
            status=503,
            text="The service is not ready.",
            kind=responses.Readiness,
            example={**examples.READINESS, "status": "not ready", "checks": {"catalog": "failed", "disk": "ok"}},
        ),
    ),
)
async def ready(services: ServicesDependency) -> Response[responses.Readiness]:
    catalog, disk, workers, data = await asyncio.gather(
        asyncio.to_thread(_catalog, services.store),
        asyncio.to_thread(_disk, services.layout.root),
        services.workers_alive(),
        asyncio.to_thread(services.condition),
        return_exceptions=True,
    )
    found = {"catalog": catalog, "disk": disk, "workers": workers}
    for name, result in {**found, "data": data}.items():
        if isinstance(result, BaseException):
            _log.error("readiness.failed", check=name, exc_info=result)
    checks = {name: "ok" if result is True else "failed" for name, result in found.items()}
    if data != "ok":
        checks["data"] = data if isinstance(data, str) else "failed"
    if not services.audit.healthy:
        checks["audit"] = "failed"
    good = all(state == "ok" for state in checks.values())
    value = responses.Readiness(
        status="ready" if good else "not ready",
        version=service.__version__,
        checks=checks,
        sandbox=services.sandbox,
    )
    return Response(value, status_code=200 if good else 503)


def _catalog(store: Store) -> bool:
    return store.healthy and store.row("SELECT 1 AS one") == {"one": 1}


def _disk(root: Path) -> bool:
    """Whether a file can be written and flushed."""
    probe = root / f".{ids.new('probe')}"
    try:
        handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, b"penstock")
            os.fsync(handle)
        finally:
            os.close(handle)
    finally:
        probe.unlink(missing_ok=True)
    return True


HANDLERS = [health, ready]
