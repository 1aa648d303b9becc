"""Routes of runs: the runs of a pipeline, one run, its events, its log, and cancelling it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Annotated, Any

from litestar import Response
from litestar.params import FromPath

from service.api import audit_actions, examples, html_pages, query_string, request_body, responses, standing
from service.api.path_lookup import find_pipeline
from service.api.query_string import PageRequest, about
from service.api.route_docs import JSON, ResponseDoc, route
from service.api.route_handler import get, post
from service.api.services import ServicesDependency, TypedRequest
from service.api.streaming import Relay
from service.api.streams import StreamsDependency
from service.files.event_journal import Event
from service.kit import errors
from service.model.formats import FORMATS
from service.model.lifecycle import Status
from service.model.run import Run

_QUIET_SECONDS = 15.0  # proxies close a connection that is silent for longer
_NDJSON = FORMATS["ndjson"].media_type


class RunsQuery(PageRequest, frozen=True, kw_only=True):
    """Which runs to list."""

    status: Annotated[Status, about("Only runs with this status.")] | None = None


@get(
    "/pipeline/{name:str}/runs",
    **route(
        "viewer",
        "Runs",
        "List a pipeline's runs",
        "Lists the runs of a pipeline, newest first.",
        ResponseDoc(text="A page.", kind=list[Run], example=examples.page(examples.RUN)),
        errors=("PIPELINE_NOT_FOUND",),
        query=RunsQuery,
    ),
)
async def list_runs(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> dict[str, Any]:
    page = query_string.read(request, RunsQuery)
    record = await find_pipeline(services, name)
    found, total = await services.supervisor.runs(record.id, limit=page.limit, offset=page.offset, status=page.status)
    return query_string.page_of([responses.run(r) for r in found], total, page)


@get(
    "/runs/{run_id:str}",
    **route(
        "viewer",
        "Runs",
        "Read a run",
        "Answers the run in its present state; as HTML it is a page that loads nothing else.",
        ResponseDoc(text="The run.", kind=Run, example=examples.RUN, media=(JSON, html_pages.HTML)),
        errors=("RUN_NOT_FOUND",),
    ),
)
async def read_run(request: TypedRequest, services: ServicesDependency, run_id: FromPath[str]) -> Response[Any]:
    query_string.read(request, query_string.NoParameters)
    found = responses.run(await services.supervisor.run(run_id))
    if html_pages.wanted(request):
        return await html_pages.answer("run", found, {})
    return Response(found, headers=html_pages.VARY)


@post(
    "/runs/{run_id:str}/cancel",
    **route(
        "operator",
        "Runs",
        "Cancel a run",
        "The run is `cancelled` within 2 s and nothing of it is stored. A run that has ended does not change.",
        ResponseDoc(
            status=202, text="The run in its present state.", kind=Run, example={**examples.RUN, "status": "cancelled"}
        ),
        errors=("RUN_NOT_FOUND",),
        action=audit_actions.CANCEL,
    ),
)
async def cancel_run(request: TypedRequest, services: ServicesDependency, run_id: FromPath[str]) -> dict[str, Any]:
    query_string.read(request, query_string.NoParameters)
    await request_body.refuse(request, services.settings.max_body_bytes)
    return responses.run(await services.supervisor.cancel(run_id))


@get(
    "/runs/{run_id:str}/events",
    **route(
        "viewer",
        "Runs",
        "Follow a run",
        "Server-sent events `status`, `progress`, `log` and `end`, from the first one or after Last-Event-ID. The "
        "stream ends with the run.",
        ResponseDoc(
            text="The events.",
            example='id: 1\nevent: status\ndata: {"status": "running"}\n\n',
            media=("text/event-stream",),
        ),
        errors=("RUN_NOT_FOUND",),
        headers={"Last-Event-ID": "The last event that the client received."},
    ),
)
async def follow(
    request: TypedRequest, services: ServicesDependency, streams: StreamsDependency, run_id: FromPath[str]
) -> Relay:
    query_string.read(request, query_string.NoParameters)
    after = _last_event(request.headers.get("last-event-id"))
    await services.supervisor.run(run_id)  # an unknown run is a 404, not an empty stream
    events = services.supervisor.events(run_id, after, _QUIET_SECONDS)
    parts = streams.counted(request, _server_sent(request, events))
    return Relay(parts, media_type="text/event-stream", headers={"cache-control": "no-store"})


def _last_event(text: str | None) -> int:
    if text is None or not text.strip():
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise errors.Invalid("Last-Event-ID: the number of an event", field="Last-Event-ID")
    return int(text)


async def _server_sent(
    request: TypedRequest, events: AsyncGenerator[Sequence[Event], None]
) -> AsyncGenerator[bytes, None]:
    """Events as server-sent events, with a comment for each quiet time, while the caller may read them."""
    async with contextlib.aclosing(events) as batches:
        async for batch in batches:
            if not await standing.lasts(request):
                return
            frames = [b"id: %d\nevent: %s\ndata: %s\n\n" % (id_, kind.encode(), data) for id_, kind, data in batch]
            yield b"".join(frames) or b": still here\n\n"


@get(
    "/runs/{run_id:str}/logs",
    **route(
        "viewer",
        "Runs",
        "Read a run's log",
        "The log lines of the run so far, one JSON object per line.",
        ResponseDoc(
            text="The lines.",
            example='{"time": "2026-01-01T06:00:00Z", "level": "info", "event": "run.started"}\n',
            media=(_NDJSON,),
        ),
        errors=("RUN_NOT_FOUND",),
    ),
)
async def read_log(request: TypedRequest, services: ServicesDependency, run_id: FromPath[str]) -> Response[Any]:
    query_string.read(request, query_string.NoParameters)
    await services.supervisor.run(run_id)  # an unknown run is a 404, not an empty log
    lines = services.supervisor.log_lines(run_id)
    return Relay(_blocks(lines), media_type=_NDJSON)


async def _blocks(parts: AsyncGenerator[Sequence[bytes], None]) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(parts) as found:
        async for lines in found:
            yield b"".join(line + b"\n" for line in lines)


HANDLERS = [list_runs, read_run, cancel_run, follow, read_log]
