"""Events of OpenLineage (specification 2-0-2) about runs: the part of it that Penstock fills, as values.

A job is a pipeline, a dataset its result or a source. ``run_id`` gives a run the UUID that OpenLineage wants.
"""

from __future__ import annotations

import uuid
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

import service
from service.kit import store_url
from service.model.lifecycle import Status
from service.model.version import Column

EventType = Literal["START", "COMPLETE", "FAIL", "ABORT"]

PRODUCER = f"urn:penstock:{service.__version__}"
_SPEC = "https://openlineage.io/spec"
_RUNS = uuid.UUID("6f1d3f0e-6a0c-5f5e-9d53-5c8f0d1b7a52")  # the name space of our run ids
_ENDS: dict[Status, EventType] = {
    "completed": "COMPLETE", "held": "COMPLETE", "failed": "FAIL", "cancelled": "ABORT", "interrupted": "ABORT",
}  # fmt: skip


def _schema(version: str, name: str) -> Any:
    return msgspec.field(name="_schemaURL", default=f"{_SPEC}/facets/{version}/{name}.json#/$defs/{name}")


class Facet(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all facets: who made it, and the address of its schema."""

    producer: str = msgspec.field(name="_producer", default=PRODUCER)


class SchemaFacet(Facet, frozen=True, kw_only=True):
    """The columns of a dataset."""

    fields: list[Column]
    schema_url: str = _schema("1-2-0", "SchemaDatasetFacet")


class DataSourceFacet(Facet, frozen=True, kw_only=True):
    """The system that holds a dataset."""

    name: str
    uri: str
    schema_url: str = _schema("1-0-1", "DatasourceDatasetFacet")


class VersionFacet(Facet, frozen=True, kw_only=True):
    """The version of a dataset."""

    dataset_version: str
    schema_url: str = _schema("1-0-1", "DatasetVersionDatasetFacet")


class InputField(msgspec.Struct, frozen=True):
    """A column of an input."""

    namespace: str
    name: str
    field: str


class InputFields(msgspec.Struct, frozen=True, rename="camel"):
    """The columns from which a column is made."""

    input_fields: list[InputField]


class ColumnLineageFacet(Facet, frozen=True, kw_only=True):
    """The origins of the columns of an output, by their names."""

    fields: dict[str, InputFields]
    schema_url: str = _schema("1-2-0", "ColumnLineageDatasetFacet")


class InputStatisticsFacet(Facet, frozen=True, kw_only=True):
    """How much of an input was read."""

    row_count: int
    schema_url: str = _schema("1-0-0", "InputStatisticsInputDatasetFacet")


class OutputStatisticsFacet(Facet, frozen=True, kw_only=True):
    """How much an output holds."""

    row_count: int
    size: int
    file_count: int
    schema_url: str = _schema("1-0-2", "OutputStatisticsOutputDatasetFacet")


class ErrorMessageFacet(Facet, frozen=True, kw_only=True):
    """The error with which a run ended."""

    message: str
    programming_language: str = "Python"
    schema_url: str = _schema("1-0-1", "ErrorMessageRunFacet")


class NominalTimeFacet(Facet, frozen=True, kw_only=True):
    """The time for which a run was scheduled, RFC 3339."""

    nominal_start_time: str
    schema_url: str = _schema("1-0-1", "NominalTimeRunFacet")


class RunName(msgspec.Struct, frozen=True, rename="camel"):
    """A run of OpenLineage: a UUID."""

    run_id: str


class JobName(msgspec.Struct, frozen=True):
    """A job of OpenLineage: a pipeline."""

    namespace: str
    name: str


class ParentFacet(Facet, frozen=True, kw_only=True):
    """The run that started a run."""

    run: RunName
    job: JobName
    schema_url: str = _schema("1-2-0", "ParentRunFacet")


class ProcessingEngineFacet(Facet, frozen=True, kw_only=True):
    """The release that executed a run."""

    name: str = "penstock"
    version: str = service.__version__
    schema_url: str = _schema("1-1-1", "ProcessingEngineRunFacet")


class JobTypeFacet(Facet, frozen=True, kw_only=True):
    """The kind of a job."""

    processing_type: str = "BATCH"
    integration: str = "PENSTOCK"
    job_type: str = "PIPELINE"
    schema_url: str = _schema("2-0-4", "JobTypeJobFacet")


class DocumentationFacet(Facet, frozen=True, kw_only=True):
    """The description of a job."""

    description: str
    schema_url: str = _schema("1-1-0", "DocumentationJobFacet")


class Dataset(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a run reads or writes. An input has ``input_facets``, an output ``output_facets``."""

    namespace: str
    name: str
    facets: dict[str, Facet] = {}
    input_facets: dict[str, Facet] | UnsetType = UNSET
    output_facets: dict[str, Facet] | UnsetType = UNSET


class RunPart(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The run that an event is about."""

    run_id: str
    facets: dict[str, Facet]


class JobPart(msgspec.Struct, frozen=True, kw_only=True):
    """The job of the run."""

    namespace: str
    name: str
    facets: dict[str, Facet]


class RunEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An event; ``event_time`` is RFC 3339 in UTC."""

    event_type: EventType
    event_time: str
    run: RunPart
    job: JobPart
    inputs: list[Dataset]
    outputs: list[Dataset]
    producer: str = PRODUCER
    schema_url: str = msgspec.field(name="schemaURL", default=f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent")


def event_type(status: Status, attempt: int) -> EventType | None:
    """The event of a run that gets ``status`` in ``attempt``. A run has one START, however many attempts it takes."""
    if status == "running":
        return "START" if attempt == 1 else None
    return _ENDS.get(status)


def run_id(penstock_id: str) -> str:
    """The UUID of a run, always the same."""
    return str(uuid.uuid5(_RUNS, penstock_id))


def place(address: str, kind: str) -> tuple[str, str]:
    """Namespace and name of a source: a file, an object, or the origin of a URL and its path without the query.

    ``kind`` is the type of the collector, and the namespace of what is neither.
    """
    if store_url.names_objects(address):
        return store_url.divided(address)
    parts = urlsplit(address)
    if parts.scheme in ("http", "https"):
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path or "/"
    return ("file", parts.path) if parts.scheme == "file" else (kind, address)
