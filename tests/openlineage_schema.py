"""What OpenLineage 2-0-2 wants of a run event, written after its JSON schemas."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

_URI = re.compile(r"[a-z][a-z0-9+.-]*:\S+")
FACETS: dict[str, tuple[str, set[str]]] = {
    "schema": ("facets/1-2-0/SchemaDatasetFacet", {"fields"}),
    "dataSource": ("facets/1-0-1/DatasourceDatasetFacet", {"name", "uri"}),
    "version": ("facets/1-0-1/DatasetVersionDatasetFacet", {"datasetVersion"}),
    "columnLineage": ("facets/1-2-0/ColumnLineageDatasetFacet", {"fields"}),
    "inputStatistics": ("facets/1-0-0/InputStatisticsInputDatasetFacet", {"rowCount"}),
    "outputStatistics": ("facets/1-0-2/OutputStatisticsOutputDatasetFacet", {"rowCount", "size", "fileCount"}),
    "errorMessage": ("facets/1-0-1/ErrorMessageRunFacet", {"message", "programmingLanguage"}),
    "nominalTime": ("facets/1-0-1/NominalTimeRunFacet", {"nominalStartTime"}),
    "parent": ("facets/1-2-0/ParentRunFacet", {"run", "job"}),
    "processing_engine": ("facets/1-1-1/ProcessingEngineRunFacet", {"name", "version"}),
    "jobType": ("facets/2-0-4/JobTypeJobFacet", {"processingType", "integration", "jobType"}),
    "documentation": ("facets/1-1-0/DocumentationJobFacet", {"description"}),
}
"""The version and the fields of each facet, by its key."""


def problems(event: dict[str, Any]) -> list[str]:
    """What is wrong with a run event."""
    return [text for text in _problems(event) if text]


def _problems(event: dict[str, Any]) -> Iterable[str | None]:
    wanted = {"eventType", "eventTime", "run", "job", "inputs", "outputs", "producer", "schemaURL"}
    yield _keys("event", event, wanted)
    yield _is("eventType", event["eventType"] in ("START", "RUNNING", "COMPLETE", "FAIL", "ABORT", "OTHER"))
    yield _is("eventTime", datetime.fromisoformat(event["eventTime"]).tzinfo is not None and "T" in event["eventTime"])
    yield _is("producer", _URI.fullmatch(event["producer"]) is not None)
    yield _is("schemaURL", event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent")
    yield _keys("run", event["run"], {"runId", "facets"})
    yield _is("runId", str(uuid.UUID(event["run"]["runId"])) == event["run"]["runId"])
    yield _keys("job", event["job"], {"namespace", "name", "facets"})
    yield from _facets(event["run"]["facets"], {"errorMessage", "nominalTime", "parent", "processing_engine"})
    yield from _facets(event["job"]["facets"], {"jobType", "documentation"})
    of_datasets = {"schema", "dataSource", "version", "columnLineage"}
    for kind, extra in (("input", "inputStatistics"), ("output", "outputStatistics")):
        for dataset in event[f"{kind}s"]:
            yield _keys(kind, dataset, {"namespace", "name", "facets", f"{kind}Facets"})
            yield _is(f"{kind}.name", bool(dataset["namespace"] and dataset["name"]))
            yield from _facets(dataset["facets"], of_datasets)
            yield from _facets(dataset[f"{kind}Facets"], {extra})
            for field in dataset["facets"].get("schema", {"fields": []})["fields"]:
                yield _keys("schema.fields", field, {"name", "type"})
            for origin in _origins(dataset):
                yield _keys("inputFields", origin, {"namespace", "name", "field"})
                known = {(d["namespace"], d["name"]) for d in event["inputs"]}
                yield _is("inputFields", (origin["namespace"], origin["name"]) in known)


def _origins(dataset: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for column in dataset["facets"].get("columnLineage", {"fields": {}})["fields"].values():
        yield from column["inputFields"]


def _facets(facets: dict[str, Any], allowed: set[str]) -> Iterable[str | None]:
    yield _is("facets", facets.keys() <= allowed)
    for key, facet in facets.items():
        path, fields = FACETS[key]
        yield _keys(key, facet, fields | {"_producer", "_schemaURL"})
        address = f"https://openlineage.io/spec/{path}.json#/$defs/{path.rpartition('/')[2]}"
        yield _is(f"{key}._schemaURL", facet["_schemaURL"] == address)


def _keys(what: str, value: dict[str, Any], wanted: set[str]) -> str | None:
    return None if value.keys() == wanted else f"{what} has {sorted(value)}, not {sorted(wanted)}"


def _is(what: str, holds: bool) -> str | None:
    return None if holds else f"{what} is wrong"
