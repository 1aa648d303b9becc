"""What a worker answers on its health port: that it lives, whether it can work, and its metrics.

Whoever reaches the port may ask: there is nothing of the users' in it, and who probes a process has no account. It is
made without the framework, which a worker does not load.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

import service
from service.api.early_answers import respond
from service.api.readiness import OK, Readiness
from service.catalog.audit_log import AuditLog
from service.catalog.history import History
from service.catalog.store import Store
from service.files.layout import Layout
from service.kit.errors import Body
from service.runs.core import Core
from service.runs.supervisor import Supervisor
from service.telemetry import exposition

_TEXT = f"{exposition.MEDIA_TYPE}; charset=utf-8".encode()


class _Parts(NamedTuple):
    layout: Layout
    store: Store
    history: History
    audit: AuditLog
    supervisor: Supervisor
    condition: Callable[[], str]
    workers_alive: Callable[[], Awaitable[bool]]


class WorkerHealth:
    """An ASGI application over the core of a worker; ``alive`` is whether children can be started."""

    def __init__(self, core: Core, alive: Callable[[], Awaitable[bool]]) -> None:
        self._metrics = core.tasks.resources.metrics
        self._sandbox = f"landlock {core.engine.level}" if core.engine.level else "none"
        parts = _Parts(
            core.layout, core.store, core.history, core.audit, core.supervisor, core.condition.report, alive
        )  # fmt: skip
        self._readiness = Readiness(parts)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        status, value = await self._answer(scope["path"] if scope["method"] in ("GET", "HEAD") else "")
        if isinstance(value, bytes):
            await respond(scope, send, status, value, _TEXT)
        else:
            await respond(scope, send, status, msgspec.json.encode(value))

    async def _answer(self, path: str) -> tuple[int, Any]:
        if path == "/metrics":
            return 200, await exposition.of(self._metrics)
        shown = {"version": service.__version__}
        if path == "/health":
            return 200, {"status": "healthy", **shown}
        if path == "/health/ready":
            checks = await self._readiness.checks()
            good = all(state == OK for state in checks.values())
            status = {"status": "ready" if good else "not ready", **shown, "checks": checks, "sandbox": self._sandbox}
            return 200 if good else 503, status
        message = "a worker answers GET /health, /health/ready and /metrics; the API is in 'penstock serve'"
        return 404, {"error": Body(code="NOT_FOUND", message=message)}
