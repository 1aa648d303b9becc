"""The route that probes a source. A child process probes it; its answer is relayed."""

from __future__ import annotations

from litestar import Response

from service.api import audit_actions, examples, query_string, request_body
from service.api.route_docs import JSON, RequestBody, ResponseDoc, route
from service.api.route_handler import post
from service.api.services import ServicesDependency, TypedRequest
from service.jobs.tasks.task import Probing
from service.kit import errors
from service.probing.finding import Finding, Probe

SECONDS = 30.0


@post(
    "/pipeline/probe",
    **route(
        "operator",
        "Pipelines",
        "Probe a source",
        "Reads one URL or one file and proposes a collector for it that can be used in a pipeline as it is: the "
        "format, the place of the records, the pagination (proposed only if a second page was fetched and has other "
        "records), candidates for a primary key and a cursor, columns with types and samples; for an HTML page, the "
        "tables and repeated structures with their selectors, and the verdict of robots.txt. The proposed collector "
        "itself read the columns, from one or two pages or from the beginning of the file. Nothing is stored. The "
        "network policy, the file roots and the secrets (`${NAME}`) are those of a run. It takes 30 s at most.",
        ResponseDoc(text="The findings.", kind=Finding, example=examples.FOUND),
        errors=("QUERY_TIMEOUT", "OVERLOADED"),
        body=RequestBody(kind=Probe, example=examples.PROBE),
        action=audit_actions.PROBE,
    ),
)
async def probe_source(request: TypedRequest, services: ServicesDependency) -> Response[bytes]:
    query_string.read(request, query_string.NoParameters)
    probe = await request_body.value(request, Probe, services.settings.max_body_bytes)
    problems = list(probe.problems())
    if problems:
        raise errors.Invalid.of(problems, "body")
    answer = await services.tasks.ask(
        Probing(probe=probe), seconds=SECONDS, document=[probe.url, probe.file_path, probe.headers, probe.auth],
        network=probe.url is not None,
    )  # fmt: skip
    return Response(answer, media_type=JSON)


HANDLERS = [probe_source]
