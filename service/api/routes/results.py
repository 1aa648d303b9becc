"""Results: the rows of a version, its schema, and the versions that there are."""

from __future__ import annotations

import asyncio
import functools
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.params import FromPath

from service.api import (
    access,
    audit_actions,
    cursors,
    etags,
    examples,
    html_pages,
    query_string,
    responses,
    rows,
    stored_file,
    streaming,
)
from service.api.answer_cache import AnswerCacheDependency
from service.api.cursors import RowsQuery
from service.api.path_lookup import find_pipeline, find_version, named_version
from service.api.query_string import PageRequest, VersionChoice, about
from service.api.route_docs import JSON, ResponseDoc, route
from service.api.route_handler import get
from service.api.services import EngineAnswer, Services, ServicesDependency, TypedRequest
from service.api.version_cache import SchemaCacheDependency
from service.kit.codes import Code
from service.model.answers import DataPage, TableSchema
from service.model.formats import FORMATS, MEDIA_TYPES, SCHEMA_FORMATS
from service.model.version import Version
from service.query.repeatable import is_repeatable
from service.query.scope import Scope

_KEPT_SECONDS = 3600
_NONE: tuple[Code, ...] = ("PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA")


class DataQuery(RowsQuery, frozen=True, kw_only=True):
    """Which rows, in which format."""

    columns: Annotated[str, about("Only these columns, in this order: `a,b`.")] | None = None
    filter: Annotated[str, about("A SQL condition over the columns: `price > 10 AND city = 'Bern'`.")] | None = None
    sort: Annotated[str, about("Columns to sort by, `-` for descending: `city,-price`.")] | None = None


class SchemaQuery(query_string.NoParameters, frozen=True, kw_only=True):
    """Which version, in which format."""

    version: VersionChoice | None = None
    format: Annotated[str, about("json, json-schema, sql, arrow or avro; wins over Accept.", max_length=40)] | None = (
        None
    )


@get(
    "/pipeline/{name:str}/data",
    **route(
        "viewer",
        "Results",
        "Read rows",
        "Answers the rows of the newest version, or of `version`, in stored order unless `sort` is given. JSON is a "
        "page; ndjson, csv, arrow and parquet stream all rows up to `limit`. `next` of a page, or the `Link` of any "
        "answer that `limit` cuts, leads on in the same version, also when newer ones are there. All rows as parquet "
        "of a version of one file can be read by ranges.",
        ResponseDoc(
            text="The rows.",
            kind=DataPage,
            example=examples.DATA,
            media=MEDIA_TYPES,
            headers={
                "ETag": "The version and the query; absent if `filter` depends on time or chance.",
                "Accept-Ranges": "`bytes`, if ranges of the answer can be read.",
                **cursors.HEADERS,
            },
        ),
        ResponseDoc(
            status=206,
            text="A range of the Parquet file.",
            media=(FORMATS["parquet"].media_type,),
            headers={"Content-Range": "Which bytes of how many these are."},
        ),
        etags.NOT_MODIFIED,
        errors=(*_NONE, "QUERY_TIMEOUT", "QUERY_TOO_LARGE", "NOT_ACCEPTABLE", "RANGE_NOT_SATISFIABLE", "OVERLOADED"),
        query=DataQuery,
        headers={
            **etags.REQUEST_HEADERS,
            "Range": "One range of bytes (`bytes=0-1023`) of a Parquet file.",
            "If-Range": "The ETag of the file that the range is of; another file is answered whole.",
        },
        action=audit_actions.READ_ROWS,
        filters_rows=True,
    ),
)
async def read_data(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[Any]:
    asked = query_string.read(request, DataQuery)
    form = streaming.format_of(request, asked.format)
    version, query = await cursors.resolve(request, services, name, asked)
    scope = access.scope(request, services)
    file = f"{name}-v{version.version}"
    headers = {"cache-control": "private, no-cache", "vary": "Accept"}
    if is_repeatable(query.filter) and scope.is_repeatable:
        asked = msgspec.structs.replace(query, version=None, format=form)
        headers |= etags.headers(etags.of(version, "data", asked, *scope.row_filters))
        if etags.match(request, headers["etag"]) == "any":  # the request may be new, so it may be invalid
            checked = query if form == "json" else msgspec.structs.replace(query, limit=0)
            await _rows(services, scope, version, checked, "json")
        if (unchanged := etags.not_modified(request, headers)) is not None:
            return unchanged
    sees_all = not scope.filters(version.pipeline)
    if form == "parquet" and sees_all and _is_stored_file(version, query):
        await services.source_of(version)  # checks the file
        path = services.layout.version(name, version.version) / version.files[0].name
        return await stored_file.respond(request, path, file, headers)
    read = functools.partial(_rows, services, scope, version)
    return await rows.respond(
        request,
        services,
        version,
        query,
        form,
        read,
        rows=version.rows if sees_all else None,
        name=file,
        headers=headers,
    )


def _is_stored_file(version: Version, query: DataQuery) -> bool:
    """Whether a Parquet answer is the one file of the version; 128 bits are written in another way than stored."""
    parts = (query.columns, query.filter, query.sort, query.limit)
    whole = not query.offset and all(part is None for part in parts)
    return whole and len(version.files) == 1 and not any("Int128" in column.type for column in version.columns)


async def _rows(services: Services, scope: Scope, version: Version, query: DataQuery, form: str) -> EngineAnswer:
    options: dict[str, Any] = {
        "columns": [c.strip() for c in query.columns.split(",")] if query.columns else None, "filter": query.filter,
        "sort": query.sort, "limit": query.limit, "offset": query.offset, "format": form,
        "escape_formulas": query.escape_formulas, "scope": scope,
    }  # fmt: skip
    if services.first_rows is not None and (found := await services.first_rows(version, **options)) is not None:
        return found
    return await services.engine.data(await services.source_of(version), **options)


@get(
    "/pipeline/{name:str}/schema",
    **route(
        "viewer",
        "Results",
        "Read the schema",
        "Answers the columns with their types and statistics, five rows, and where the version is stored; from "
        "DuckDB's introspection. In other formats it is the schema alone: of a record of JSON or NDJSON "
        "(`json-schema`, 2020-12), as `CREATE TABLE` of DuckDB (`sql`), of an Arrow stream (`arrow`), of an Avro "
        "record (`avro`). A column is nullable if the version has a missing value in it.",
        ResponseDoc(
            text="The schema.",
            kind=TableSchema,
            example=examples.SCHEMA,
            headers=etags.RESPONSE_HEADERS,
            media=tuple(form.media_type for form in SCHEMA_FORMATS.values()),
        ),
        etags.NOT_MODIFIED,
        errors=(*_NONE, "QUERY_TIMEOUT", "NOT_ACCEPTABLE", "OVERLOADED"),
        query=SchemaQuery,
        headers=etags.REQUEST_HEADERS,
        filters_rows=True,
    ),
)
async def read_schema(
    request: TypedRequest, services: ServicesDependency, schemas: SchemaCacheDependency, name: FromPath[str]
) -> Response[Any]:
    query = query_string.read(request, SchemaQuery)
    form = streaming.format_of(request, query.format, SCHEMA_FORMATS)
    version = await find_version(services, name, query.version)
    scope = access.scope(request, services)
    tag = etags.of(version, "schema", form, version.native, *scope.row_filters)  # the native form appears later
    headers = {**(etags.headers(tag) if scope.is_repeatable else {}), "vary": "Accept"}
    if scope.is_repeatable and (unchanged := etags.not_modified(request, headers)) is not None:
        return unchanged
    if form != "json":
        ending = SCHEMA_FORMATS[form].ending
        headers["content-disposition"] = f'attachment; filename="{name}-v{version.version}.{ending}"'
    return Response(
        await schemas.get(version, form, scope),
        media_type=SCHEMA_FORMATS[form].media_type,
        headers=headers,
    )


@get(
    "/pipeline/{name:str}/versions",
    **route(
        "viewer",
        "Results",
        "List versions",
        "Lists the versions, newest first, each with the differences of its columns from the published version before. "
        "Those whose `state` is `held` wait to be accepted or rejected.",
        ResponseDoc(
            text="A page.", kind=list[responses.VersionView], example=examples.page(examples.VERSION),
            headers=etags.RESPONSE_HEADERS,
        ),
        etags.NOT_MODIFIED,
        errors=("PIPELINE_NOT_FOUND",),
        query=PageRequest,
        headers=etags.REQUEST_HEADERS,
    ),
)  # fmt: skip
async def list_versions(
    request: TypedRequest, services: ServicesDependency, answers: AnswerCacheDependency, name: FromPath[str]
) -> Response[Any]:
    page = query_string.read(request, PageRequest)
    record = await find_pipeline(services, name)
    key = ("versions", record.id, services.marks.stamp(record.id), page)
    known = answers.get(key)
    content = known[0].content if known is not None else await asyncio.to_thread(_versions, services, record.id, page)
    answers.put(key, content, None, _KEPT_SECONDS)
    return etags.respond(request, content)


def _versions(services: Services, pipeline_id: str, page: PageRequest) -> bytes:
    found, total = services.history.versions(pipeline_id, limit=page.limit, offset=page.offset)
    marks = services.marks.of(pipeline_id)
    older = services.history.earlier(pipeline_id, found[-1]) if found else None
    return msgspec.json.encode(query_string.page_of(responses.versions(found, older, marks), total, page))


@get(
    "/pipeline/{name:str}/versions/{number:str}",
    **route(
        "viewer",
        "Results",
        "Read a version",
        "Answers one version, with the differences of its columns from the published version before; as HTML it is a "
        "page that loads nothing else.",
        ResponseDoc(
            text="The version.",
            kind=responses.VersionView,
            example=examples.VERSION,
            headers=etags.RESPONSE_HEADERS,
            media=(JSON, html_pages.HTML),
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
    page = html_pages.wanted(request)
    marks = shown.pinned, shown.tags, shown.state, page
    headers = {**etags.headers(etags.of(version, "version", before, *marks)), **html_pages.VARY}
    if (same := etags.not_modified(request, headers)) is not None:
        return same
    if page:
        return await html_pages.answer("version", msgspec.to_builtins(shown), headers)
    return Response(shown, headers=headers)


async def view_version(services: Services, version: Version) -> tuple[responses.VersionView, str | None]:
    """The answer about a version, and the id of the run that made the version before it."""
    record = await find_pipeline(services, version.pipeline)
    before = await asyncio.to_thread(services.history.earlier, record.id, version)
    marks = await asyncio.to_thread(services.marks.of, record.id)
    view = responses.version(version, before, marks.get(version.version))
    return view, before.run_id if before is not None else None


HANDLERS = [read_data, read_schema, list_versions, read_version]
