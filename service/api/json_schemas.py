"""JSON schemas of the types that routes name, in a form that generators of clients understand.

Each component has a title of its own, each array says what its items are, if only that they may be anything, and
defaults have no quotation marks.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import msgspec

from service.api import responses

REFERENCE = "#/components/schemas/{name}"
_TEXT = ("application/x-ndjson",)


class Schemas:
    """The schemas of all types that routes name, with their components."""

    def __init__(self, kinds: Iterable[Any]) -> None:
        # All in one call, so that msgspec gives types of the same name their full names.
        self._order = [responses.FailureAnswer, *kinds]
        schemas, components = msgspec.json.schema_components(self._order, ref_template=REFERENCE)
        names = {name: _short(name) for name in components}
        self.components: dict[str, Any] = {names[name]: _plain(schema, names) for name, schema in components.items()}
        for name, component in self.components.items():
            component["title"] = name
            if "description" in component:  # docstrings are marked up for readers of the source
                component["description"] = inspect.cleandoc(component["description"]).replace("``", "`")
        self._schemas = [_plain(schema, names) for schema in schemas]

    def name(self, kind: Any) -> str:
        """The name of a struct's component."""
        return str(self._schemas[self._order.index(kind)]["$ref"]).rpartition("/")[2]

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type; that of a list is the schema of a page of it."""
        schema = self._schemas[self._order.index(kind)]
        if getattr(kind, "__origin__", None) is not list:
            return dict(schema)
        number = {"type": "integer", "minimum": 0}
        return {
            "type": "object",
            "properties": {"items": schema, "total": number, "limit": number, "offset": number},
            "required": ["items", "total", "limit", "offset"],
        }


def of_media(media: str) -> dict[str, Any]:
    """The schema of a body that is not JSON: text or bytes."""
    if media.startswith("text/") or media in _TEXT:
        return {"type": "string"}
    return {"type": "string", "format": "binary"}


def _short(name: str) -> str:
    """The name of a component; where two types have one name, msgspec gives the full path, whose room comes first."""
    parts = name.split(".")
    return name if len(parts) < 3 else f"{parts[1].capitalize()}{parts[-1]}"


def _plain(schema: Any, names: dict[str, str]) -> Any:
    """A schema with short names in its references, and ``items`` in every array."""
    if isinstance(schema, list):
        return [_plain(part, names) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _plain(value, names) for key, value in schema.items()}
    if isinstance(reference := found.get("$ref"), str):
        prefix, _, name = reference.rpartition("/")
        found["$ref"] = f"{prefix}/{names[name]}"
    if isinstance(pattern := found.get("pattern"), str):  # in Python ``$`` also matches before a line break at the end
        found["pattern"] = pattern.replace(r"\Z", "$")
    default = found.get("default")
    if (
        isinstance(default, str) and '"' in default
    ):  # generators write such a text wrongly, so that clients send another
        found["description"] = f"{found.get('description', '')} `{found.pop('default')}` by default.".strip()
    if found.get("type") == "array" and "items" not in found and "prefixItems" not in found:
        found["items"] = {}
    return found
