"""The route that tells what changes in the installation, for pages that show many pipelines and their runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from service.api import access, query_string, standing
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get
from service.api.services import Services, ServicesDependency, TypedRequest
from service.api.streaming import Relay
from service.catalog.changes import Change
from service.model.rights import Readable
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
        "`runs`, `versions`. With Last-Event-ID nothing is missed between that event, or the overview that answered "
        "it as `last_event_id`, and now.",
        ResponseDoc(
            text="The events.",
            example='id: 5f1c20aa-0-8\nevent: begin\ndata: {"missed": false}\n\nid: 5f1c20aa-1-9\nevent: changed\n'
            f'data: {{"changes": [{_CHANGE}]}}\n\n',
            media=("text/event-stream",),
        ),
        errors=("OVERLOADED",),
        headers={"Last-Event-ID": "The last event that the client received, or `last_event_id` of an overview."},
    ),
)
async def follow_all(request: TypedRequest, services: ServicesDependency) -> Relay:
    query_string.read(request, query_string.NoParameters)
    last = request.headers.get("last-event-id", "").strip()
    batches = services.changes.follow(Position.parse(last) if last else None, _QUIET_SECONDS)
    try:
        first = await anext(batches)
    except BaseException:
        await batches.aclose()
        raise
    events = _server_sent(request, services, first, batches)
    return Relay(events, media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _server_sent(
    request: TypedRequest, services: Services, first: Batch, batches: AsyncGenerator[Batch, None]
) -> AsyncIterator[bytes]:
    """Changes of pipelines that the caller sees, or saw until the change, while the caller may read them."""
    async with contextlib.aclosing(batches):
        yield _frame("begin", first, {"missed": first.missed})
        seen = await _readable(request, services)
        async for batch in batches:
            if not await standing.lasts(request):
                return
            before, seen = seen, await _readable(request, services)
            shown = [one for one in batch.changes if _is_in(one, seen) or _is_in(one, before)]
            if batch.missed:
                yield _frame("begin", batch, {"missed": True})
            else:
                yield _frame("changed", batch, {"changes": shown}) if shown else b": still here\n\n"


async def _readable(request: TypedRequest, services: Services) -> Readable:
    if not services.ownership.is_current:
        await asyncio.to_thread(services.ownership.refresh)
    return access.readable(request, services)


def _is_in(change: Change, readable: Readable) -> bool:
    return readable is None or change.pipeline in readable


def _frame(kind: str, batch: Batch, data: object) -> bytes:
    return f"id: {batch.position}\nevent: {kind}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"


HANDLERS = [follow_all]
