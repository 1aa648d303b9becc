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
from service.api import configuration_schema, error_response, examples, idempotency, json_schemas
from service.api.audit_actions import Action
from service.api.json_schemas import REFERENCE, Schemas
from service.api.login import PUBLIC
from service.api.route_docs import JSON, Description, RequestBody, ResponseDoc
from service.kit import errors
from service.kit.codes import CODES, Code
from service.model.formats import MEDIA_TYPES
from service.model.registry import Registry

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
    "key": ("The values of the key, separated by commas.", "2"),
    "run_id": ("The run.", examples.RUN_ID),
    "number": ("The version.", "3"),
    "id": ("The id of the key.", "key_01a22c7c8586b609314fedd0"),
    "tag": ("The tag.", "stable"),
    "table": ("A table, `orders` or `orders@3`.", "orders"),
    "username": ("The name of the account.", "ann"),
    "path": ("The path of the file, relative to the uploads.", "orders.csv"),
    "asset": ("The asset's name.", "start.js"),
    "file": ("The name of a file, as the page has it.", "app.8163f3b88832.js"),
    "page": ("The page's name.", "reading"),
}
_QUERY = ("The name of the saved query.", "orders-by-city")
_OF_ROWS = frozenset(MEDIA_TYPES) - {JSON}
_OF_QUERIES = ("/api/v1/q/", "/api/v1/queries/")


def document(app: Litestar, registry: Registry) -> dict[str, Any]:
    """The document of the routes of ``app`` with the plug-ins of ``registry``."""
    routes = list(_routes(app))
    named = [kind for _, _, description in routes for kind in _kinds(description)]
    schemas = Schemas([*named, *configuration_schema.kinds(registry)])
    configurations = configuration_schema.named_examples(registry)
    paths: dict[str, dict[str, Any]] = {}
    for path, handler, description in sorted(routes, key=lambda r: (r[0], min(r[1].http_methods))):
        method = min(handler.http_methods).lower()
        paths.setdefault(path, {})[method] = _operation(path, method, handler, description, schemas, configurations)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock",
            "version": service.__version__,
            "summary": "Data pipelines and analytics as one service.",
            "description": "Collect, process, version, and query data over REST. Log in with `POST /api/v1/auth/token` "
            "and send the access token as `Authorization: Bearer …`. Every error has the same body, and every answer "
            "an `X-Request-ID` that is also in the service's log. `RateLimit-Limit`, `RateLimit-Remaining` and "
            "`RateLimit-Reset` (seconds) tell how many requests are left; a 429 or 503 has `Retry-After`. "
            "`HEAD` works wherever `GET` does. Requests with "
            "too many or too long headers get a 431 (`HEADERS_TOO_LARGE`), and tokens of an issuer that does not "
            "answer a 503 (`ISSUER_UNAVAILABLE`), whatever the route; so does an object store that does not answer "
            "(`STORE_UNAVAILABLE`). What cannot be read as a request, a path of more than 64 KiB and more than 100 "
            "headers end the connection with 400, 414 or 431 without a body.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": configuration_schema.components(registry, schemas),
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
    path: str,
    method: str,
    handler: HTTPRouteHandler,
    description: Description,
    schemas: Schemas,
    configurations: dict[str, Any],
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
        operation["requestBody"] = _body(description.body, schemas, configurations)
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


def _body(body: RequestBody, schemas: Schemas, configurations: dict[str, Any]) -> dict[str, Any]:
    if body.pipeline:
        schema: dict[str, Any] | None = {"$ref": REFERENCE.format(name="PipelineConfiguration")}
    else:
        schema = schemas.of(body.kind) if body.kind is not None else None
    example = {"examples": configurations} if body.pipeline else {"example": body.example}
    if body.example is None and not body.pipeline:
        example = {}
    content = {
        media: {"schema": schema or json_schemas.of_media(media), **example}
        if media not in _OF_ROWS
        else {"schema": json_schemas.of_media(media)}
        for media in body.media
    }
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
    """Whether a route may write to the disk: those that change something, which viewers do not, and log-ins."""
    action: Action | None = handler.opt.get("action")
    if action is not None and not action.goes_on:
        return True
    return handler.http_methods.isdisjoint({"GET", "HEAD"}) and handler.opt["role"] in ("operator", "admin")


def _failures(description: Description, *, is_open: bool, stores: bool) -> dict[int, list[Code]]:
    codes: list[Code] = list(description.errors)
    if (stores or "QUERY_TOO_LARGE" in codes) and "STORAGE_FULL" not in codes:  # queries spill
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
