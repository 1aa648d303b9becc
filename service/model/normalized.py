"""The normalized configuration of a pipeline: every default and every short form spelled out.

Secrets stay as they were written.
"""

from __future__ import annotations

from typing import Any

import msgspec

from service.model import storage_modes
from service.model.pipeline import Pipeline


def resolved(pipeline: Pipeline) -> dict[str, Any]:
    """The equivalent configuration that leaves nothing out; a valid request body."""
    shared = {n: _written(v) for n, v in storage_modes.shared(pipeline.storage, pipeline.document).items()}
    return {
        "name": pipeline.name,
        "description": pipeline.description,
        "collectors": [
            _written(c.spelled_out()) | {"id": pipeline.label(i)} for i, c in enumerate(pipeline.collectors)
        ],
        **({"combine": _written(pipeline.combine)} if len(pipeline.collectors) > 1 else {}),
        "processors": [_processor(p.spelled_out()) for p in pipeline.processors],
        "storage": [_storage(s, pipeline.default_table, shared) for s in pipeline.storage],
        "execution": _written(pipeline.execution),
        **({"schedule": _written(pipeline.schedule)} if pipeline.schedule is not None else {}),
        **({"trigger": _written(pipeline.trigger)} if pipeline.trigger is not None else {}),
        **({"notify": _written(pipeline.notify)} if pipeline.notify else {}),
        **({"publish_if": _written(pipeline.publish_if)} if pipeline.publish_if is not None else {}),
        **({"retention": _written(pipeline.retention)} if pipeline.retention is not None else {}),
    }


def _processor(value: Any) -> dict[str, Any]:
    written = _written(value)
    return {"type": written.pop("type"), "config": written}


def _storage(value: Any, table: str, shared: dict[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = _written(value)
    written |= {name: setting for name, setting in shared.items() if name in written}
    return written | {"table": table} if written.get("table", "") is None else written


def _written(value: Any) -> Any:
    """JSON-like, including fields with default values, which msgspec omits for plug-ins."""
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        tag = {} if config.tag is None else {str(config.tag_field): config.tag}
        return tag | {f.encode_name: _written(getattr(value, f.name)) for f in msgspec.structs.fields(value)}
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_written(item) for item in value]
    return msgspec.to_builtins(value)
