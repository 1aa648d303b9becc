"""The route of a configuration's history: who saved which revision, and when."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar.params import FromPath

from service.api import examples, query_string
from service.api.path_lookup import find_pipeline
from service.api.query_string import PageRequest
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get
from service.api.services import ServicesDependency, TypedRequest
from service.catalog.pipelines import RevisionLine

_LINE = {"revision": 2, "created": examples.AT, "created_by": "ann"}


@get(
    "/pipeline/{name:str}/revisions",
    **route(
        "viewer",
        "Pipelines",
        "List the revisions of a configuration",
        "Lists when each revision was saved and by whom (null if that is not known), newest first. `GET …/config` with "
        "`revision` answers the document of one.",
        ResponseDoc(text="A page.", kind=list[RevisionLine], example=examples.page(_LINE)),
        errors=("PIPELINE_NOT_FOUND",),
        query=PageRequest,
        filters_rows=True,  # it has no rows
    ),
)
async def list_revisions(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> dict[str, Any]:
    page = query_string.read(request, PageRequest)
    record = await find_pipeline(services, name)
    found = await asyncio.to_thread(
        services.pipelines.revisions, record.id, newest=record.revision, limit=page.limit, offset=page.offset
    )
    return query_string.page_of(found, record.revision, page)


HANDLERS = [list_revisions]
