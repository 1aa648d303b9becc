"""The route of lineage: where the data of a pipeline comes from, and what is made of it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.params import FromPath

from service.api import access, etags, examples, query_string
from service.api.path_lookup import find_pipeline, find_version
from service.api.query_string import about
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get
from service.api.services import ServicesDependency, TypedRequest
from service.kit import errors
from service.model.lineage import Lineage, TracedColumns
from service.model.version import Version
from service.runs import lineage_graph
from service.runs.lineage_graph import LineageGraph

_SECONDS = 30.0


class LineageQuery(query_string.NoParameters, frozen=True, kw_only=True):
    """How far to look."""

    depth: Annotated[int, about("How many steps above and below the pipeline.", ge=0, le=20)] = 2


@get(
    "/pipeline/{name:str}/lineage",
    **route(
        "viewer",
        "Results",
        "Read the lineage",
        "Answers the pipelines, files and addresses that a pipeline depends on, those that depend on it, and from "
        "which columns of its collectors each of its columns is made. It is computed from the newest revisions, with "
        "the columns that the collectors of the newest version had. Filters and joins decide which rows there are; "
        "only what is in a column is an origin. A column of a `sql` step that cannot be traced has all columns as "
        "origins; if no column can be traced, `columns` is null and `why` has the reason.",
        ResponseDoc(text="The lineage.", kind=Lineage, example=examples.LINEAGE, headers=etags.RESPONSE_HEADERS),
        etags.NOT_MODIFIED,
        errors=("PIPELINE_NOT_FOUND", "QUERY_TIMEOUT", "OVERLOADED"),
        query=LineageQuery,
        headers=etags.REQUEST_HEADERS,
    ),
)
async def read_lineage(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[Any]:
    depth = query_string.read(request, LineageQuery).depth
    record = await find_pipeline(services, name)
    version: Version | None = None
    with contextlib.suppress(errors.Missing):
        version = await find_version(services, name)
    visible = access.readable(request, services)
    graph = await asyncio.to_thread(LineageGraph, services.pipelines, services.registry, visible)
    nodes, edges = await asyncio.to_thread(graph.around, name, depth)
    seen = msgspec.json.encode([record.id, record.revision, version and version.run_id, nodes, edges, depth])
    headers = etags.headers(etags.of_content(seen))
    if (same := etags.not_modified(request, headers)) is not None:
        return same
    task = lineage_graph.tracing(record.document, version)
    answer = await services.tasks.ask(task, seconds=_SECONDS, document=record.document)
    traced = msgspec.json.decode(answer, type=TracedColumns)
    lineage = Lineage(
        pipeline=name, revision=record.revision, version=version.version if version is not None else None, depth=depth,
        nodes=nodes, edges=edges, columns=traced.columns, why=traced.why,
    )  # fmt: skip
    return Response(lineage, headers=headers)


HANDLERS = [read_lineage]
