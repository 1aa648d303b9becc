"""The OpenAPI document, made from the routes, their documentation and the plug-ins.

The schema of a pipeline configuration is built from the registry: it includes every plug-in without further code.
Litestar's own generator is not used, since it does not see the bodies and query strings that handlers read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers.http_handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

import service
from service.api import error_response, examples, idempotency, json_schemas
from service.api.json_schemas import REFERENCE, Schemas
from service.api.login import PUBLIC
from service.api.route_docs import JSON, Description, RequestBody, ResponseDoc
from service.kit import errors
from service.kit.codes import CODES, Code
from service.model import pipeline as model
from service.model.hook import Hook
from service.model.publication_bounds import PublicationBounds
from service.model.registry import Registry, Shelf, tag_of
from service.model.retention import Retention
from service.model.schedule import Schedule
from service.model.trigger import Trigger

_SETTINGS = (model.Execution, Schedule, Trigger, Hook, PublicationBounds, Retention)
_PATH = re.compile(r"\{(\w+)(?::\w+)?\}")
_TAGS = {
    "Pipelines": "Configurations, their runs and statistics.",
    "Results": "What runs stored: rows, schema, profile, versions.",
    "Runs": "Executions of pipelines.",
    "SQL": "Queries over all stored tables.",
    "Files": "Uploads that collectors can read.",
    "Authentication": "Tokens.",
    "Service": "Health and this document.",
}
_KEY = (
    "A key of your choice, 1 to 255 visible ASCII characters. The same request with the same key within 24 hours gets "
    "the first answer again, and nothing is done twice."
)
_PARAMETERS = {
    "name": ("The pipeline's name.", "orders"),
    "run_id": ("The run.", examples.RUN_ID),
    "number": ("The version.", "3"),
    "tag": ("The tag.", "stable"),
    "table": ("A table, `orders` or `orders@3`.", "orders"),
    "username": ("The name of the account.", "ann"),
    "path": ("The path of the file, relative to the uploads.", "orders.csv"),
    "asset": ("The asset's name.", "start.js"),
}
_QUERY = ("The name of the saved query.", "orders-by-city")
_OF_QUERIES = ("/api/v1/q/", "/api/v1/queries/")


def document(app: Litestar, registry: Registry) -> dict[str, Any]:
    """The document of the routes of ``app`` with the plug-ins of ``registry``."""
    routes = list(_routes(app))
    named = [kind for _, _, description in routes for kind in _kinds(description)]
    schemas = Schemas([*named, *configurable(registry)])
    paths: dict[str, dict[str, Any]] = {}
    for path, handler, description in sorted(routes, key=lambda r: (r[0], min(r[1].http_methods))):
        method = min(handler.http_methods).lower()
        paths.setdefault(path, {})[method] = _operation(path, method, handler, description, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock",
            "version": service.__version__,
            "summary": "Data pipelines and analytics as one service.",
            "description": "Collect, process, version, and query data over REST. Log in with `POST /api/v1/auth/token` "
            "and send the access token as `Authorization: Bearer …`. Every error has the same body, and every answer "
            "an `X-Request-ID` that is also in the service's log. `HEAD` works wherever `GET` does. Requests with "
            "too many or too long headers get a 431 (`HEADERS_TOO_LARGE`), whatever the route.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": configuration(registry, schemas),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "password": {
                    "type": "oauth2",
                    "flows": {
                        "password": {
                            "tokenUrl": "/api/v1/auth/token",
                            "refreshUrl": "/api/v1/auth/refresh",
                            "scopes": {},
                        }
                    },
                },
            },
        },
        "security": [{"token": []}, {"password": []}],
    }


def _routes(app: Litestar) -> Iterator[tuple[str, HTTPRouteHandler, Description]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                description = handler.opt.get("description")
                if isinstance(description, Description):
                    yield _PATH.sub(r"{\1}", route.path_format), handler, description


def _kinds(description: Description) -> Iterator[Any]:
    yield from (a.kind for a in description.answers if a.kind is not None)
    yield from (f.type for f in msgspec.structs.fields(description.query))
    if description.body is not None and description.body.kind is not None:
        yield description.body.kind


def _operation(
    path: str, method: str, handler: HTTPRouteHandler, description: Description, schemas: Schemas
) -> dict[str, Any]:
    is_open = handler.opt["role"] == PUBLIC
    operation: dict[str, Any] = {
        "operationId": handler.fn.__name__,
        "tags": list(handler.tags or []),
        "summary": handler.summary,
        "description": handler.description,
        "parameters": _parameters(path, description, schemas),
        "responses": {str(a.status): _answer(a, schemas, description) for a in description.answers},
    }
    if description.body is not None:
        operation["requestBody"] = _body(description.body, schemas)
    if is_open:
        operation["security"] = []
    for status, codes in _failures(description, is_open=is_open, stores=_stores(handler)).items():
        operation["responses"].setdefault(str(status), _failed(status, codes))
    return operation


def _parameters(path: str, description: Description, schemas: Schemas) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in _PATH.findall(path):
        text, example = _QUERY if path.startswith(_OF_QUERIES) else _PARAMETERS[name]
        found.append(
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": text,
                "schema": {"type": "string"},
                "example": example,
            }
        )
    for field in msgspec.structs.fields(description.query):
        schema = _without_null(schemas.of(field.type))
        text = schema.pop("description", "")
        if field.default is not msgspec.NODEFAULT and field.default is not None:
            schema["default"] = field.default
        found.append({"name": field.encode_name, "in": "query", "description": text, "schema": schema})
    taken = {idempotency.HEADER: _KEY} if description.idempotent else {}
    for name, text in {**description.headers, **taken}.items():
        found.append({"name": name, "in": "header", "description": text, "schema": {"type": "string"}})
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without null: a parameter is absent, never null."""
    options = [o for o in schema.get("anyOf", []) if o != {"type": "null"}]
    if len(options) == 1:
        return {**options[0], **{k: v for k, v in schema.items() if k != "anyOf"}}
    if "enum" in schema:
        return {**schema, "enum": [v for v in schema["enum"] if v is not None]}
    return schema


def _body(body: RequestBody, schemas: Schemas) -> dict[str, Any]:
    if body.pipeline:
        schema: dict[str, Any] | None = {"$ref": REFERENCE.format(name="PipelineConfiguration")}
    else:
        schema = schemas.of(body.kind) if body.kind is not None else None
    example = {"example": body.example} if body.example is not None else {}
    content = {media: {"schema": schema or json_schemas.of_media(media), **example} for media in body.media}
    return {"required": body.required, "content": content}


def _answer(answer: ResponseDoc, schemas: Schemas, description: Description) -> dict[str, Any]:
    header = {"X-Request-ID": "The id of this request in the log."}
    if description.idempotent:
        header[idempotency.REPLAYED] = "`true` if this is the first answer again."
    shown: dict[str, Any] = {
        "description": answer.text,
        "headers": {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in {**header, **answer.headers}.items()
        },
    }
    if answer.status == 304:
        return shown
    content: dict[str, Any] = {}
    for media in answer.media:
        known = media == JSON and answer.kind is not None
        described = {"schema": schemas.of(answer.kind) if known else json_schemas.of_media(media)}
        if answer.example is not None and (media == JSON or len(answer.media) == 1):
            described["example"] = answer.example
        content[media] = described
    return {**shown, "content": content}


def _stores(handler: HTTPRouteHandler) -> bool:
    """Whether a route may write to the disk: those that change something, which viewers do not."""
    return handler.http_methods.isdisjoint({"GET", "HEAD"}) and handler.opt["role"] in ("operator", "admin")


def _failures(description: Description, *, is_open: bool, stores: bool) -> dict[int, list[Code]]:
    codes: list[Code] = list(description.errors)
    if stores and "STORAGE_FULL" not in codes:
        codes.append("STORAGE_FULL")
    if description.idempotent:
        codes.append("IDEMPOTENCY_CONFLICT")
    if not is_open:
        codes += ["UNAUTHORIZED", "TOKEN_EXPIRED", "FORBIDDEN"]
    codes.append("VALIDATION_ERROR")
    if description.body is not None:
        codes += ["PAYLOAD_TOO_LARGE"]
    if description.body is not None and JSON in description.body.media:
        codes += ["INVALID_JSON", "UNSUPPORTED_MEDIA_TYPE"]
    codes += ["RATE_LIMITED", "INTERNAL_ERROR"]
    found: dict[int, list[Code]] = {}
    for code in codes:
        found.setdefault(CODES[code].status, []).append(code)
    return dict(sorted(found.items()))


def _failed(status: int, codes: list[Code]) -> dict[str, Any]:
    header: dict[str, Any] = {"X-Request-ID": {"schema": {"type": "string"}}}
    if status in (429, 503):
        header["Retry-After"] = {"description": "Seconds to wait.", "schema": {"type": "string"}}
    if status == 401:
        header["WWW-Authenticate"] = {"schema": {"type": "string"}}
    return {
        "description": " ".join(f"`{code}`: {CODES[code].meaning}" for code in codes),
        "headers": header,
        "content": {
            JSON: {
                "schema": {"$ref": REFERENCE.format(name="FailureAnswer")},
                "examples": {
                    code: {"value": error_response.body_of(errors.PenstockError(CODES[code].example, code=code))}
                    for code in codes
                },
            }
        },
    }


def configurable(registry: Registry) -> list[Any]:
    """The types that a pipeline configuration consists of."""
    shelves: tuple[Shelf[Any], ...] = (registry.collectors, registry.processors, registry.storages)
    return [*_SETTINGS, model.Concat, model.Join, model.Name, *(k for shelf in shelves for k in shelf.kinds.values())]


def configuration(registry: Registry, schemas: Schemas) -> dict[str, Any]:
    """All components: those of the routes, one for each plug-in, and ``PipelineConfiguration``."""
    components = schemas.components
    shelves: list[tuple[str, Shelf[Any]]] = [
        ("Collector", registry.collectors),
        ("Processor", registry.processors),
        ("Storage", registry.storages),
    ]
    for title, shelf in shelves:
        known = {tag_of(kind): schemas.name(kind) for kind in shelf.kinds.values()}
        for tag, kind in shelf.kinds.items():
            components[known[tag]]["examples"] = [kind.EXAMPLE]
        if title == "Processor":
            known = {tag: _wrapped(components, tag, name) for tag, name in known.items()}
        references = {tag: REFERENCE.format(name=name) for tag, name in sorted(known.items())}
        components[title] = {
            "title": title,
            "oneOf": [{"$ref": reference} for reference in references.values()],
            "discriminator": {"propertyName": "type", "mapping": references},
        }
    name = schemas.of(model.Name)
    components["PipelineConfiguration"] = {
        "title": "PipelineConfiguration",
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "collectors"],
        "properties": {
            "name": name,
            "description": {"type": ["string", "null"]},
            "collectors": _several("Collector", minItems=1),
            "combine": {"oneOf": [schemas.of(model.Concat), schemas.of(model.Join)]},
            "processors": _several("Processor"),
            "storage": _several("Storage", minItems=1, default=model.DEFAULT_STORAGE),
            "execution": schemas.of(model.Execution),
            "schedule": schemas.of(Schedule),
            "trigger": schemas.of(Trigger),
            "notify": {"type": "array", "items": schemas.of(Hook)},
            "publish_if": schemas.of(PublicationBounds),
            "retention": schemas.of(Retention),
            "keep_versions": {"anyOf": [{"type": "integer", "minimum": 1}, {"const": "all"}]},
        },
        "examples": [examples.PIPELINE],
    }
    return components


def _several(name: str, **bounds: Any) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": REFERENCE.format(name=name)}, **bounds}


def _wrapped(components: dict[str, Any], tag: str, name: str) -> str:
    """A processor is written ``{"type": tag, "config": {its fields}}``: the tag moves out of its settings."""
    settings = components[name]
    example = settings.pop("examples")
    settings["properties"].pop("type", None)
    settings["required"] = [r for r in settings.get("required", []) if r != "type"]
    wrapped = f"{name}Step"
    components[wrapped] = {
        "title": wrapped,
        "type": "object",
        "additionalProperties": False,
        "required": ["type"],
        "properties": {"type": {"enum": [tag]}, "config": {"$ref": REFERENCE.format(name=name)}},
        "examples": example,
    }
    return wrapped
