"""The route of the overview: all pipelines at a glance, for a page that shows each."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from service.api import examples, query_string
from service.api.access import readable
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get
from service.api.services import ServicesDependency, TypedRequest
from service.catalog import overview
from service.model.overview import PipelineGlance

_GLANCE = {
    "name": "orders", "description": "Orders of the shop", "revision": 1, "owner": "ann", "visibility": "shared",
    "status": "completed", "cron": "0 6 * * *", "timezone": "UTC", "paused": False, "next_run": examples.THEN,
    "late_since": None, "last_success": examples.AT, "version": 3, "rows": 990, "bytes": 54702,
    "version_created": examples.AT,
    "recent_runs": [
        {"run_id": examples.RUN_ID, "status": "completed", "start_time": examples.AT, "end_time": examples.THEN,
         "duration": 2.5, "error": None}
    ],
    "recent_rows": [990, 980, 975],
}  # fmt: skip


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The pipelines by name."""

    items: list[PipelineGlance]
    total: int


@get(
    "/overview",
    **route(
        "viewer",
        "Pipelines",
        "See all pipelines",
        "All pipelines by name in one answer, each with its newest runs and versions, its schedule and whether its "
        "data are older than the schedule promises.",
        ResponseDoc(text="The pipelines.", kind=Overview, example={"items": [_GLANCE], "total": 1}),
    ),
)
async def see_all(request: TypedRequest, services: ServicesDependency) -> dict[str, Any]:
    query_string.read(request, query_string.NoParameters)
    going, now = services.supervisor.present(), services.clock.now()
    seen = readable(request, services)
    items = await asyncio.to_thread(overview.of_all, services.store, now, seen, going)
    return {"items": items, "total": len(items)}


HANDLERS = [see_all]
