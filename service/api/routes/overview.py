"""The route of the overview: all pipelines at a glance, for a page that shows each."""

from __future__ import annotations

import asyncio
import functools
from typing import Annotated, Any

import msgspec

from service.api import access, examples, query_string
from service.api.query_string import about
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get
from service.api.services import ServicesDependency, TypedRequest
from service.catalog import overview
from service.model.overview import PipelineGlance

_GLANCE = {
    "name": "orders", "description": "Orders of the shop", "revision": 1, "owner": "ann", "visibility": "shared",
    "status": "completed", "cron": "0 6 * * *", "timezone": "UTC", "after": [], "paused": False,
    "next_run": examples.THEN, "late_since": None, "last_success": examples.AT, "version": 3, "rows": 990,
    "bytes": 54702, "version_created": examples.AT,
    "recent_runs": [
        {"run_id": examples.RUN_ID, "status": "completed", "start_time": examples.AT, "end_time": examples.THEN,
         "duration": 2.5, "error": None, "label": None, "waiting_for": None}
    ],
    "recent_rows": [990, 980, 975],
}  # fmt: skip


class OverviewQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which pipelines to show."""

    pipelines: Annotated[str, about("Only these, by commas; names that there are not are left out.")] | None = None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The pipelines by name. ``last_event_id`` is where ``GET /events`` goes on from this state."""

    items: list[PipelineGlance]
    total: int
    last_event_id: str


@get(
    "/overview",
    **route(
        "viewer",
        "Pipelines",
        "See all pipelines",
        "All pipelines by name in one answer, each with its newest runs and versions, its schedule and whether its "
        "data are older than the schedule promises. Who follows `GET /events` asks for those that changed.",
        ResponseDoc(
            text="The pipelines.",
            kind=Overview,
            example={"items": [_GLANCE], "total": 1, "last_event_id": "00000000-0-8"},
        ),
        query=OverviewQuery,
    ),
)
async def see_all(request: TypedRequest, services: ServicesDependency) -> dict[str, Any]:
    wanted = query_string.read(request, OverviewQuery).pipelines
    going, now = services.supervisor.present(), services.clock.now()
    seen, filtered = access.readable(request, services), access.filtered(request, services)
    if wanted is not None:
        names = frozenset(wanted.split(","))
        seen = names if seen is None else seen & names
    read = functools.partial(overview.of_all, services.store, now, seen, going, filtered)
    position, items = await asyncio.to_thread(lambda: (services.changes.position(), read()))
    return {"items": items, "total": len(items), "last_event_id": str(position)}


HANDLERS = [see_all]
