"""The Litestar application: routes, dependencies and middleware. Nothing is built at import time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from litestar import Litestar, Router
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers.base import BaseRouteHandler
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.types import ControllerRouterHandler

from service.api import audit, error_response, login, openapi, standing
from service.api.answer_cache import AnswerCache
from service.api.audit import Audit
from service.api.compression import Compression
from service.api.idempotency import Idempotency
from service.api.login import Authenticator
from service.api.middleware import RequestMiddleware
from service.api.query_paths import ApiDocument
from service.api.readiness import Readiness
from service.api.routes import (
    admin,
    auth,
    browser_sessions,
    changes,
    console,
    docs,
    files,
    guide,
    health,
    held_versions,
    keys,
    lineage,
    lookups,
    metrics,
    overview,
    ownership,
    pipelines,
    planning,
    probing,
    processes,
    profiles,
    quarantine,
    results,
    revisions,
    runs,
    saved_queries,
    schedules,
    serving,
    sql,
    users,
    version_diffs,
    version_upkeep,
)
from service.api.routes import (
    audit as audit_log,
)
from service.api.services import Services
from service.api.streams import Streams
from service.api.version_cache import SchemaCache, VersionCache
from service.kit import struct_types

BASE = "/api/v1"
Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]

_API: Sequence[ControllerRouterHandler] = [
    *pipelines.HANDLERS,
    *overview.HANDLERS,
    *changes.HANDLERS,
    *ownership.HANDLERS,
    *planning.HANDLERS,
    *probing.HANDLERS,
    *results.HANDLERS,
    *revisions.HANDLERS,
    *version_diffs.HANDLERS,
    *version_upkeep.HANDLERS,
    *held_versions.HANDLERS,
    *lineage.HANDLERS,
    *quarantine.HANDLERS,
    *profiles.HANDLERS,
    *serving.HANDLERS,
    *lookups.HANDLERS,
    *runs.HANDLERS,
    *schedules.HANDLERS,
    *sql.HANDLERS,
    *saved_queries.HANDLERS,
    *files.HANDLERS,
    *auth.HANDLERS,
    *browser_sessions.HANDLERS,
    *users.HANDLERS,
    *processes.HANDLERS,
    *keys.HANDLERS,
    *admin.HANDLERS,
    *audit_log.HANDLERS,
]
_OPEN: Sequence[ControllerRouterHandler] = [
    *health.HANDLERS,
    *metrics.HANDLERS,
    *docs.HANDLERS,
    *guide.HANDLERS,
    *console.HANDLERS,
]


class _Routes(Router):
    """Routes that belong to one application, which need not copy them when it registers them."""

    def __deepcopy__(self, _: dict[int, Any]) -> _Routes:
        return self


@dataclass(frozen=True)
class _Bound:
    """What the handlers of one application work with."""

    services: Services
    authenticator: Authenticator
    schemas: SchemaCache
    pages: VersionCache
    answers: AnswerCache
    readiness: Readiness
    documents: list[ApiDocument] = field(default_factory=list)
    streams: Streams = field(default_factory=Streams)


class Api(Litestar):
    """The routes, without services until ``bind`` gives them some."""

    def __init__(self, lifespan: Sequence[Lifespan] = ()) -> None:
        super().__init__(
            [_Routes(BASE, route_handlers=_API), *_OPEN],
            dependencies={
                "services": Provide(self._services, sync_to_thread=False),
                "authenticator": Provide(self._authenticator, sync_to_thread=False),
                "schemas": Provide(self._schemas, sync_to_thread=False),
                "pages": Provide(self._pages, sync_to_thread=False),
                "readiness": Provide(self._readiness, sync_to_thread=False),
                "answers": Provide(self._answers, sync_to_thread=False),
                "streams": Provide(self._streams, sync_to_thread=False),
                "openapi": Provide(self._openapi, sync_to_thread=False),
            },
            guards=[login.authorise, self._admit, audit.admit],
            exception_handlers={Exception: error_response.handle},
            lifespan=list(lifespan),
            openapi_config=None,
            logging_config=None,
            request_max_body_size=None,  # request_body bounds each body as its route needs
            debug=False,
        )
        self._router = self.asgi_handler

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        """Without those for models of pydantic and attrs: there are none, and pydantic takes 70 ms to load."""
        return [*plugins, MsgspecDIPlugin()]

    def bind(self, services: Services) -> None:
        """Let the handlers work with ``services`` from now on, with empty caches."""
        struct_types.prepare()
        authenticator, schemas = Authenticator(services), SchemaCache(services)
        pages, answers = VersionCache(profiles.MOST_PAGES), AnswerCache(services.clock)
        self._bound = _Bound(services, authenticator, schemas, pages, answers, Readiness(services))
        keyed = Idempotency(self._router, services, services.tokens.derived("idempotency keys"))
        self.asgi_handler = RequestMiddleware(Compression(Audit(keyed, services)), services, authenticator)

    async def _admit(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        await standing.admit(connection, self._services())

    def _services(self) -> Services:
        return self._bound.services

    def _authenticator(self) -> Authenticator:
        return self._bound.authenticator

    def _schemas(self) -> SchemaCache:
        return self._bound.schemas

    def _pages(self) -> VersionCache:
        return self._bound.pages

    def _readiness(self) -> Readiness:
        return self._bound.readiness

    def _streams(self) -> Streams:
        return self._bound.streams

    def _answers(self) -> AnswerCache:
        return self._bound.answers

    def _openapi(self) -> ApiDocument:
        documents = self._bound.documents
        if not documents:
            documents.append(ApiDocument(openapi.document(self, self._bound.services.registry)))
        return documents[0]


def create_app(services: Services, lifespan: Sequence[Lifespan] = ()) -> Api:
    """The application over ``services``; ``lifespan`` runs around its serving."""
    if services.store.shared:
        from service.api import shared_limits  # only where several processes serve an installation

        services = shared_limits.of_all(services)
    app = Api(lifespan)
    app.bind(services)
    return app
