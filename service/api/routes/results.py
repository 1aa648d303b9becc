"""Results: the rows of a version, its schema, and the versions that there are."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.params import FromPath

from service.api import etags, examples, query_string, responses, streaming
from service.api.path_lookup import find_pipeline, find_version, named_version
from service.api.query_string import EscapeFormulas, Format, Offset, PageRequest, VersionChoice, about
from service.api.repeatable import is_repeatable
from service.api.route_docs import ResponseDoc, route
from service.api.services import EngineAnswer, Services, ServicesDependency, TypedRequest
from service.api.version_cache import SchemaCacheDependency
from service.kit.codes import Code
from service.model.answers import DataPage, TableSchema
from service.model.formats import MEDIA_TYPES
from service.model.version import Version

_NONE: tuple[Code, ...] = ("PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA")


class DataQuery(query_string.NoParameters, frozen=True, kw_only=True):
    """Which rows, in which format."""

    version: VersionChoice | None = None
    columns: Annotated[str, about("Only these columns, in this order: `a,b`.")] | None = None
    filter: Annotated[str, about("A SQL condition over the columns: `price > 10 AND city = 'Bern'`.")] | None = None
    sort: Annotated[str, about("Columns to sort by, `-` for descending: `city,-price`.")] | None = None
    limit: Annotated[int, about("Rows at most; JSON: 1000 by default, 100000 at most.", ge=0, le=2**53)] | None = None
    offset: Offset = 0
    format: Format | None = None
    escape_formulas: EscapeFormulas = True


class VersionQuery(query_string.NoParameters, frozen=True, kw_only=True):
    """Which version."""

    version: VersionChoice | None = None


@get(
    "/pipeline/{name:str}/data",
    **route(
        "viewer",
        "Results",
        "Read rows",
        "Answers the rows of the newest version, or of `version`, in stored order unless `sort` is given. JSON is a "
        "page; ndjson, csv, arrow and parquet stream all rows up to `limit`.",
        ResponseDoc(
            text="The rows.",
            kind=DataPage,
            example=examples.DATA,
            media=MEDIA_TYPES,
            headers={"ETag": "The version and the query; absent if `filter` depends on time or chance."},
        ),
        etags.NOT_MODIFIED,
        errors=(*_NONE, "QUERY_TIMEOUT", "QUERY_TOO_LARGE", "NOT_ACCEPTABLE", "OVERLOADED"),
        query=DataQuery,
        headers=etags.REQUEST_HEADERS,
    ),
)
async def read_data(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[Any]:
    query = query_string.read(request, DataQuery)
    form = streaming.format_of(request, query.format)
    version = await find_version(services, name, query.version)
    headers = {"cache-control": "private, no-cache", "vary": "Accept"}
    if is_repeatable(query.filter):
        headers |= etags.headers(etags.of(version, "data", msgspec.structs.replace(query, version=None, format=form)))
        if etags.match(request, headers["etag"]) == "any":  # the request may be new, so it may be invalid
            await _rows(services, version, msgspec.structs.replace(query, limit=0), "json")
        if (unchanged := etags.not_modified(request, headers)) is not None:
            return unchanged
    answer = await _rows(services, version, query, form)
    return streaming.respond(answer, f"{name}-v{version.version}", form, headers)


async def _rows(services: Services, version: Version, query: DataQuery, form: str) -> EngineAnswer:
    return await services.engine.data(
        await services.source_of(version),
        columns=[c.strip() for c in query.columns.split(",")] if query.columns else None,
        filter=query.filter,
        sort=query.sort,
        limit=query.limit,
        offset=query.offset,
        format=form,
        escape_formulas=query.escape_formulas,
    )


@get(
    "/pipeline/{name:str}/schema",
    **route(
        "viewer",
        "Results",
        "Read the schema",
        "Answers the columns with their types and statistics, five rows, and where the version is stored; from "
        "DuckDB's introspection.",
        ResponseDoc(text="The schema.", kind=TableSchema, example=examples.SCHEMA, headers=etags.RESPONSE_HEADERS),
        etags.NOT_MODIFIED,
        errors=(*_NONE, "QUERY_TIMEOUT", "OVERLOADED"),
        query=VersionQuery,
        headers=etags.REQUEST_HEADERS,
    ),
)
async def read_schema(
    request: TypedRequest, services: ServicesDependency, schemas: SchemaCacheDependency, name: FromPath[str]
) -> Response[Any]:
    version = await find_version(services, name, query_string.read(request, VersionQuery).version)
    headers = etags.headers(etags.of(version, "schema", version.native))  # the native form appears later
    if (unchanged := etags.not_modified(request, headers)) is not None:
        return unchanged
    return Response(await schemas.get(version), media_type="application/json", headers=headers)


@get(
    "/pipeline/{name:str}/versions",
    **route(
        "viewer",
        "Results",
        "List versions",
        "Lists the versions, newest first, each with the differences of its columns from the published version before. "
        "Those whose `state` is `held` wait to be accepted or rejected.",
        ResponseDoc(text="A page.", kind=list[responses.VersionView], example=examples.page(examples.VERSION)),
        errors=("PIPELINE_NOT_FOUND",),
        query=PageRequest,
    ),
)
async def list_versions(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> dict[str, Any]:
    page = query_string.read(request, PageRequest)
    record = await find_pipeline(services, name)
    found, total = await asyncio.to_thread(services.history.versions, record.id, limit=page.limit, offset=page.offset)
    marks = await asyncio.to_thread(services.marks.of, record.id)
    older = await asyncio.to_thread(services.history.earlier, record.id, found[-1]) if found else None
    return query_string.page_of(responses.versions(found, older, marks), total, page)


@get(
    "/pipeline/{name:str}/versions/{number:str}",
    **route(
        "viewer",
        "Results",
        "Read a version",
        "Answers one version, with the differences of its columns from the published version before.",
        ResponseDoc(
            text="The version.", kind=responses.VersionView, example=examples.VERSION, headers=etags.RESPONSE_HEADERS
        ),
        etags.NOT_MODIFIED,
        errors=_NONE,
        headers=etags.REQUEST_HEADERS,
    ),
)
async def read_version(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str], number: FromPath[str]
) -> Response[Any]:
    query_string.read(request, query_string.NoParameters)
    version = await find_version(services, name, named_version(number, name))
    shown, before = await view_version(services, version)
    headers = etags.headers(etags.of(version, "version", before, shown.pinned, shown.tags, shown.state))
    return etags.not_modified(request, headers) or Response(shown, headers=headers)


async def view_version(services: Services, version: Version) -> tuple[responses.VersionView, str | None]:
    """The answer about a version, and the id of the run that made the version before it."""
    record = await find_pipeline(services, version.pipeline)
    before = await asyncio.to_thread(services.history.earlier, record.id, version)
    marks = await asyncio.to_thread(services.marks.of, record.id)
    view = responses.version(version, before, marks.get(version.version))
    return view, before.run_id if before is not None else None


HANDLERS = [read_data, read_schema, list_versions, read_version]
