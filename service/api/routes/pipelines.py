"""Routes of pipelines: create, list, read, change, validate, execute, delete, status and statistics."""

from __future__ import annotations

import asyncio
import functools
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.params import FromPath

from service.api import (
    audit,
    audit_actions,
    etags,
    examples,
    idempotency,
    query_string,
    request_body,
    responses,
    standing,
)
from service.api.access import readable
from service.api.path_lookup import find_pipeline, revision_of, valid_name
from service.api.query_string import PageRequest, Revision, about
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import delete, get, post, put
from service.api.routes import planning
from service.api.services import Services, ServicesDependency, TypedRequest
from service.catalog.pipelines import PipelineRecord
from service.kit import errors
from service.model import masking
from service.model.run import Run

_CONFIGURATION = planning.CONFIGURATION
_FEW = 100  # pipelines that are listed without a thread
_LOCATION = {"Location": "The path of the configuration."}


class ListQuery(PageRequest, frozen=True, kw_only=True):
    """Which pipelines to list."""

    q: Annotated[str, about("Only names that contain this.", max_length=63)] | None = None


class ConfigQuery(query_string.NoParameters, frozen=True, kw_only=True):
    """Which configuration to read."""

    revision: Revision | None = None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for a run."""

    wait: Annotated[float, about("Seconds to wait for the end of the run.", ge=0, le=300)] = 10.0


class ExecuteQuery(Waiting, frozen=True, kw_only=True):
    """How long to wait, and whether to start afresh."""

    full_refresh: Annotated[
        bool, about("Fetch everything again: collectors with `incremental` ignore cursors and earlier records.")
    ] = False


class DeleteQuery(query_string.NoParameters, frozen=True, kw_only=True):
    """Whether to delete stored versions too."""

    purge: Annotated[bool, about("Remove the stored versions too (admin only).")] = False


@post(
    "/pipeline/create",
    **route(
        "operator",
        "Pipelines",
        "Create a pipeline",
        "Validates the configuration and saves it as revision 1. Nothing is executed and no source is read: a file "
        "that does not exist yet is not an error. `POST /pipeline/validate` warns of it (`no_file`), and a plan lists "
        "it under `problems`, since a run would fail now.",
        ResponseDoc(
            status=201,
            text="The pipeline was created.",
            kind=responses.Saved,
            example=examples.SAVED,
            headers=_LOCATION,
        ),
        errors=("PIPELINE_EXISTS", "TABLE_NAME_TAKEN"),
        body=_CONFIGURATION,
        idempotent=True,
        action=audit_actions.CREATE_PIPELINE,
    ),
)
async def create(request: TypedRequest, services: ServicesDependency) -> Response[responses.Saved]:
    pipeline = await planning.read_pipeline(request, services)
    claim = idempotency.claimed(request)
    record = await asyncio.to_thread(
        services.pipelines.create, pipeline.name, pipeline.table, pipeline.document, request.user.username, claim,
        owner=request.user.account, readable=readable(request, services),
    )  # fmt: skip
    saved = responses.Saved(message=f"pipeline '{record.name}' created", name=record.name, revision=record.revision)
    return Response(saved, headers={"location": f"/api/v1/pipeline/{record.name}/config"})


@post(
    "/pipeline/validate",
    **route(
        "operator",
        "Pipelines",
        "Validate a configuration",
        "Answers all problems at once, each with its path. Nothing is stored and no source is read: columns are "
        "checked if the settings name them all (`columns`, `css_selectors`) or if a stored version has them. "
        "A file that does not exist yet is a warning (`no_file`), a secret that is not configured another "
        "(`no_secret`), and so is a `${…}` that stays as it is (`no_placeholder`). "
        "`POST /pipeline/plan` reads files, too.",
        ResponseDoc(
            text="The configuration is valid.", kind=responses.Validated, example={"valid": True, "warnings": []}
        ),
        errors=("QUERY_TIMEOUT", "OVERLOADED"),
        body=_CONFIGURATION,
    ),
)
async def validate(request: TypedRequest, services: ServicesDependency) -> responses.Validated:
    pipeline = await planning.read_pipeline(request, services)
    return responses.Validated(
        valid=True, warnings=await planning.validation_warnings(services, pipeline, readable(request, services))
    )


@get(
    "/pipeline",
    **route(
        "viewer",
        "Pipelines",
        "List pipelines",
        "Lists the pipelines by name, with the status of the newest run and the newest version of each.",
        ResponseDoc(text="A page.", kind=list[responses.PipelineLine], example=examples.page(examples.LINE)),
        query=ListQuery,
    ),
)
async def list_pipelines(request: TypedRequest, services: ServicesDependency) -> dict[str, Any]:
    page = query_string.read(request, ListQuery)
    wanted: dict[str, Any] = {
        "limit": page.limit,
        "offset": page.offset,
        "q": page.q,
        "readable": readable(request, services),
    }

    def ask() -> dict[str, Any]:
        found, total = services.pipelines.list(**wanted)
        states = services.supervisor.newest_statuses([p.id for p in found])
        return query_string.page_of([responses.line(p, states.get(p.id, "idle")) for p in found], total, page)

    if page.limit <= _FEW and services.pipelines.has_list(**wanted):
        found, _ = services.pipelines.list(**wanted)
        if all(services.history.has_newest_run(p.id) for p in found):
            return ask()  # nothing of it blocks
    return await asyncio.to_thread(ask)


@get(
    "/pipeline/{name:str}/config",
    **route(
        "viewer",
        "Pipelines",
        "Read a configuration",
        "Answers the document as it was written. Passwords, keys and tokens in it are masked (`***`, which is refused "
        "in a new configuration); `${NAME}` stays as it is.",
        ResponseDoc(
            text="The configuration.",
            kind=dict[str, Any],
            example=examples.PIPELINE,
            headers={"ETag": "The revision, for If-Match and If-None-Match."},
        ),
        etags.NOT_MODIFIED,
        errors=("PIPELINE_NOT_FOUND", "NOT_FOUND"),
        query=ConfigQuery,
        headers=etags.REQUEST_HEADERS,
        filters_rows=True,  # it has no rows
    ),
)
async def read_config(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[Any]:
    wanted = query_string.read(request, ConfigQuery).revision
    record = await find_pipeline(services, name, wanted)
    headers = etags.headers(f'"{record.revision}"')
    return etags.not_modified(request, headers) or Response(masking.masked(record.document), headers=headers)


@put(
    "/pipeline/{name:str}/config",
    **route(
        "operator",
        "Pipelines",
        "Change a configuration",
        "Saves a new revision; earlier ones are kept. A run in progress continues with the revision it started with.",
        ResponseDoc(
            text="The configuration was changed.", kind=responses.Saved, example={**examples.SAVED, "revision": 2}
        ),
        errors=("PIPELINE_NOT_FOUND", "TABLE_NAME_TAKEN", "REVISION_CONFLICT"),
        body=_CONFIGURATION,
        headers={"If-Match": "Change only if this is the current revision (as in ETag)."},
        action=audit_actions.CHANGE_PIPELINE,
    ),
)
async def change_config(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str]
) -> Response[responses.Saved]:
    await find_pipeline(services, name)
    if_match = revision_of(request.headers.get("if-match"))
    pipeline = await planning.read_pipeline(request, services)
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
        readable=readable(request, services),
    )
    saved = responses.Saved(message=f"pipeline '{name}' changed", name=name, revision=record.revision)
    return Response(saved, headers={"etag": f'"{record.revision}"'})


@delete(
    "/pipeline/{name:str}",
    **route(
        "operator",
        "Pipelines",
        "Delete a pipeline",
        "Its stored versions stay on disk unless `purge=true`, which needs the role admin. A pipeline after which "
        "others run (`trigger`) is not deleted: 409.",
        ResponseDoc(
            text="The pipeline was deleted.", kind=responses.Message, example={"message": "pipeline 'orders' deleted"}
        ),
        errors=("PIPELINE_NOT_FOUND", "PIPELINE_RUNNING", "CONFLICT"),
        query=DeleteQuery,
        action=audit_actions.DELETE_PIPELINE,
    ),
)
async def delete_pipeline(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str]
) -> responses.Message:
    purge = query_string.read(request, DeleteQuery).purge
    await request_body.refuse(request, services.settings.max_body_bytes)
    if purge and not request.user.may("admin"):
        raise errors.Forbidden("purge=true needs the role admin", required="admin", role=request.user.role)
    await services.supervisor.delete(valid_name(name), purge=purge, readable=readable(request, services))
    return responses.Message(message=f"pipeline '{name}' deleted" + (" with its stored versions" if purge else ""))


@post(
    "/pipeline/{name:str}/execute",
    **route(
        "operator",
        "Pipelines",
        "Execute a pipeline",
        "Starts a run of the newest revision and waits for it up to `wait` seconds. A run that failed or was held "
        "within that time is a 200, too: read `status`, `error` and `held_because`.",
        ResponseDoc(
            text="The run ended within `wait` seconds.",
            kind=Run,
            example=examples.RUN,
            headers={"Location": "The run."},
        ),
        ResponseDoc(
            status=202,
            text="The run continues.",
            kind=Run,
            example={**examples.RUN, "status": "running", "phase": "processing", "progress": 40.0},
            headers={"Location": "The run."},
        ),
        errors=("PIPELINE_NOT_FOUND", "PIPELINE_RUNNING", "OVERLOADED"),
        query=ExecuteQuery,
        idempotent=True,
        action=audit_actions.EXECUTE,
    ),
)
async def execute(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[dict[str, Any]]:
    query = query_string.read(request, ExecuteQuery)
    await request_body.refuse(request, services.settings.max_body_bytes)
    execute = functools.partial(
        services.supervisor.execute, valid_name(name), request.user.username, full_refresh=query.full_refresh
    )
    run = await idempotency.claimed_run(request, services, lambda alongside: execute(alongside=alongside))
    return await respond_to_run(request, services, run, query.wait)


async def respond_to_run(request: TypedRequest, services: Services, run: Run, wait: float) -> Response[dict[str, Any]]:
    """The answer of a route that queued a run: when it has ended, or after ``wait`` seconds."""
    location = f"/api/v1/runs/{run.run_id}"
    audit.begun(request, location)
    if wait > 0:
        run = await services.supervisor.wait(run.run_id, wait)
        await standing.confirm(request)
    return Response(responses.run(run), status_code=200 if run.ended else 202, headers={"location": location})


@get(
    "/pipeline/{name:str}/status",
    **route(
        "viewer",
        "Pipelines",
        "Read the status",
        "The state of the newest run; `idle` with progress 0 before the first one. Progress never decreases within an "
        "attempt. `next_run` is when the schedule fires next; `trigger_state` names the upstream pipelines that have "
        "committed a version since the last run, and those that are awaited.",
        ResponseDoc(text="The status.", kind=responses.Status, example=examples.STATUS),
        errors=("PIPELINE_NOT_FOUND",),
    ),
)
async def read_status(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> responses.Status:
    query_string.read(request, query_string.NoParameters)
    record = services.pipelines.kept(name) or await find_pipeline(services, name)
    newest = await services.supervisor.newest(record.id)
    if "trigger" not in record.document and services.schedules.has_next_fire(record.id, record.document):
        return _status(services, record, newest)
    return await asyncio.to_thread(_status, services, record, newest)


def _status(services: Services, record: PipelineRecord, newest: Run | None) -> responses.Status:
    next_run = services.schedules.next_fire(record.id, record.document)
    triggered = services.trigger_inputs.state(record.name, record.id, record.document)
    return responses.status(record.name, newest, next_run, triggered)


@get(
    "/pipeline/{name:str}/stats",
    **route(
        "viewer",
        "Pipelines",
        "Read statistics of all runs",
        "Statistics over the whole history of runs. Durations are seconds.",
        ResponseDoc(text="The statistics.", kind=responses.Stats, example=examples.STATS),
        errors=("PIPELINE_NOT_FOUND",),
    ),
)
async def read_stats(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> responses.Stats:
    query_string.read(request, query_string.NoParameters)
    record = await find_pipeline(services, name)
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
