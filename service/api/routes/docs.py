"""Routes of the documentation: ``/docs`` is Swagger UI from an installed package, without the internet."""

from __future__ import annotations

import asyncio
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

import service
from service.api import access, streaming
from service.api.query_paths import ApiDocument
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get
from service.api.services import ServicesDependency, TypedRequest
from service.kit import errors
from service.model.formats import FORMATS, Format

DocumentDependency = NamedDependency[SkipValidation[ApiDocument]]
_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
# Swagger UI sets styles from its script and draws its icons from data: URLs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_INDEX_FORMATS = {"json": FORMATS["json"], "html": Format(("text/html", "application/xhtml+xml"), "html")}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Penstock API</title>
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<noscript>This page needs JavaScript; <a href="/docs/openapi.json">openapi.json</a> does not.</noscript>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "/docs/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  persistAuthorization: false,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""


_TO_CONSOLE = {"location": "/console/", "vary": "Accept"}
INDEX = {
    "name": "Penstock",
    "version": service.__version__,
    "api": "/api/v1",
    "console": "/console/",
    "documentation": "/docs",
    "guide": "/docs/guide",
    "openapi": "/docs/openapi.json",
    "health": "/health",
}


@get(
    "/",
    **route(
        "public",
        "Service",
        "Start here",
        "Answers where the API, its documentation and its health are; a browser (`Accept: text/html`) is sent to "
        "`/console/`.",
        ResponseDoc(text="The index.", kind=dict[str, str], example=INDEX),
        ResponseDoc(
            status=303, text="`/console/`, for a browser.", media=("text/html",), headers={"Location": "The page."}
        ),
    ),
)
async def index(request: TypedRequest) -> Response[Any]:
    if streaming.format_of(request, None, _INDEX_FORMATS) == "html":
        return Response(
            None, status_code=303, media_type="text/html", headers={"location": "/console/", "vary": "Accept"}
        )
    return Response(INDEX, headers={"vary": "Accept"})


@get(
    "/docs",
    **route(
        "public",
        "Service",
        "Browse this description",
        "A page to read about the routes and to try them; works without the internet.",
        ResponseDoc(text="The page.", media=("text/html",)),
    ),
)
async def page() -> Response[str]:
    return Response(_PAGE, media_type="text/html", headers={"content-security-policy": _POLICY})


@get(
    "/docs/openapi.json",
    **route(
        "public",
        "Service",
        "Read this description",
        "OpenAPI 3.1. The schema of a pipeline configuration lists every collector, processor and storage that this "
        "installation has. Each saved query has its own path; a request without a token sees the public ones.",
        ResponseDoc(text="The description.", kind=dict[str, Any]),
    ),
)
async def document(request: TypedRequest, services: ServicesDependency, openapi: DocumentDependency) -> Response[bytes]:
    saved = await asyncio.to_thread(lambda: services.saved.all(access.query_seen(request, services)))
    shown = [query for query in saved if query.public or request.scope["user"] is not None]
    headers = {"cache-control": "private, no-cache", "vary": "Authorization"}
    return Response(openapi.encoded(shown), media_type="application/json", headers=headers)


@get(
    "/docs/{asset:str}",
    **route(
        "public",
        "Service",
        "Read an asset of the page",
        "Scripts and styles of `/docs`.",
        ResponseDoc(text="The asset.", media=("text/javascript", "text/css", "image/png")),
        errors=("NOT_FOUND",),
    ),
)
async def asset(asset: FromPath[str]) -> Response[bytes]:
    headers = {"cache-control": "public, max-age=3600"}
    if asset == "start.js":
        return Response(_START.encode(), media_type="text/javascript", headers=headers)
    if asset not in _ASSETS:
        raise errors.Missing(f"there is no asset '{asset[:60]}'")
    return Response(await asyncio.to_thread(_read, asset), media_type=_ASSETS[asset], headers=headers)


@cache
def _read(name: str) -> bytes:
    """A file of Swagger UI. The package is located but not imported: its code is for other frameworks."""
    package = importlib.util.find_spec("swagger_ui")
    if package is None or not package.submodule_search_locations:
        raise errors.Missing("Swagger UI is not installed (swagger-ui-py); /docs/openapi.json works without it")
    return (Path(package.submodule_search_locations[0]) / "static" / name).read_bytes()


HANDLERS = [index, page, document, asset]
