"""What there is for a caller: pipelines that the caller does not see do not exist, whatever names them.

``admit`` is a guard of every route, so that a new route below a pipeline or a run is closed without doing anything. It
answers 404 before the handler reads the request: a name that is hidden and one that nobody uses get the same answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Any

from litestar.connection import ASGIConnection

from service.api import filtered_keys
from service.api.services import Services, TypedRequest
from service.catalog import run_rows
from service.catalog.pipelines import missing
from service.kit import errors
from service.model.pipeline import Pipeline
from service.model.rights import PUBLIC, Readable, Rights
from service.model.saved_query import SavedQuery
from service.query.scope import Scope

_BASE = "/api/v1/"
_ANSWER = "/api/v1/q/{name}"
_PEOPLE = ("/api/v1/keys", "/api/v1/users", "/api/v1/auth/password", "/api/v1/auth/session")
_WHOLE = ("/api/v1/admin", "/api/v1/audit", "/metrics")


async def admit(connection: ASGIConnection[Any, Any, Any, Any], services: Services) -> None:
    """Raises ``errors.Missing`` if the path names a pipeline, or a run of one, that the caller does not see.

    Raises ``errors.Forbidden`` for what an API key may not do, or not tell of (``filtered_keys``).
    """
    ownership, template = services.ownership, str(connection.scope.get("path_template"))
    if (caller := connection.scope["user"]) is not None and caller.key is not None:
        _admit_key(caller, str(connection.scope.get("method")), template)
    if not template.startswith(_BASE):
        return
    if not ownership.is_current:
        await asyncio.to_thread(ownership.refresh)
    rights = rights_of(connection)
    if template.startswith(filtered_keys.PIPELINE):
        name = str(connection.path_params["name"])
        if not (rights.is_unbounded or ownership.sees(rights, name)):
            raise missing(name)
    elif template.startswith(filtered_keys.RUN) and ownership.readable(rights) is not None:
        run_id = str(connection.path_params["run_id"])
        if not await asyncio.to_thread(ownership.sees_run, rights, run_id):
            raise run_rows.missing(run_id)
    if rights.row_filter:
        await filtered_keys.admit(connection, rights, services)


def _admit_key(key: Rights, method: str, template: str) -> None:
    """Refuse what an API key may not do whatever its role is. Raises ``errors.Forbidden``."""
    if template.startswith(_PEOPLE) and (method != "GET" or key.is_bounded):
        raise errors.Forbidden("an API key may not do this; log in with POST /api/v1/auth/token")
    if key.queries is not None and template.startswith((_BASE, "/metrics")) and template != _ANSWER:
        raise errors.Forbidden("this API key may only have its saved queries answered (GET /api/v1/q/{name})")
    if key.is_bounded and template.startswith(_WHOLE):
        raise errors.Forbidden("this API key has bounds, and this is about the whole service")


def rights_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Rights:
    """The rights of a caller; without a token those that everyone has."""
    rights: Rights | None = connection.scope["user"]
    return rights or PUBLIC


def readable(request: TypedRequest, services: Services) -> Readable:
    """The pipelines that the caller sees; None: all of them."""
    return services.ownership.readable(rights_of(request))


def filtered(request: TypedRequest, services: Services) -> Collection[str]:
    """The pipelines that show the caller only some of their rows."""
    return services.ownership.by_pipeline(rights_of(request).row_filter).keys()


def scope(request: TypedRequest, services: Services) -> Scope:
    """What the caller's queries may read."""
    return scope_of(rights_of(request), services)


def scope_of(rights: Rights, services: Services) -> Scope:
    """What the queries of a caller with these rights may read."""
    ownership = services.ownership
    return Scope.of(ownership.readable(rights), ownership.by_pipeline(rights.row_filter))


def query_seen(request: TypedRequest, services: Services) -> Callable[[SavedQuery], bool]:
    """Whether the caller sees a saved query: it reads only pipelines that the caller sees."""
    rights, seen = rights_of(request), readable(request, services)
    return lambda query: rights.answers(query.name) and services.ownership.has_tables(seen, query.tables)


def refuse_names(rights: Rights, pipeline: Pipeline) -> None:
    """Refuse a configuration that names pipelines which an API key may not name, there or not.

    Raises ``errors.Forbidden``.
    """
    if rights.pipelines is None:
        return
    for field, name in _named(pipeline):
        if not rights.names(name):
            patterns = ", ".join(rights.pipelines)
            message = f"{field}: this key may only name pipelines like {patterns}, not '{name}'"
            raise errors.Forbidden(message, field=field)


def _named(pipeline: Pipeline) -> Iterable[tuple[str, str]]:
    yield "name", pipeline.name
    for place, name in enumerate(pipeline.trigger.after if pipeline.trigger is not None else ()):
        yield f"trigger.after[{place}]", name
    for place, collector in enumerate(pipeline.collectors):
        if (read := collector.upstream()) is not None:
            yield f"collectors[{place}].{read.field}", read.pipeline
    for place, processor in enumerate(pipeline.processors):
        for checked in processor.upstreams():
            yield f"processors[{place}].{checked.field}", checked.pipeline
