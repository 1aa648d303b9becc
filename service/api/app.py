"""The Litestar application: routes, dependencies and middleware. Nothing is built at import time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.types import ControllerRouterHandler

from service.api import error_response, login, openapi
from service.api.answer_cache import AnswerCache
from service.api.compression import Compression
from service.api.idempotency import Idempotency
from service.api.login import Authenticator
from service.api.middleware import RequestMiddleware
from service.api.query_paths import ApiDocument
from service.api.routes import (
    admin,
    auth,
    docs,
    files,
    health,
    held_versions,
    lineage,
    pipelines,
    planning,
    probing,
    profiles,
    quarantine,
    results,
    runs,
    saved_queries,
    schedules,
    serving,
    sql,
    users,
    version_diffs,
    version_upkeep,
)
from service.api.services import Services
from service.api.version_cache import SchemaCache, VersionCache

BASE = "/api/v1"
Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]

_API: Sequence[ControllerRouterHandler] = [
    *pipelines.HANDLERS,
    *planning.HANDLERS,
    *probing.HANDLERS,
    *results.HANDLERS,
    *version_diffs.HANDLERS,
    *version_upkeep.HANDLERS,
    *held_versions.HANDLERS,
    *lineage.HANDLERS,
    *quarantine.HANDLERS,
    *profiles.HANDLERS,
    *serving.HANDLERS,
    *runs.HANDLERS,
    *schedules.HANDLERS,
    *sql.HANDLERS,
    *saved_queries.HANDLERS,
    *files.HANDLERS,
    *auth.HANDLERS,
    *users.HANDLERS,
    *admin.HANDLERS,
]
_OPEN: Sequence[ControllerRouterHandler] = [*health.HANDLERS, *docs.HANDLERS]


class _App(Litestar):
    """Litestar without its plug-ins for models of pydantic and attrs: there are none; pydantic takes 70 ms to load."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def create_app(services: Services, lifespan: Sequence[Lifespan] = ()) -> Litestar:
    """The application over ``services``; ``lifespan`` runs around its serving."""
    authenticator, schemas, pages = Authenticator(services), SchemaCache(services), VersionCache(profiles.MOST_PAGES)
    answers = AnswerCache(services.clock)
    documents: list[ApiDocument] = []

    def _services() -> Services:
        return services

    def _authenticator() -> Authenticator:
        return authenticator

    def _schemas() -> SchemaCache:
        return schemas

    def _pages() -> VersionCache:
        return pages

    def _answers() -> AnswerCache:
        return answers

    def _document() -> ApiDocument:
        if not documents:
            documents.append(ApiDocument(openapi.document(app, services.registry)))
        return documents[0]

    app = _App(
        [Router(BASE, route_handlers=_API), *_OPEN],
        dependencies={
            "services": Provide(_services, sync_to_thread=False),
            "authenticator": Provide(_authenticator, sync_to_thread=False),
            "schemas": Provide(_schemas, sync_to_thread=False),
            "pages": Provide(_pages, sync_to_thread=False),
            "answers": Provide(_answers, sync_to_thread=False),
            "openapi": Provide(_document, sync_to_thread=False),
        },
        guards=[login.authorise],
        exception_handlers={Exception: error_response.handle},
        lifespan=list(lifespan),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,  # request_body bounds each body as its route needs
        debug=False,
    )
    keyed = Idempotency(app.asgi_handler, services, services.tokens.derived("idempotency keys"))
    app.asgi_handler = RequestMiddleware(Compression(keyed), services, authenticator)
    return app
