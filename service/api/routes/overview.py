"""The route of the overview: all pipelines at a glance, for a page that shows each."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from litestar import Response

from service.api import access, examples, query_string
from service.api.answer_cache import AnswerCacheDependency
from service.api.query_string import about
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get
from service.api.services import ServicesDependency, TypedRequest
from service.catalog import overview
from service.model.overview import PipelineGlance

_KEPT_SECONDS = 10
"""Where nothing changes an answer differs only in what is late by now."""
_GLANCE = {
    "name": "orders", "description": "Orders of the shop", "revision": 1, "owner": "ann", "visibility": "shared",
    "status": "completed", "cron": "0 6 * * *", "timezone": "UTC", "after": [], "paused": False,
    "next_run": examples.THEN, "late_since": None, "last_success": examples.AT, "version": 3, "rows": 990,
    "bytes": 54702, "version_created": examples.AT,
    "recent_runs": [
        {"run_id": examples.RUN_ID, "status": "completed", "start_time": examples.AT, "end_time": examples.THEN,
         "duration": 2.5, "error": None}
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
async def see_all(
    request: TypedRequest, services: ServicesDependency, answers: AnswerCacheDependency
) -> Response[bytes]:
    wanted = query_string.read(request, OverviewQuery).pipelines
    going, now = services.supervisor.present(), services.clock.now()
    seen, filtered = access.readable(request, services), access.filtered(request, services)
    if wanted is not None:
        names = frozenset(wanted.split(","))
        seen = names if seen is None else seen & names

    position = await asyncio.to_thread(services.changes.position)
    key = "overview", position, seen, frozenset(filtered)
    kept = not going and wanted is None  # a key with names that somebody made up would be kept, too
    if kept and (known := answers.get(key)) is not None:
        return Response(known[0].content, media_type="application/json")

    def read() -> bytes:
        items = overview.of_all(services.store, now, seen, going, filtered)
        return msgspec.json.encode(Overview(items=items, total=len(items), last_event_id=str(position)))

    content = await asyncio.to_thread(read)
    if kept:
        answers.put(key, content, None, _KEPT_SECONDS)
    return Response(content, media_type="application/json")


HANDLERS = [see_all]
