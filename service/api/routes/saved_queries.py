"""Routes of saved queries: they are saved, listed and removed by name, and answered by ``GET /q/{name}``."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import structlog
from litestar import Response
from litestar.params import FromPath

import service
from service.api import access, audit_actions, disconnects, etags, examples, query_string, request_body, streaming
from service.api.answer_cache import AnswerCacheDependency
from service.api.query_string import EscapeFormulas, Format, PageRequest, about
from service.api.route_docs import RequestBody, ResponseDoc, route
from service.api.route_handler import delete, get, put
from service.api.services import EngineAnswer, Services, ServicesDependency, TypedRequest
from service.kit import errors
from service.kit.codes import Code
from service.model import query_parameters, saved_query
from service.model.answers import QueryResult
from service.model.formats import FORMATS, MEDIA_TYPES
from service.model.rights import PUBLIC
from service.model.saved_query import QueryDefinition, SavedQuery
from service.query.messages import Rehearsal
from service.query.repeatable import is_repeatable_statement
from service.query.scope import Scope

_log = structlog.get_logger("penstock.sql")
_SQL: tuple[Code, ...] = ("INVALID_SQL", "SQL_NOT_ALLOWED", "QUERY_TIMEOUT", "QUERY_TOO_LARGE", "OVERLOADED")
_UNDECLARED = "Values were not provided for the following"
_MOST_JSON_ROWS = 100_000
_DEFINITION = {
    "sql": "SELECT city, count(*) AS orders FROM orders WHERE price >= $least GROUP BY city ORDER BY city",
    "description": "Orders by city.",
    "parameters": {"least": {"type": "number", "default": 0}},
    "max_rows": 1000,
    "cache_seconds": 60,
    "public": False,
}
_SAVED = {
    **_DEFINITION,
    "parameters": {"least": {"type": "number", "default": 0, "required": False, "enum": None, "description": ""}},
    "name": "orders-by-city",
    "columns": [{"name": "city", "type": "VARCHAR"}, {"name": "orders", "type": "BIGINT"}],
    "tables": ["orders"],
    "repeatable": True,
    "created": "2026-01-31T06:30:00Z",
    "created_by": "ann",
    "updated": "2026-01-31T06:30:00Z",
    "updated_by": "ann",
}
_RESULT = {**examples.RESULT, "columns": _SAVED["columns"], "data": [{"city": "Bern", "orders": 3}], "row_count": 1}


class AnswerQuery(query_string.NoParameters, frozen=True, kw_only=True):
    """How the answer is given; every other parameter is one of the saved query."""

    limit: Annotated[int, about("Rows at most; never more than the query's `max_rows`.", ge=0, le=2**53)] | None = None
    format: Format | None = None
    escape_formulas: EscapeFormulas = True


@put(
    "/queries/{name:str}",
    **route(
        "operator",
        "SQL",
        "Save a query",
        "Saves a SELECT with typed parameters under a name, or replaces it; `GET /api/v1/q/{name}` answers it from "
        "then on. It is bound against the stored tables first, so that a table or column that does not exist is an "
        "error now. Only an admin saves or replaces a `public` query.",
        ResponseDoc(
            status=201, text="It was saved.", kind=SavedQuery, example=_SAVED, headers={"Location": "Its path."}
        ),
        ResponseDoc(status=200, text="It was replaced.", kind=SavedQuery, example=_SAVED),
        errors=(*_SQL, "CONFLICT", "STORAGE_FULL"),
        body=RequestBody(kind=QueryDefinition, example=_DEFINITION),
        action=audit_actions.SAVE_QUERY,
    ),
)
async def save_query(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[SavedQuery]:
    query_string.read(request, query_string.NoParameters)
    definition = await request_body.value(request, QueryDefinition, services.settings.max_body_bytes)
    saved_query.check(name, definition)
    before = await asyncio.to_thread(services.saved.find, name)
    if definition.public or (before is not None and before.public):
        _need_admin(request)
    if before is not None and not access.query_seen(request, services)(before):
        raise errors.Conflict(f"the name '{name}' is taken; choose another one", field="name")
    found = await _rehearsed(services, definition, _scope(request, services, definition))
    system = any("." in table for table in found.tables)
    repeatable = is_repeatable_statement(definition.sql)
    saved, new = await asyncio.to_thread(
        services.saved.put, name, definition, by=request.user.username, columns=found.columns, tables=found.tables,
        repeatable=repeatable and not (found.everything or system),
    )  # fmt: skip
    _log.info("query.saved", query=name, username=request.user.username, public=definition.public)
    headers = {"location": f"/api/v1/queries/{name}"}
    return Response(saved, status_code=201, headers=headers) if new else Response(saved, status_code=200)


def _scope(request: TypedRequest, services: Services, query: QueryDefinition) -> Scope:
    """What a query may read: what the caller may, or shared pipelines only if it is public."""
    return access.scope_of(PUBLIC if query.public else access.rights_of(request), services)


async def _rehearsed(services: Services, definition: QueryDefinition, scope: Scope) -> Rehearsal:
    """What the query answers; it is bound with a value for each parameter, and without those that it may lack."""
    samples, absent = query_parameters.samples(definition.parameters), query_parameters.absent(definition.parameters)
    found = await _bound(services, definition, samples, scope)
    if absent:
        try:
            await _bound(services, definition, {**samples, **dict.fromkeys(absent)}, scope)
        except errors.Invalid as error:
            field = f"parameters.{absent[0]}"
            raise errors.Invalid(
                f"{field}: the SQL cannot be answered without a value of {', '.join(absent)} ({error.message}); "
                f"require it, give it a default, or write CAST(${absent[0]} AS <type>)",
                code=error.error_code, field=field,
            ) from None  # fmt: skip
    return found


async def _bound(
    services: Services, definition: QueryDefinition, values: Mapping[str, str | None], scope: Scope
) -> Rehearsal:
    try:
        answer = await services.engine.sql(
            definition.sql, parameters=dict(values) or None, types=query_parameters.kinds(definition.parameters),
            rehearsal=True, scope=scope,
        )  # fmt: skip
    except errors.Invalid as error:
        if _UNDECLARED in error.message:
            error.details["field"] = "parameters"
        raise
    return msgspec.json.decode(answer.content or b"", type=Rehearsal)


@get(
    "/queries",
    **route(
        "viewer",
        "SQL",
        "List saved queries",
        "Lists the saved queries by name.",
        ResponseDoc(text="A page.", kind=list[SavedQuery], example=examples.page(_SAVED)),
        query=PageRequest,
    ),
)
async def list_queries(request: TypedRequest, services: ServicesDependency) -> dict[str, Any]:
    page = query_string.read(request, PageRequest)
    found = await asyncio.to_thread(services.saved.all, access.query_seen(request, services))
    return query_string.page_of(found[page.offset : page.offset + page.limit], len(found), page)


@get(
    "/queries/{name:str}",
    **route(
        "viewer",
        "SQL",
        "Read a saved query",
        "Answers the definition of a saved query, and the columns and tables that it had when it was saved.",
        ResponseDoc(text="The query.", kind=SavedQuery, example=_SAVED),
        errors=("NOT_FOUND",),
    ),
)
async def read_query(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> SavedQuery:
    query_string.read(request, query_string.NoParameters)
    return await asyncio.to_thread(services.saved.get, name, access.query_seen(request, services))


def _need_admin(request: TypedRequest) -> None:
    if not request.user.may("admin"):
        message = "only an admin saves, replaces or removes a public query"
        raise errors.Forbidden(message, field="public", required="admin")


@delete(
    "/queries/{name:str}",
    **route(
        "operator",
        "SQL",
        "Remove a saved query",
        "Removes a saved query; its path then answers 404. Only an admin removes a `public` one.",
        ResponseDoc(status=204, text="It was removed.", media=()),
        errors=("NOT_FOUND", "STORAGE_FULL"),
        action=audit_actions.DELETE_QUERY,
    ),
)
async def delete_query(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> None:
    query_string.read(request, query_string.NoParameters)
    seen = access.query_seen(request, services)
    if (await asyncio.to_thread(services.saved.get, name, seen)).public:
        _need_admin(request)
    await asyncio.to_thread(services.saved.delete, name, seen)
    _log.info("query.removed", query=name, username=request.user.username)


@get(
    "/q/{name:str}",
    **route(
        "public",
        "SQL",
        "Answer a saved query",
        "Answers a saved query in any format; its own parameters stand in the query string beside those listed here. "
        "The `ETag` changes when a version that it reads does. With `cache_seconds`, a JSON answer of that age (`Age`) "
        "is given again. A query that is not `public` needs the role viewer.",
        ResponseDoc(
            text="The result.",
            kind=QueryResult,
            example=_RESULT,
            media=MEDIA_TYPES,
            headers={"ETag": "The versions and the parameters; absent if the query depends on time or chance.",
                     "Age": "The seconds since the answer was made, if it was made for an earlier request."},
        ),
        etags.NOT_MODIFIED,
        errors=(*_SQL, "UNAUTHORIZED", "TOKEN_EXPIRED", "NOT_FOUND", "NOT_ACCEPTABLE"),
        query=AnswerQuery,
        headers=etags.REQUEST_HEADERS,
        action=audit_actions.ANSWER_QUERY,
    ),
)  # fmt: skip
async def answer_query(
    request: TypedRequest, services: ServicesDependency, answers: AnswerCacheDependency, name: FromPath[str]
) -> Response[Any]:
    saved = await _allowed(request, services, name)
    asked, given = query_string.read_some(request, AnswerQuery)
    values = query_parameters.values(saved.parameters, given)
    asked = msgspec.structs.replace(asked, format=streaming.format_of(request, asked.format))
    form = asked.format or "json"
    scope = _scope(request, services, saved)
    key = (name, saved.updated, tuple(values.items()), asked, scope)
    headers = {"cache-control": _cache_control(saved), "vary": "Accept"}
    if (known := answers.get(key)) is not None:
        answer, age = known
        headers |= {"age": str(age), **({"etag": answer.etag} if answer.etag else {})}
        media = FORMATS[form].media_type
        return _unchanged(request, headers) or Response(answer.content, media_type=media, headers=headers)
    if (tag := await _tag(services, saved, [values, asked, scope.row_filters])) is not None:
        headers["etag"] = tag
        if (unchanged := _unchanged(request, headers)) is not None:
            return unchanged
    made = await disconnects.unless_gone(request.receive, _answered(services, saved, values, asked, scope))
    if saved.cache_seconds and made.content is not None:
        answers.put(key, made.content, tag, saved.cache_seconds)
    return streaming.respond(made, name, form, headers)


async def _allowed(request: TypedRequest, services: Services, name: str) -> SavedQuery:
    """The query, if the caller may have it answered. Raises ``errors.Unauthenticated``, ``errors.Missing``."""
    identity, seen = request.scope["identity"], access.query_seen(request, services)  # type: ignore[typeddict-item]
    query = await asyncio.to_thread(services.saved.find, name)
    if identity.rights is None and (query is None or not (query.public and seen(query))):
        raise identity.refusal
    if query is None or not seen(query):
        return await asyncio.to_thread(services.saved.get, name, seen)  # raises, with a hint
    return query


async def _answered(
    services: Services, query: SavedQuery, values: dict[str, str | None], asked: AnswerQuery, scope: Scope
) -> EngineAnswer:
    form = asked.format or "json"
    bounds = [rows for rows in (asked.limit, query.max_rows) if rows is not None]
    limit = min(bounds) if bounds else None
    if limit is not None and asked.limit is None and not FORMATS[form].streamed:
        limit = min(limit, _MOST_JSON_ROWS)
    _log.info("query.asked", query=query.name, format=form)
    return await services.engine.sql(
        query.sql, parameters=values or None, types=query_parameters.kinds(query.parameters), limit=limit, format=form,
        escape_formulas=asked.escape_formulas, scope=scope,
    )  # fmt: skip


async def _tag(services: Services, query: SavedQuery, deciding: list[Any]) -> str | None:
    """The ETag of an answer; None if more than the versions that the query reads decides it."""
    if not query.repeatable:
        return None
    tables = await asyncio.to_thread(lambda: [services.history.table(table) for table in query.tables])
    runs = [table.version.run_id for table in tables if table is not None]
    if len(runs) < len(tables):
        return None
    text = msgspec.json.encode([service.__version__, runs, query.sql, query.max_rows, *deciding])
    return f'"q-{hashlib.sha256(text).hexdigest()[:16]}"'


def _unchanged(request: TypedRequest, headers: dict[str, str]) -> Response[Any] | None:
    return etags.not_modified(request, headers) if "etag" in headers else None


def _cache_control(query: SavedQuery) -> str:
    audience = "public" if query.public else "private"
    return f"{audience}, max-age={query.cache_seconds}" if query.cache_seconds else f"{audience}, no-cache"


HANDLERS = [save_query, list_queries, read_query, delete_query, answer_query]
