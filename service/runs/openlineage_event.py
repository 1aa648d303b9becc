"""The OpenLineage event of a run: the datasets that it reads and writes, and what the catalog knows about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from service.catalog import trigger_inputs
from service.catalog.lineage_events import LineageEvents, Waiting
from service.files import allowed_files
from service.kit import clock, store_url
from service.model import lineage, openlineage
from service.model.lineage import LineageNode, TracedColumns
from service.model.openlineage import Dataset, Facet, InputField, InputFields
from service.model.run import Run
from service.model.version import Source, named_types
from service.runs.job_resources import JobResources
from service.runs.lineage_graph import edges_of

_MOST_INPUTS = 1000
_MOST_ORIGINS = 20_000
"""An event whose columns have more origins leaves them out, so that it stays below a few MiB."""


def is_traceable(waiting: Waiting) -> bool:
    """Whether the columns of the run's version are made from its collectors' by the steps of the configuration."""
    return _has_outputs(waiting) and waiting.version is not None and _copied(waiting.run) is None


def _has_outputs(waiting: Waiting) -> bool:
    """Whether the run has stored what readers see: a held one only when its version is accepted."""
    return waiting.event == "COMPLETE" and (waiting.run.status != "held" or waiting.accepted)


class EventEncoder:
    """Makes events; ``namespace`` is that of jobs and stored datasets. Methods block."""

    def __init__(self, resources: JobResources, events: LineageEvents, namespace: str) -> None:
        self._resources, self._events, self._namespace = resources, events, namespace

    def encode(self, waiting: Waiting, columns: TracedColumns | None) -> str:
        """The event as JSON; ``columns`` are the origins of the columns of its version, as far as they are known."""
        run = waiting.run
        inputs = self._inputs(waiting)
        event = openlineage.RunEvent(
            event_type=waiting.event, event_time=clock.rfc3339(waiting.time),
            run=openlineage.RunPart(run_id=openlineage.run_id(run.run_id), facets=self._run_facets(waiting)),
            job=openlineage.JobPart(namespace=self._namespace, name=run.pipeline, facets=_job_facets(waiting.document)),
            inputs=list({(d.namespace, d.name): d for _, d in inputs}.values()),
            outputs=self._outputs(waiting, columns, inputs),
        )  # fmt: skip
        return msgspec.json.encode(event).decode()

    def _run_facets(self, waiting: Waiting) -> dict[str, Facet]:
        run, facets = waiting.run, dict[str, Facet](processing_engine=openlineage.ProcessingEngineFacet())
        if waiting.due is not None:
            facets["nominalTime"] = openlineage.NominalTimeFacet(nominal_start_time=clock.rfc3339(waiting.due))
        upstreams = trigger_inputs.upstreams(waiting.document)
        if run.requested_by == "trigger" and (by := self._events.started_by(upstreams, run)) is not None:
            facets["parent"] = openlineage.ParentFacet(
                run=openlineage.RunName(openlineage.run_id(by[0])), job=openlineage.JobName(self._namespace, by[1])
            )
        if waiting.event in ("FAIL", "ABORT") and run.error is not None:
            facets["errorMessage"] = openlineage.ErrorMessageFacet(message=f"{run.error.code}: {run.error.message}")
        return facets

    def _inputs(self, waiting: Waiting) -> list[tuple[str, Dataset]]:
        """The datasets that the run reads, each with the step that names it."""
        run, version = waiting.run, waiting.version
        if (copied := _copied(run)) is not None:
            return [("", self._stored(run.pipeline, copied))]
        read = version.sources if version is not None and waiting.event == "COMPLETE" else []
        sources = {f"collectors[{place}]": source for place, source in enumerate(read)}
        found = []
        for edge in edges_of(run.pipeline, waiting.document, self._resources.registry):
            if edge.kind == "triggers":
                continue
            source = sources.get(edge.step)
            number = source.evidence.get("version", edge.version) if source is not None else edge.version
            found.append((edge.step, self._stored(edge.source.partition(":")[2], number, source)))
        outside = lineage.source_nodes(run.pipeline, waiting.document)[:_MOST_INPUTS]
        steps = [edge.step for _, edge in outside]
        for node, edge in outside:
            place = openlineage.place(self._address(node, waiting.document, edge.step), node.type)
            found.append((edge.step, _dataset(place, sources.get(edge.step), alone=steps.count(edge.step) == 1)))
        return found

    def _stored(self, pipeline: str, number: object, source: Source | None = None) -> Dataset:
        dataset = _dataset((self._namespace, pipeline), source, alone=True)
        if number is not None:
            dataset.facets["version"] = openlineage.VersionFacet(dataset_version=str(number))
        return dataset

    def _address(self, node: LineageNode, document: Mapping[str, Any], step: str) -> str:
        """The address of a source; that of a file is absolute, in the first root that has it, else in the uploads."""
        place = int(step.removeprefix("collectors[").removesuffix("]"))
        if not document["collectors"][place].get("file_path"):
            return node.name
        if store_url.names_objects(node.name):
            return node.name
        path, uploads = allowed_files.path_of(node.name), self._resources.layout.uploads
        roots = [uploads, *self._resources.settings.root_folders]
        root = next((root for root in roots if (root / path).exists()), uploads)
        return f"file://{root / path}"

    def _outputs(
        self, waiting: Waiting, columns: TracedColumns | None, inputs: list[tuple[str, Dataset]]
    ) -> list[Dataset]:
        """The dataset of the pipeline; what the run stored in it is known when it is complete.

        A held run has none until its version is accepted.
        """
        run, version = waiting.run, waiting.version
        if waiting.event == "COMPLETE" and not _has_outputs(waiting):
            return []
        name = (self._namespace, run.pipeline)
        if version is None or waiting.event != "COMPLETE":
            return [Dataset(namespace=name[0], name=name[1], output_facets={})]
        uri = f"file://{self._resources.layout.pipeline(run.pipeline)}"
        facets: dict[str, Facet] = {
            "schema": openlineage.SchemaFacet(fields=named_types(version.columns)),
            "version": openlineage.VersionFacet(dataset_version=str(version.version)),
            "dataSource": openlineage.DataSourceFacet(name=self._namespace, uri=uri),
        }
        if columns is not None and (origins := _origins(columns, inputs)):
            facets["columnLineage"] = openlineage.ColumnLineageFacet(fields=origins)
        statistics = openlineage.OutputStatisticsFacet(
            row_count=version.rows, size=sum(f.bytes for f in version.files), file_count=len(version.files)
        )
        return [Dataset(namespace=name[0], name=name[1], facets=facets, output_facets={"outputStatistics": statistics})]


def _copied(run: Run) -> int | None:
    """The version of the same pipeline that a replay or a restoration reads; None for other runs."""
    return run.replay_of if run.replay_of is not None else run.restored_from


def _job_facets(document: Mapping[str, Any]) -> dict[str, Facet]:
    facets: dict[str, Facet] = {"jobType": openlineage.JobTypeFacet()}
    if document.get("description"):
        facets["documentation"] = openlineage.DocumentationFacet(description=str(document["description"]))
    return facets


def _dataset(place: tuple[str, str], source: Source | None, *, alone: bool) -> Dataset:
    """A dataset with the facets of its collector; ``alone``: the collector reads no other one."""
    namespace, name = place
    facets: dict[str, Facet] = {}
    read: dict[str, Facet] = {}
    if "://" in namespace or namespace == "file":
        uri = namespace if "://" in namespace else f"file://{name}"
        facets["dataSource"] = openlineage.DataSourceFacet(name=namespace, uri=uri)
    if source is not None and source.columns:
        facets["schema"] = openlineage.SchemaFacet(fields=source.columns)
    if source is not None and alone:
        read["inputStatistics"] = openlineage.InputStatisticsFacet(row_count=source.rows)
    return Dataset(namespace=namespace, name=name, facets=facets, input_facets=read)


def _origins(columns: TracedColumns, inputs: list[tuple[str, Dataset]]) -> dict[str, InputFields]:
    """The origins of each column that has any; none at all if they are unknown or too many."""
    places: dict[str, list[Dataset]] = {}
    for step, dataset in inputs:
        places.setdefault(step, []).append(dataset)
    found = {
        column.name: InputFields(list(dict.fromkeys(  # two collectors may read one dataset
            InputField(dataset.namespace, dataset.name, name)
            for origin in column.origins for dataset in places.get(origin.collector, []) for name in origin.columns
        )))
        for column in columns.columns or []
    }  # fmt: skip
    total = sum(len(fields.input_fields) for fields in found.values())
    return {name: fields for name, fields in found.items() if fields.input_fields} if total <= _MOST_ORIGINS else {}
