"""The schema of a pipeline configuration, from the plug-ins that this installation has, with an example of each."""

from __future__ import annotations

import inspect
from typing import Any

from service.api import examples
from service.api.json_schemas import REFERENCE, Schemas
from service.model import pipeline as model
from service.model.hook import Hook
from service.model.publication_bounds import PublicationBounds
from service.model.registry import Registry, Shelf, tag_of
from service.model.retention import Retention
from service.model.schedule import Schedule
from service.model.trigger import Trigger

_SETTINGS = (model.Execution, Schedule, Trigger, Hook, PublicationBounds, Retention)


def kinds(registry: Registry) -> list[Any]:
    """The types that a pipeline configuration consists of."""
    plugins = (kind for _, shelf in _shelves(registry) for kind in shelf.kinds.values())
    return [*_SETTINGS, model.Concat, model.Join, model.Name, *plugins]


def components(registry: Registry, schemas: Schemas) -> dict[str, Any]:
    """All components: those of the routes, one for each plug-in, and ``PipelineConfiguration``."""
    found = schemas.components
    for field, shelf in _shelves(registry):
        title = field.removesuffix("s").capitalize()
        known = {tag_of(kind): schemas.name(kind) for kind in shelf.kinds.values()}
        for tag, kind in shelf.kinds.items():
            found[known[tag]]["examples"] = [kind.EXAMPLE]
        if title == "Processor":
            known = {tag: _wrapped(found, tag, name) for tag, name in known.items()}
        references = {tag: REFERENCE.format(name=name) for tag, name in sorted(known.items())}
        found[title] = {
            "title": title,
            "oneOf": [{"$ref": reference} for reference in references.values()],
            "discriminator": {"propertyName": "type", "mapping": references},
        }
    name = schemas.of(model.Name)
    found["PipelineConfiguration"] = {
        "title": "PipelineConfiguration",
        "description": "A pipeline: what it collects, how rows are processed, and where they are stored.",
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "collectors"],
        "properties": {
            "name": name,
            "description": {"type": ["string", "null"], "description": "What the pipeline is for."},
            "collectors": _several("Collector", "What reads the sources; their rows become one table.", minItems=1),
            "combine": {
                "description": "How the rows of several collectors become one table; below each other by default.",
                "oneOf": [schemas.of(model.Concat), schemas.of(model.Join)],
            },
            "processors": _several("Processor", "What changes, checks or describes the rows, in this order."),
            "storage": _several("Storage", "Where each version is stored.", minItems=1, default=model.DEFAULT_STORAGE),
            "execution": schemas.of(model.Execution),
            "schedule": schemas.of(Schedule),
            "trigger": schemas.of(Trigger),
            "notify": {"type": "array", "description": "Who is told when a run ends.", "items": schemas.of(Hook)},
            "publish_if": schemas.of(PublicationBounds),
            "retention": schemas.of(Retention),
            "keep_versions": {
                "description": "An older name of `retention.versions`.",
                "anyOf": [{"type": "integer", "minimum": 1}, {"const": "all"}],
            },
        },
        "examples": [examples.PIPELINE],
    }
    return found


def named_examples(registry: Registry) -> dict[str, Any]:
    """Configurations to begin with: a whole one, and one for each plug-in, by its kind and tag."""
    found = {"pipeline": {"summary": "A whole pipeline", "value": examples.PIPELINE}}
    for field, shelf in _shelves(registry):
        for tag, kind in sorted(shelf.kinds.items()):
            value = {"name": "example", "collectors": examples.PIPELINE["collectors"], field: [kind.EXAMPLE]}
            what = f"{'storage' if field == 'storage' else field.removesuffix('s')} {tag}"
            summary = f"{what}: {inspect.getdoc(kind) or ''}".partition("\n")[0].replace("``", "`")
            found[what.replace(" ", "-")] = {"summary": summary, "value": value}
    return found


def _shelves(registry: Registry) -> list[tuple[str, Shelf[Any]]]:
    return [
        ("collectors", registry.collectors), ("processors", registry.processors), ("storage", registry.storages),
    ]  # fmt: skip


def _several(name: str, text: str, **bounds: Any) -> dict[str, Any]:
    return {"type": "array", "description": text, "items": {"$ref": REFERENCE.format(name=name)}, **bounds}


def _wrapped(components: dict[str, Any], tag: str, name: str) -> str:
    """A processor is written ``{"type": tag, "config": {its fields}}``: the tag moves out of its settings."""
    settings = components[name]
    example = settings.pop("examples")
    settings["properties"].pop("type", None)
    settings["required"] = [r for r in settings.get("required", []) if r != "type"]
    wrapped = f"{name}Step"
    components[wrapped] = {
        "title": wrapped,
        "description": settings.get("description", ""),
        "type": "object",
        "additionalProperties": False,
        "required": ["type"],
        "properties": {"type": {"enum": [tag]}, "config": {"$ref": REFERENCE.format(name=name)}},
        "examples": example,
    }
    return wrapped
