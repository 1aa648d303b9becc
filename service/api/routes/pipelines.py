"""Pipelines: create, list, read, change, check, execute, delete; how the newest run stands and what all came to."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Response, delete, get, post, put
from litestar.params import FromPath

from service.api import examples, query_string, request_body, responses
from service.api.path_lookup import checked, known, revision_of
from service.api.query_string import PageRequest, Revision, about
from service.api.route_docs import ResponseDoc, route
from service.api.routes import planning
from service.api.services import Services, ServicesDependency, TypedRequest
from service.kit import errors
from service.model import masking
from service.model.run import Run

_CONFIGURATION = planning.CONFIGURATION
_LOCATION = {"Location": "Where it is found from now on."}


class ListQuery(PageRequest, frozen=True, kw_only=True):
    """Which pipelines to list."""

    q: Annotated[str, about("Only names that contain this.", max_length=63)] | None = None


class ConfigQuery(query_string.Nothing, frozen=True, kw_only=True):
    """Which configuration to read."""

    revision: Revision | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for a run."""

    wait: Annotated[float, about("Seconds to wait for the end of the run.", ge=0, le=300)] = 10.0


class ExecuteQuery(Waiting, frozen=True, kw_only=True):
    """How long to wait, and what to begin with."""

    full_refresh: Annotated[
        bool, about("Fetch everything again: collectors with `incremental` forget cursors and earlier records.")
    ] = False


class DeleteQuery(query_string.Nothing, frozen=True, kw_only=True):
    """What to delete."""

    purge: Annotated[bool, about("Remove the stored versions too (admin only).")] = False


@post(
    "/pipeline/create",
    **route(
        "operator",
        "Pipelines",
        "Create a pipeline",
        "Checks the configuration and remembers it as revision 1. Nothing is run and no source is touched.",
        ResponseDoc(
            status=201, text="It was created.", kind=responses.Saved, example=examples.SAVED, headers=_LOCATION
        ),
        errors=("PIPELINE_EXISTS", "TABLE_NAME_TAKEN"),
        body=_CONFIGURATION,
    ),
)
async def create(request: TypedRequest, services: ServicesDependency) -> Response[responses.Saved]:
    pipeline = await planning.decoded(request, services)
    record = await asyncio.to_thread(
        services.pipelines.create, pipeline.name, pipeline.table, pipeline.document, request.user.username
    )
    saved = responses.Saved(message=f"pipeline '{record.name}' created", name=record.name, revision=record.revision)
    return Response(saved, headers={"location": f"/api/v1/pipeline/{record.name}/config"})


@post(
    "/pipeline/validate",
    **route(
        "operator",
        "Pipelines",
        "Check a configuration",
        "Answers every problem at once, each with its path. Nothing is stored and no source is touched: columns are "
        "checked where the settings name them all (`columns`, `css_selectors`) or a stored version has them; "
        "`POST /pipeline/plan` looks at files, too.",
        ResponseDoc(text="It is valid.", kind=responses.Checked, example={"valid": True, "warnings": []}),
        errors=("QUERY_TIMEOUT", "OVERLOADED"),
        body=_CONFIGURATION,
    ),
)
async def validate(request: TypedRequest, services: ServicesDependency) -> responses.Checked:
    pipeline = await planning.decoded(request, services)
    return responses.Checked(valid=True, warnings=await planning.checked(services, pipeline))


@get(
    "/pipeline",
    **route(
        "viewer",
        "Pipelines",
        "List pipelines",
        "By name, with the status of the newest run and the newest version of each.",
        ResponseDoc(text="A page.", kind=list[responses.PipelineLine], example=examples.page(examples.LINE)),
        query=ListQuery,
    ),
)
async def list_pipelines(request: TypedRequest, services: ServicesDependency) -> dict[str, Any]:
    page = query_string.read(request, ListQuery)

    def ask() -> dict[str, Any]:
        found, total = services.pipelines.list(limit=page.limit, offset=page.offset, q=page.q)
        states = services.history.newest_statuses()
        return query_string.listed([responses.line(p, states.get(p.id, "idle")) for p in found], total, page)

    return await asyncio.to_thread(ask)


@get(
    "/pipeline/{name:str}/config",
    **route(
        "viewer",
        "Pipelines",
        "Read a configuration",
        "The document as it was written; passwords, keys and tokens in it are masked (`***`, which is refused when it "
        "is written back), `${NAME}` stays as it is.",
        ResponseDoc(
            text="The configuration.",
            kind=dict[str, Any],
            example=examples.PIPELINE,
            headers={"ETag": "The revision, for If-Match."},
        ),
        errors=("PIPELINE_NOT_FOUND", "NOT_FOUND"),
        query=ConfigQuery,
    ),
)
async def read_config(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str]
) -> Response[dict[str, Any]]:
    wanted = query_string.read(request, ConfigQuery).revision
    record = await known(services, name, wanted)
    headers = {"etag": f'"{record.revision}"', "cache-control": "private, no-cache"}
    return Response(masking.masked(record.document), headers=headers)


@put(
    "/pipeline/{name:str}/config",
    **route(
        "operator",
        "Pipelines",
        "Change a configuration",
        "Remembers a new revision; earlier ones are kept. A run that is going goes on with the one it started with.",
        ResponseDoc(text="It was changed.", kind=responses.Saved, example={**examples.SAVED, "revision": 2}),
        errors=("PIPELINE_NOT_FOUND", "TABLE_NAME_TAKEN", "REVISION_CONFLICT"),
        body=_CONFIGURATION,
        headers={"If-Match": "Change only if this is still the revision (as ETag gave it)."},
    ),
)
async def change_config(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str]
) -> Response[responses.Saved]:
    await known(services, name)
    if_match = revision_of(request.headers.get("if-match"))
    pipeline = await planning.decoded(request, services)
    if pipeline.name != name:
        message = f"name: the document names '{pipeline.name}', the path '{name}'; a pipeline cannot be renamed"
        raise errors.Invalid(message, field="name")
    record = await asyncio.to_thread(
        services.pipelines.update,
        name,
        pipeline.table,
        pipeline.document,
        request.user.username,
        if_match=if_match,
    )
    saved = responses.Saved(message=f"pipeline '{name}' changed", name=name, revision=record.revision)
    return Response(saved, headers={"etag": f'"{record.revision}"'})


@delete(
    "/pipeline/{name:str}",
    **route(
        "operator",
        "Pipelines",
        "Delete a pipeline",
        "Its stored versions stay on disk unless `purge=true`, which needs the role admin.",
        ResponseDoc(text="It was deleted.", kind=responses.Message, example={"message": "pipeline 'orders' deleted"}),
        errors=("PIPELINE_NOT_FOUND", "PIPELINE_RUNNING"),
        query=DeleteQuery,
    ),
)
async def delete_pipeline(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str]
) -> responses.Message:
    purge = query_string.read(request, DeleteQuery).purge
    if purge and not request.user.may("admin"):
        raise errors.Forbidden("purge=true needs the role admin", required="admin", role=request.user.role)
    await services.supervisor.delete(checked(name), purge=purge)
    return responses.Message(message=f"pipeline '{name}' deleted" + (" with its stored versions" if purge else ""))


@post(
    "/pipeline/{name:str}/execute",
    **route(
        "operator",
        "Pipelines",
        "Execute a pipeline",
        "Starts a run of the newest revision and waits for it up to `wait` seconds. A run that failed within that "
        "time is an answer too: look at `status` and `error`.",
        ResponseDoc(
            text="The run ended within `wait` seconds.",
            kind=Run,
            example=examples.RUN,
            headers={"Location": "The run."},
        ),
        ResponseDoc(
            status=202,
            text="The run goes on.",
            kind=Run,
            example={**examples.RUN, "status": "running", "phase": "processing", "progress": 40.0},
            headers={"Location": "The run."},
        ),
        errors=("PIPELINE_NOT_FOUND", "PIPELINE_RUNNING", "OVERLOADED"),
        query=ExecuteQuery,
    ),
)
async def execute(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[dict[str, Any]]:
    query = query_string.read(request, ExecuteQuery)
    await request_body.nothing(request, services.settings.max_body_bytes)
    run = await services.supervisor.execute(checked(name), request.user.username, full_refresh=query.full_refresh)
    return await started(services, run, query.wait)


async def started(services: Services, run: Run, wait: float) -> Response[dict[str, Any]]:
    """The answer of a route that queued a run: when it has ended, or after ``wait`` seconds."""
    if wait > 0:
        run = await services.supervisor.wait(run.run_id, wait)
    location = f"/api/v1/runs/{run.run_id}"
    return Response(responses.run(run), status_code=200 if run.ended else 202, headers={"location": location})


@get(
    "/pipeline/{name:str}/status",
    **route(
        "viewer",
        "Pipelines",
        "How the newest run stands",
        "`idle` with progress 0 before the first run. Progress never goes back within an attempt.",
        ResponseDoc(text="The status.", kind=responses.Status, example=examples.STATUS),
        errors=("PIPELINE_NOT_FOUND",),
    ),
)
async def read_status(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> responses.Status:
    query_string.read(request, query_string.Nothing)
    record = await known(services, name)
    return responses.status(name, await services.supervisor.newest(record.id))


@get(
    "/pipeline/{name:str}/stats",
    **route(
        "viewer",
        "Pipelines",
        "What all runs came to",
        "Figures over the whole history of runs. Durations are seconds.",
        ResponseDoc(text="The figures.", kind=responses.Stats, example=examples.STATS),
        errors=("PIPELINE_NOT_FOUND",),
    ),
)
async def read_stats(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> responses.Stats:
    query_string.read(request, query_string.Nothing)
    record = await known(services, name)
    return responses.stats(await asyncio.to_thread(services.history.statistics, record.id))


HANDLERS = [
    create,
    validate,
    list_pipelines,
    read_config,
    change_config,
    delete_pipeline,
    execute,
    read_status,
    read_stats,
]
