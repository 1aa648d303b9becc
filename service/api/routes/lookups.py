"""Routes that look rows up by key: features of one thing, or of several, as a model server asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.params import FromPath

from service.api import access, etags, examples, query_string, request_body, responses, row_keys, streaming
from service.api.path_lookup import chosen_version, find_pipeline, find_version
from service.api.query_string import EscapeFormulas, Format, about
from service.api.route_docs import RequestBody, ResponseDoc, route
from service.api.route_handler import get, post
from service.api.row_keys import MOST_KEYS, RowKey
from service.api.services import EngineAnswer, Services, ServicesDependency, TypedRequest
from service.kit import errors
from service.kit.codes import Code
from service.kit.errors import Problem
from service.model.formats import MEDIA_TYPES
from service.model.version import Version
from service.query.scope import Scope
from service.values.version_name import VersionName

_NONE: tuple[Code, ...] = ("PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA", "NO_KEY")
_FAILURES: tuple[Code, ...] = (*_NONE, "QUERY_TIMEOUT", "QUERY_TOO_LARGE", "NOT_ACCEPTABLE", "OVERLOADED")
_KEY = (
    "The key is the `primary_key` of the storage, or its `key`; its values have the types of their columns: whole "
    "numbers, texts, dates and times in ISO 8601, decimals."
)


class LookupQuery(query_string.ByVersion, frozen=True, kw_only=True):
    """Which version and columns, in which format."""

    columns: Annotated[str, about("Only these columns, in this order: `a,b`.")] | None = None
    format: Format | None = None
    escape_formulas: EscapeFormulas = True


class LookupOfKeys(query_string.ByVersion, frozen=True, kw_only=True):
    """Which version, in which format."""

    format: Format | None = None
    escape_formulas: EscapeFormulas = True


class KeysBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys, and what is answered of their rows."""

    keys: Annotated[
        list[Any],
        about(
            "A value for each row, or, if the key has several columns, a list of values in the order of the columns.",
            min_length=1,
            max_length=MOST_KEYS,
        ),
    ]
    columns: Annotated[list[str], about("Only these columns, in this order.", min_length=1)] | None = None
    version: VersionName | None = None


@get(
    "/pipeline/{name:str}/rows/{key:path}",
    **route(
        "viewer",
        "Results",
        "Look up a row",
        "Answers the row that has a key, from the newest version or `version`: by the index of the native table where "
        f"there is one. {_KEY} If the key has several columns, their values are separated by commas, in the order of "
        "the columns, and a comma in a value is written `%2C`. Letters that a path cannot have are percent-coded.",
        ResponseDoc(
            text="The row.",
            kind=responses.RowsByKey,
            example=examples.ROW,
            media=MEDIA_TYPES,
            headers=etags.RESPONSE_HEADERS,
        ),
        etags.NOT_MODIFIED,
        errors=(*_FAILURES, "ROW_NOT_FOUND"),
        query=LookupQuery,
        headers=etags.REQUEST_HEADERS,
        filters_rows=True,
    ),
)
async def read_row(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str], key: FromPath[str]
) -> Response[Any]:
    query = query_string.read(request, LookupQuery)
    form = streaming.format_of(request, query.format)
    version = await find_version(services, name, query.version)
    row_key = await _key(services, version)
    values = row_keys.in_path(request, row_key, f"/pipeline/{name}/rows/")
    columns = _columns(version, [c.strip() for c in query.columns.split(",")] if query.columns is not None else None)
    seen = access.scope(request, services)
    tag = etags.of(version, "row", row_key.columns, values, columns, form, query.escape_formulas, *seen.row_filters)
    headers = {**etags.headers(tag), "vary": "Accept"} if not seen.row_filters else {"vary": "Accept"}
    if not seen.row_filters and etags.match(request, tag) == "this":
        return Response(None, status_code=304, headers=headers)
    answer = await _lookup(services, seen, version, row_key, [values], columns, form, query.escape_formulas, only=True)
    if answer.content == b"":
        shown = ", ".join(f"{c} = {v[:60]}" for c, v in zip(row_key.columns, values, strict=True))
        raise errors.Missing(
            f"version {version.version} of '{name}' has no row with {shown}", code="ROW_NOT_FOUND", field="key"
        )
    unchanged = etags.not_modified(request, headers) if "etag" in headers else None  # If-None-Match: *
    return unchanged or streaming.respond(answer, f"{name}-v{version.version}", form, headers)


@post(
    "/pipeline/{name:str}/rows",
    **route(
        "viewer",
        "Results",
        "Look up several rows",
        f"Answers the rows of up to {MOST_KEYS} keys, in the order of the keys. {_KEY} In JSON, `rows` has the index "
        "of the key of each row, and `missing` the indexes of keys that no row has; other formats have the rows alone.",
        ResponseDoc(text="The rows.", kind=responses.RowsByKey, example=examples.ROWS_BY_KEY, media=MEDIA_TYPES),
        errors=_FAILURES,
        query=LookupOfKeys,
        body=RequestBody(kind=KeysBody, example=examples.KEYS),
        filters_rows=True,
    ),
)
async def read_rows(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[Any]:
    query = query_string.read(request, LookupOfKeys)
    form = streaming.format_of(request, query.format)
    body = await request_body.value(request, KeysBody, services.settings.max_body_bytes)
    named = chosen_version(query.version) if query.version is not None else None
    version = await find_version(services, name, query_string.one_version(named, body.version))
    row_key = await _key(services, version)
    values = row_keys.in_body(body.keys, row_key)
    columns = _columns(version, body.columns)
    seen = access.scope(request, services)
    answer = await _lookup(services, seen, version, row_key, values, columns, form, query.escape_formulas)
    return streaming.respond(answer, f"{name}-v{version.version}", form)


async def _key(services: Services, version: Version) -> RowKey:
    """The key of a version; its revision is in memory if it is the present one."""
    record = await find_pipeline(services, version.pipeline)
    if record.revision != version.revision:
        record = await find_pipeline(services, version.pipeline, version.revision)
    return row_keys.of_version(version, record.document)


async def _lookup(
    services: Services, scope: Scope, version: Version, key: RowKey, values: list[list[str]],
    columns: list[str] | None, form: str, escape_formulas: bool, *, only: bool = False,
) -> EngineAnswer:  # fmt: skip
    return await services.engine.lookup(
        await services.source_of(version), key.columns, key.kinds, values, columns=columns, only=only, format=form,
        escape_formulas=escape_formulas, scope=scope,
    )  # fmt: skip


def _columns(version: Version, wanted: Sequence[str] | None) -> list[str] | None:
    """The columns as the version spells them. Raises ``errors.Invalid`` for one that it lacks, or twice."""
    if wanted is None:
        return None
    known = {column.name.casefold(): column.name for column in version.columns}
    exact = {column.name for column in version.columns}
    found = [name if name in exact else known.get(name.casefold(), "") for name in wanted]
    problems = []
    for place, (name, there) in enumerate(zip(wanted, found, strict=True)):
        if not there:
            problems.append(Problem("columns", f"no column '{name}'{errors.did_you_mean(name, exact)}"))
        elif there in found[:place]:
            problems.append(Problem("columns", f"names '{name}' twice"))
    if problems:
        raise errors.Invalid.of(problems, "columns")
    return found


HANDLERS = [read_row, read_rows]
