"""Routes of what happens by itself: schedules are listed, paused and resumed; messages to hooks are listed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from litestar.params import FromPath

from service.api import audit_actions, examples, query_string, request_body, responses
from service.api.access import readable
from service.api.path_lookup import find_pipeline
from service.api.query_string import PageRequest
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get, post
from service.api.services import Services, ServicesDependency, TypedRequest
from service.model.hook import Delivery
from service.model.schedule import ScheduleState

_PAUSED = {**examples.SCHEDULE, "paused": True, "next_fire": None}


@get(
    "/schedules",
    **route(
        "viewer",
        "Pipelines",
        "List schedules",
        "Lists the pipelines that have a schedule, by name, paused ones too, with the last and the next time that "
        "fires.",
        ResponseDoc(text="A page.", kind=list[responses.ScheduleView], example=examples.page(examples.SCHEDULE)),
        query=PageRequest,
    ),
)
async def list_schedules(request: TypedRequest, services: ServicesDependency) -> dict[str, Any]:
    page = query_string.read(request, PageRequest)
    stored, now, seen = (
        await asyncio.to_thread(services.schedules.all),
        services.clock.now(),
        readable(request, services),
    )
    states = [state for state in stored if seen is None or state.name in seen]
    shown = [responses.schedule(state, now) for state in states[page.offset : page.offset + page.limit]]
    return query_string.page_of(shown, len(states), page)


@post(
    "/pipeline/{name:str}/schedule/pause",
    **route(
        "operator",
        "Pipelines",
        "Pause a schedule",
        "The schedule does not fire until it is resumed, also after a restart of the service or a change of the "
        "configuration. A run in progress continues.",
        ResponseDoc(text="The schedule.", kind=responses.ScheduleView, example=_PAUSED),
        errors=("PIPELINE_NOT_FOUND", "NOT_FOUND"),
        action=audit_actions.PAUSE,
    ),
)
async def pause_schedule(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str]
) -> responses.ScheduleView:
    return await _change(request, services, name, services.schedules.pause)


@post(
    "/pipeline/{name:str}/schedule/resume",
    **route(
        "operator",
        "Pipelines",
        "Resume a schedule",
        "The schedule fires again from now on; times of the pause are not made up for.",
        ResponseDoc(text="The schedule.", kind=responses.ScheduleView, example=examples.SCHEDULE),
        errors=("PIPELINE_NOT_FOUND", "NOT_FOUND"),
        action=audit_actions.RESUME,
    ),
)
async def resume_schedule(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str]
) -> responses.ScheduleView:
    return await _change(request, services, name, services.schedules.resume)


@get(
    "/pipeline/{name:str}/notifications",
    **route(
        "viewer",
        "Pipelines",
        "List messages to hooks",
        "Lists the messages about ended runs that `notify` asks for, newest first: whether the hook has accepted each, "
        "how often it was tried, the error of the last try, and when it is tried again.",
        ResponseDoc(text="A page.", kind=list[Delivery], example=examples.page(examples.DELIVERY)),
        errors=("PIPELINE_NOT_FOUND",),
        query=PageRequest,
    ),
)
async def list_notifications(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str]
) -> dict[str, Any]:
    page = query_string.read(request, PageRequest)
    record = await find_pipeline(services, name)
    found, total = await asyncio.to_thread(services.deliveries.of, record.id, limit=page.limit, offset=page.offset)
    return query_string.page_of(found, total, page)


async def _change(
    request: TypedRequest, services: Services, name: str, change: Callable[[str], ScheduleState]
) -> responses.ScheduleView:
    query_string.read(request, query_string.NoParameters)
    await request_body.refuse(request, services.settings.max_body_bytes)
    record = await find_pipeline(services, name)
    state = await asyncio.to_thread(change, record.name)
    return responses.schedule(state, services.clock.now())


HANDLERS = [list_schedules, pause_schedule, resume_schedule, list_notifications]
