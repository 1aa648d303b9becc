"""Probing: a look at one source before there is a pipeline. A child looks; what it says is relayed."""

from __future__ import annotations

from litestar import Response, post

from service.api import examples, query_string, request_body
from service.api.route_docs import JSON, RequestBody, ResponseDoc, route
from service.api.services import ServicesDependency, TypedRequest
from service.jobs.tasks.probe import Probing
from service.kit import errors
from service.probing.probe import Finding, Probe

SECONDS = 30.0


@post(
    "/pipeline/probe",
    **route(
        "operator",
        "Pipelines",
        "Look at a source",
        "Looks at one URL or one file and proposes a collector for it that can be posted in a pipeline as it is: "
        "format, where the records are, the pagination (proposed only where a second page was fetched and holds other "
        "records), candidates for a primary key and a cursor, columns with types and samples; for a page of HTML the "
        "tables and repeated structures with their selectors, and what robots.txt says. The columns are what the "
        "proposed collector itself made of a first page or two, or of the file's beginning. Nothing is stored. The "
        "network policy, the file roots and the secrets (`${NAME}`) are those of a run; it takes 30 s at most.",
        ResponseDoc(text="What was found.", kind=Finding, example=examples.FOUND),
        errors=("QUERY_TIMEOUT", "OVERLOADED"),
        body=RequestBody(kind=Probe, example=examples.PROBE),
    ),
)
async def look(request: TypedRequest, services: ServicesDependency) -> Response[bytes]:
    query_string.read(request, query_string.Nothing)
    asked = await request_body.value(request, Probe, services.settings.max_body_bytes)
    problems = list(asked.problems())
    if problems:
        raise errors.Invalid.of(problems, "body")
    found = await services.tasks.ask(
        Probing(probe=asked), seconds=SECONDS, document=[asked.url, asked.file_path, asked.headers, asked.auth],
        network=asked.url is not None,
    )  # fmt: skip
    return Response(found, media_type=JSON)


HANDLERS = [look]
