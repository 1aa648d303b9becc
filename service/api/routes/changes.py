"""The route that tells what changes in the installation, for pages that show many pipelines and their runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import msgspec

from service.api import access, query_string, standing
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get
from service.api.services import Services, ServicesDependency, TypedRequest
from service.api.streaming import Relay
from service.api.streams import StreamsDependency
from service.catalog.changes import Change
from service.runs.change_feed import Batch, Position

_QUIET_SECONDS = 15.0  # proxies close a connection that is silent for longer
_CHANGE = '{"pipeline": "orders", "changed": ["runs"], "deleted": false, "run_id": "run_1", "status": "running"}'


@get(
    "/events",
    **route(
        "viewer",
        "Pipelines",
        "Follow all pipelines",
        "Server-sent events, without an end. First `begin`: if `missed` is true there may be changes that are not "
        "told, and a client that shows pipelines reads them again. Then `changed`, at most four times a second, with "
        "the pipelines that changed and what of each: `pipeline` (configuration, owner or visibility), `schedule`, "
        "`runs`, `versions`. A pipeline that the caller does not see any more is `deleted`. With Last-Event-ID "
        "nothing is missed between that event, or the overview that answered it as `last_event_id`, and now.",
        ResponseDoc(
            text="The events.",
            example='id: 5f1c20aa-0-8\nevent: begin\ndata: {"missed": false}\n\nid: 5f1c20aa-1-9\nevent: changed\n'
            f'data: {{"changes": [{_CHANGE}]}}\n\n',
            media=("text/event-stream",),
        ),
        errors=("OVERLOADED", "RATE_LIMITED"),
        headers={"Last-Event-ID": "The last event that the client received, or `last_event_id` of an overview."},
    ),
)
async def follow_all(request: TypedRequest, services: ServicesDependency, streams: StreamsDependency) -> Relay:
    query_string.read(request, query_string.NoParameters)
    last = request.headers.get("last-event-id", "").strip()
    batches = services.changes.follow(Position.parse(last) if last else None, _QUIET_SECONDS)
    try:
        first = await anext(batches)
        events = streams.counted(request, _server_sent(request, services, first, batches))
    except BaseException:
        await batches.aclose()
        raise
    return Relay(events, media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _server_sent(
    request: TypedRequest, services: Services, first: Batch, batches: AsyncGenerator[Batch, None]
) -> AsyncGenerator[bytes, None]:
    """Changes of pipelines that the caller sees, or saw until the change, while the caller may read them."""
    async with contextlib.aclosing(batches):
        yield _frame("begin", first, {"missed": first.missed})
        async for batch in batches:
            if not await standing.lasts(request):
                return
            if batch.missed:
                yield _frame("begin", batch, {"missed": True})
                continue
            shown = await _shown(request, services, batch)
            yield _frame("changed", batch, {"changes": shown}) if shown else b": still here\n\n"


async def _shown(request: TypedRequest, services: Services, batch: Batch) -> list[Change]:
    """The changes that are the caller's business. Who saw a pipeline and does not any more hears that it has gone."""
    if not services.ownership.is_current:
        await asyncio.to_thread(services.ownership.refresh)
    rights, readable = access.rights_of(request), access.readable(request, services)
    shown = []
    for one in batch.changes:
        if readable is None or one.pipeline in readable:
            shown.append(one)
        elif any(rights.sees(owner, visibility, one.pipeline) for owner, visibility in batch.audiences[one.pipeline]):
            shown.append(Change(pipeline=one.pipeline, changed=["pipeline"], deleted=True))
    return shown


def _frame(kind: str, batch: Batch, data: object) -> bytes:
    return f"id: {batch.position}\nevent: {kind}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"


HANDLERS = [follow_all]
