"""The paths of saved queries in the OpenAPI document: typed parameters, and the columns of the answer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from service.model.formats import FORMATS, MEDIA_TYPES
from service.model.query_parameters import Kind, Parameter
from service.model.saved_query import SavedQuery

_GENERAL = "/api/v1/q/{name}"
_KINDS: dict[Kind, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "decimal": {"type": "string", "format": "decimal"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "datetime": {"type": "string", "format": "date-time"},
}
_COLUMNS: dict[str, dict[str, Any]] = {
    "BOOLEAN": {"type": "boolean"},
    "DOUBLE": {"type": "number"},
    "FLOAT": {"type": "number"},
    "DATE": {"type": "string", "format": "date"},
    "TIMESTAMP WITH TIME ZONE": {"type": "string", "format": "date-time"},
    "BLOB": {"type": "string", "contentEncoding": "base64"},
}
_MOST_KEPT = 8  # callers see different saved queries


class ApiDocument:
    """The OpenAPI document of the routes, with the paths of saved queries added."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._encoded: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()

    def encoded(self, queries: Sequence[SavedQuery]) -> bytes:
        """The document with these saved queries, as JSON."""
        key = tuple((query.name, query.updated) for query in queries)
        if key not in self._encoded:
            paths = {**self._document["paths"], **self._paths(queries)}
            self._encoded[key] = msgspec.json.encode({**self._document, "paths": paths})
        self._encoded.move_to_end(key)
        while len(self._encoded) > _MOST_KEPT:
            self._encoded.popitem(last=False)
        return self._encoded[key]

    def _paths(self, queries: Sequence[SavedQuery]) -> dict[str, Any]:
        general = self._document["paths"][_GENERAL]["get"]
        return {
            _GENERAL.format(name=query.name): {"get": operation(query, identity, general)}
            for query, identity in zip(queries, _identities(queries), strict=True)
        }


def _identities(queries: Sequence[SavedQuery]) -> list[str]:
    """A name for each query as programs have them; ``a-b`` and ``a_b`` get different ones."""
    taken: list[str] = []
    for query in queries:
        plain, number = query.name.replace("-", "_"), 2
        identity = plain
        while identity in taken:
            identity, number = f"{plain}_{number}", number + 1
        taken.append(identity)
    return taken


def operation(query: SavedQuery, identity: str, general: dict[str, Any]) -> dict[str, Any]:
    """The operation of one saved query, made from that of the general path."""
    shared = [parameter for parameter in general["parameters"] if parameter["in"] != "path"]
    answer = general["responses"]["200"]
    content: dict[str, Any] = {media: {} for media in MEDIA_TYPES}
    content[FORMATS["json"].media_type] = {"schema": _result(query, identity)}
    needs: dict[str, Any] = {"security": []} if query.public else {"security": [{"token": []}, {"password": []}]}
    return {
        **general,
        **needs,
        "operationId": f"query_{identity}",
        "summary": query.description.partition("\n")[0][:120] or f"Answer the saved query {query.name}",
        "description": query.description or f"Answers the saved query `{query.name}`.",
        "parameters": [*(_parameter(name, about) for name, about in query.parameters.items()), *shared],
        "responses": {**general["responses"], "200": {**answer, "content": content}},
    }


def _parameter(name: str, about: Parameter) -> dict[str, Any]:
    schema = dict(_KINDS[about.type])
    if about.enum is not None:
        schema["enum"] = about.enum
    if about.default is not None:
        schema["default"] = about.default
    text = about.description or f"`${name}` of the query."
    return {"name": name, "in": "query", "required": about.required, "description": text, "schema": schema}


def _result(query: SavedQuery, identity: str) -> dict[str, Any]:
    title = "".join(part.capitalize() for part in identity.split("_"))
    row = {
        "type": "object",
        "title": f"{title}Row",
        "properties": {column.name: column_schema(column.type) for column in query.columns},
        "required": list(dict.fromkeys(column.name for column in query.columns)),
    }
    return {
        "type": "object",
        "title": f"{title}Result",
        "properties": {
            "columns": {"type": "array", "items": {"$ref": "#/components/schemas/ColumnType"}},
            "data": {"type": "array", "items": row},
            "row_count": {"type": "integer"},
            "truncated": {"type": "boolean"},
            "elapsed_ms": {"type": "number"},
        },
        "required": ["columns", "data", "row_count", "truncated", "elapsed_ms"],
    }


def column_schema(kind: str) -> dict[str, Any]:
    """The JSON schema of the values of a DuckDB type, as answers have them; every column may hold null."""
    if kind.endswith("[]"):
        return {"type": ["array", "null"], "items": column_schema(kind[:-2])}
    if kind.endswith(("INT", "INTEGER")):
        return {"type": ["integer", "null"]}
    if kind.startswith(("STRUCT", "MAP", "UNION")) or kind.endswith("]"):
        return {}
    schema = _COLUMNS.get(kind, {"type": "string"})
    return {**schema, "type": [schema["type"], "null"]}
