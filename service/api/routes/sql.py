"""Routes of SQL: one read-only statement over the stored tables, and the list of tables."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
import structlog
from litestar import Response
from litestar.params import FromPath

from service.api import (
    access,
    audit_actions,
    disconnects,
    etags,
    examples,
    query_string,
    request_body,
    responses,
    streaming,
)
from service.api.query_string import EscapeFormulas, Format, PageRequest
from service.api.route_docs import RequestBody, ResponseDoc, route
from service.api.route_handler import get, post
from service.api.services import ServicesDependency, TypedRequest
from service.kit import errors
from service.model.answers import QueryResult
from service.model.formats import MEDIA_TYPES
from service.model.table import Table
from service.query import sources
from service.query.scope import Scope

_MOST_PARAMETERS = 10_000

_log = structlog.get_logger("penstock.sql")


_Positional = Annotated[list[Any], msgspec.Meta(max_length=_MOST_PARAMETERS)]
_Named = Annotated[dict[str, Any], msgspec.Meta(max_length=_MOST_PARAMETERS)]


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A SELECT. ``parameters`` are the values of ``?`` (a list) or ``$name`` (an object)."""

    sql: Annotated[str, msgspec.Meta(min_length=1, description='One SELECT; `orders` is a table, `"orders@3"` too.')]
    parameters: _Positional | _Named | None = None
    limit: Annotated[int, msgspec.Meta(ge=0, le=2**53, description="Rows at most.")] | None = None
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, description="Stop the query after this time.")] | None = None


class FormatQuery(query_string.NoParameters, frozen=True, kw_only=True):
    """In which format."""

    format: Format | None = None
    escape_formulas: EscapeFormulas = True


@post(
    "/query",
    **route(
        "viewer",
        "SQL",
        "Query in SQL",
        "Answers one DuckDB SELECT (WITH, VALUES, FROM first, DESCRIBE, SUMMARIZE, SHOW TABLES and EXPLAIN included) "
        'over the stored tables: `orders` is the newest version, `"orders@3"` version 3, `orders__quarantine` and '
        '`"orders__quarantine@3"` the rows that they refused. Nothing else can be read.',
        ResponseDoc(text="The result.", kind=QueryResult, example=examples.RESULT, media=MEDIA_TYPES),
        errors=("INVALID_SQL", "SQL_NOT_ALLOWED", "QUERY_TIMEOUT", "QUERY_TOO_LARGE", "NOT_ACCEPTABLE", "OVERLOADED"),
        query=FormatQuery,
        body=RequestBody(kind=Statement, example=examples.QUERY),
        action=audit_actions.QUERY,
    ),
)
async def ask(request: TypedRequest, services: ServicesDependency) -> Response[Any]:
    query = query_string.read(request, FormatQuery)
    form = streaming.format_of(request, query.format)
    statement = await request_body.value(request, Statement, services.settings.max_body_bytes)
    _log.info("sql.asked", username=request.user.username, characters=len(statement.sql), format=form)
    work = services.engine.sql(
        statement.sql,
        parameters=statement.parameters,
        limit=statement.limit,
        timeout_seconds=statement.timeout_seconds,
        format=form,
        escape_formulas=query.escape_formulas,
        scope=access.scope(request, services),
    )
    answer = await disconnects.unless_gone(request.receive, work)
    return streaming.respond(answer, "result", form)


@get(
    "/tables",
    **route(
        "viewer",
        "SQL",
        "List tables",
        "Lists the tables that SQL can read, with the pipeline and the version behind each; `<table>__quarantine` if "
        "rows of the newest version are in quarantine (if none are, that table is empty in SQL).",
        ResponseDoc(
            text="A page.", kind=list[responses.TableView], example=examples.page(examples.TABLE),
            headers=etags.RESPONSE_HEADERS,
        ),
        etags.NOT_MODIFIED,
        query=PageRequest,
        headers=etags.REQUEST_HEADERS,
    ),
)  # fmt: skip
async def list_tables(request: TypedRequest, services: ServicesDependency) -> Response[Any]:
    page = query_string.read(request, PageRequest)
    scope = access.scope(request, services)
    tables = sources.seen(await asyncio.to_thread(services.history.tables), scope.readable)
    # A quarantine tells of rows that are hidden.
    tables = [t for t in tables if not (t.quarantine and scope.filters(t.version.pipeline))]
    part = tables[page.offset : page.offset + page.limit]
    listed = query_string.page_of([_view(t, scope) for t in part], len(tables), page)
    return etags.respond(request, msgspec.json.encode(listed))


@get(
    "/tables/{table:str}",
    **route(
        "viewer",
        "SQL",
        "Read a table's columns",
        "Answers one table that SQL can read; `orders@3` is version 3 of `orders`.",
        ResponseDoc(
            text="The table.", kind=responses.TableView, example=examples.TABLE, headers=etags.RESPONSE_HEADERS
        ),
        etags.NOT_MODIFIED,
        errors=("NOT_FOUND",),
        headers=etags.REQUEST_HEADERS,
    ),
)
async def read_table(request: TypedRequest, services: ServicesDependency, table: FromPath[str]) -> Response[Any]:
    query_string.read(request, query_string.NoParameters)
    seen = access.readable(request, services)
    found = await asyncio.to_thread(services.history.table, table) if len(table) < 100 else None
    if found is None or not sources.seen([found], seen):
        names = [one.name for one in sources.seen(await asyncio.to_thread(services.history.tables), seen)]
        raise errors.Missing(
            f"there is no table '{table[:100]}'{errors.did_you_mean(table[:100], names)}", field="table"
        )
    scope = access.scope(request, services)
    headers = etags.headers(etags.of(found.version, "table", found.name, *scope.row_filters))
    return etags.not_modified(request, headers) or Response(_view(found, scope), headers=headers)


def _view(table: Table, scope: Scope) -> responses.TableView:
    """The answer about a table; how many rows it has is not told to a caller who sees only some of them."""
    view = responses.table(table)
    return msgspec.structs.replace(view, row_count=None) if scope.filters(table.version.pipeline) else view


HANDLERS = [ask, list_tables, read_table]
