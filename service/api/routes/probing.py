"""The route that probes a source. A child process probes it; its answer is relayed."""

from __future__ import annotations

from typing import Any

from litestar import Response

from service.api import audit_actions, examples, query_string, request_body
from service.api.route_docs import JSON, RequestBody, ResponseDoc, route
from service.api.route_handler import post
from service.api.services import ServicesDependency, TypedRequest
from service.jobs.tasks.task import Probing
from service.kit import errors
from service.probing.finding import Finding, Probe

SECONDS = 30.0
PROBE = {"url": "https://api.example.com/v1/orders", "headers": {"X-Api-Key": "${SHOP_KEY}"}}
FOUND: dict[str, Any] = {
    "format": "json",
    "collector": {
        "type": "api",
        "endpoint": "https://api.example.com/v1/orders",
        "headers": {"X-Api-Key": "${SHOP_KEY}"},
        "records_path": "data.items",
        "pagination": {"type": "page", "page_param": "page", "start": 1, "total_path": "data.total"},
    },
    "records_path": "data.items",
    "pagination": {
        "type": "page",
        "verified": True,
        "how": "many sources number their pages; the second page was fetched and holds 100 other records",
        "tried": ["page: page"],
    },
    "primary_keys": [{"columns": ["id"], "reason": "unique in 200 rows, never missing, and named like a key"}],
    "cursors": [
        {"column": "updated_at", "order": "ascending", "reason": "a moment, by its name that of the last change"}
    ],
    "columns": [
        {"name": "id", "type": "int64", "missing": 0, "samples": [1, 2, 3, 4, 5], "looks_like": None,
         "cast": None, "missing_texts": [], "cast_losses": 0, "padded": 0, "distinct": 200},
        {"name": "updated_at", "type": "string", "missing": 0, "samples": [examples.AT], "looks_like": "datetime",
         "cast": {"type": "datetime"}, "missing_texts": [], "cast_losses": 0, "padded": 0, "distinct": 198},
    ],
    "sample_rows": 200,
    "repeated_rows": 0,
    "tables": [],
    "structures": [],
    "robots": None,
    "requests": 5,
    "notes": [],
}  # fmt: skip


@post(
    "/pipeline/probe",
    **route(
        "operator",
        "Pipelines",
        "Probe a source",
        "Reads one URL or one file and proposes a collector for it that can be used in a pipeline as it is: the "
        "format, the place of the records, the pagination (proposed only if a second page was fetched and has other "
        "records), candidates for a primary key and a cursor, columns with types and samples; for an HTML page, the "
        "tables and repeated structures with their selectors, and the verdict of robots.txt. `collector` in the "
        "request names settings to use in place of those found, such as another table or encoding. The proposed "
        "collector itself read the columns, from one or two pages or from the beginning of the file. Nothing is "
        "stored. The network policy, the file roots and the secrets (`${NAME}`) are those of a run. It takes 30 s at "
        "most.",
        ResponseDoc(text="The findings.", kind=Finding, example=FOUND),
        errors=("QUERY_TIMEOUT", "OVERLOADED"),
        body=RequestBody(kind=Probe, example=PROBE),
        action=audit_actions.PROBE,
    ),
)
async def probe_source(request: TypedRequest, services: ServicesDependency) -> Response[bytes]:
    query_string.read(request, query_string.NoParameters)
    probe = await request_body.value(request, Probe, services.settings.max_body_bytes)
    problems = list(probe.problems())
    if problems:
        raise errors.Invalid.of(problems, "body")
    named = [probe.url, probe.file_path, probe.headers, probe.auth, probe.collector]
    answer = await services.tasks.ask(
        Probing(probe=probe), seconds=SECONDS, document=named, network=probe.url is not None
    )
    return Response(answer, media_type=JSON)


HANDLERS = [probe_source]
