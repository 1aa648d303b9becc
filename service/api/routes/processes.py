"""The route of the processes that serve the installation."""

from __future__ import annotations

import asyncio
from typing import Any

from service.api import examples, query_string
from service.api.query_string import PageRequest
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get
from service.api.services import ServicesDependency, TypedRequest
from service.model.service_process import ServiceProcess

_PROCESS = {
    "id": "start_5c1e", "kind": "worker", "host": "gpu-1", "pid": 4711, "release": "0.1.0", "labels": ["gpu"],
    "only_labelled": False, "concurrency": 2, "running": 1, "draining": False, "started": "2026-01-01T06:00:00Z",
    "last_seen": "2026-01-01T06:12:05Z",
}  # fmt: skip


@get(
    "/processes",
    **route(
        "admin",
        "Service",
        "List the processes of the installation",
        "Lists the processes that serve the installation, oldest first: those with the API and the workers, each with "
        "its labels, how many runs it executes of how many at once, its release and when it was seen last. One that "
        "was killed is listed until the time of a lease is over.",
        ResponseDoc(text="A page.", kind=list[ServiceProcess], example=examples.page(_PROCESS)),
        query=PageRequest,
    ),
)
async def list_processes(request: TypedRequest, services: ServicesDependency) -> dict[str, Any]:
    page = query_string.read(request, PageRequest)
    found = await asyncio.to_thread(services.supervisor.processes)
    return query_string.page_of(found[page.offset : page.offset + page.limit], len(found), page)


HANDLERS = [list_processes]
