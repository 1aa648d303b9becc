"""The built-in plug-ins and those of the sample package, and a document of one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from service.model.registry import Registry
from service.steps.collector import Collector
from service.steps.processor import Processor
from service.steps.storage import Storage

EXTENSION = Path(__file__).parent / "contract" / "extension"
Plugin = type[Collector] | type[Processor] | type[Storage]


def with_sample_package() -> Registry:
    """The registry as an installation has it that finds the sample package on its path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXTENSION)
        return Registry.load()


REGISTRY = with_sample_package()
PLUGINS: list[tuple[str, Plugin]] = [
    *(("collectors", cls) for cls in REGISTRY.collectors.kinds.values()),
    *(("processors", cls) for cls in REGISTRY.processors.kinds.values()),
    *(("storage", cls) for cls in REGISTRY.storages.kinds.values()),
]


def pipeline_document(**changes: Any) -> dict[str, Any]:
    """The smallest pipeline, one CSV file and no processor, with the given parts changed or added."""
    return {"name": "p", "collectors": [{"type": "csv", "file_path": "x.csv"}], **changes}


def a_pipeline(**changes: Any) -> Pipeline:
    """That document, decoded. Raises ``errors.Invalid``."""
    return pipelines.decode(pipeline_document(**changes), REGISTRY)


def document(place: str, *items: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "name": "p",
        "collectors": [{"type": "counted", "rows": 1}],
        "storage": [{"type": "parquet"}],
    }
    return {**whole, place: list(items)}


def decoded(place: str, item: Any) -> Any:
    return getattr(pipelines.decode(document(place, item), REGISTRY), place)[0]
