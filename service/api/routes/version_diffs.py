"""The route that compares two versions."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from litestar import Response
from litestar.params import FromPath

from service.api import disconnects, etags, examples, html_pages, query_string
from service.api.path_lookup import find_pipeline, find_version, named_version
from service.api.query_string import about
from service.api.route_docs import JSON, ResponseDoc, route
from service.api.route_handler import get
from service.api.services import Services, ServicesDependency, TypedRequest
from service.model.version import Version
from service.model.version_diff import VersionDiff
from service.runs import version_comparison


class DiffQuery(query_string.NoParameters, frozen=True, kw_only=True):
    """What to compare with, and how."""

    against: (
        Annotated[
            str,
            about(
                "The version to compare with, by number or tag; the published one before by default.", examples=["2"]
            ),
        ]
        | None
    ) = None
    key: (
        Annotated[str, about("The columns that identify a row, as `a,b`; by default the primary key.", max_length=4096)]
        | None
    ) = None
    limit: Annotated[int, about("Rows of each kind to show.", ge=0, le=version_comparison.MOST_ROWS)] = 20


@get(
    "/pipeline/{name:str}/versions/{number:str}/diff",
    **route(
        "viewer",
        "Results",
        "Compare two versions",
        "Counts the rows that were added, removed and changed since another version, measures each column in both, and "
        "shows the first rows of each kind. Rows are matched by `key`, by default the storage's `primary_key` "
        "or `key`; without one, equal rows are paired, each as often as both versions have it. Null equals null, NaN "
        "equals NaN, -0.0 equals 0.0. A column of two types is compared by value if no digit can get lost; a column of "
        "one version does not change a row. Several rows with one key: 409, with their number. As HTML it is a page "
        "that loads nothing else.",
        ResponseDoc(text="The differences.", kind=VersionDiff, example=examples.DIFF, headers=etags.RESPONSE_HEADERS,
                    media=(JSON, html_pages.HTML)),
        etags.NOT_MODIFIED,
        errors=("PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA", "CONFLICT", "DATA_CORRUPT", "QUERY_TIMEOUT",
                "REQUEST_OUT_OF_MEMORY", "OVERLOADED", "STORAGE_FULL"),
        query=DiffQuery,
        headers=etags.REQUEST_HEADERS,
    ),
)  # fmt: skip
async def read_diff(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str], number: FromPath[str]
) -> Response[Any]:
    query = query_string.read(request, DiffQuery)
    key = version_comparison.key_columns(query.key) if query.key is not None else None
    after = await find_version(services, name, named_version(number, name))
    before = await _earlier(services, after, query.against)
    page = html_pages.wanted(request)
    headers = {**etags.headers(etags.of(after, "diff", before.run_id, key, query.limit, page)), **html_pages.VARY}
    if (same := etags.not_modified(request, headers)) is not None:
        return same
    answer = await disconnects.unless_gone(request.receive, _compare(services, before, after, key, query.limit))
    if page:
        return await html_pages.answer("diff", json.loads(answer), headers)
    return Response(answer, media_type=JSON, headers=headers)


async def _earlier(services: Services, version: Version, against: str | None) -> Version:
    if against is not None:
        return await find_version(services, version.pipeline, against, "against")
    record = await find_pipeline(services, version.pipeline)
    return await asyncio.to_thread(services.history.version_before, record.id, version)


async def _compare(services: Services, before: Version, after: Version, key: list[str] | None, limit: int) -> bytes:
    for version in (before, after):
        await services.source_of(version)  # checks its files
    revisions = [await find_pipeline(services, v.pipeline, v.revision) for v in (before, after)]
    documents = (revisions[0].document, revisions[1].document)
    task = version_comparison.comparing(services.layout, before, after, documents, key=key, limit=limit)
    stored = version_comparison.readable(task)
    return await services.tasks.ask(task, seconds=version_comparison.SECONDS, stored=stored)


HANDLERS = [read_diff]
