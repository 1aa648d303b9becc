"""Routes that try a configuration before it is executed: a preview of its rows, and a plan."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from litestar import Response

from service.api import access, audit_actions, examples, query_string, request_body
from service.api.query_string import about
from service.api.route_docs import JSON, RequestBody, ResponseDoc, route
from service.api.route_handler import post
from service.api.services import Services, ServicesDependency, TypedRequest
from service.files import shared_uploads
from service.files.allowed_files import Files
from service.jobs.tasks.task import Before, Planning, Preview, Validation
from service.kit import errors
from service.kit.codes import Code
from service.model import pipeline as model
from service.model import secret_names, source_files
from service.model.plan import Plan, Sample
from service.model.rights import Readable
from service.steps.report import StepWarning

SECONDS = 60.0
CONFIGURATION = RequestBody(pipeline=True, example=examples.PIPELINE, media=(JSON, "application/yaml"))
_LIMITS: tuple[Code, ...] = ("QUERY_TIMEOUT", "OVERLOADED", "STORAGE_FULL")
_warnings = msgspec.json.Decoder(list[StepWarning])


class PreviewQuery(query_string.NoParameters, frozen=True, kw_only=True):
    """How many rows to read, and which to show."""

    rows: Annotated[int, about("Rows of each source at most.", ge=1, le=1000)] = 100
    each_step: Annotated[bool, about("Also answer the rows as collected and after each step.")] = False


async def read_pipeline(request: TypedRequest, services: Services) -> model.Pipeline:
    """The configuration in the body. Raises ``errors.Invalid`` with all problems.

    Its trigger may name pipelines of the catalog only, and makes no cycle with theirs.
    """
    document = await request_body.configuration(request, services.settings.max_body_bytes)
    pipeline = await asyncio.to_thread(model.decode, document, services.registry)
    await asyncio.to_thread(source_files.check, pipeline, _readable(services))
    access.refuse_names(request.user, pipeline)
    if pipeline.trigger is not None:
        seen = access.readable(request, services)
        await asyncio.to_thread(services.trigger_inputs.check, pipeline.name, pipeline.document, seen)
    return pipeline


@post(
    "/pipeline/preview",
    **route(
        "operator",
        "Pipelines",
        "Try a configuration on a few rows",
        "Collects the first rows of each source and processes them, with the secrets, limits and network policy of a "
        "run. It reads no more of a source than that takes: one page, or the beginning of a file. Answers the rows, "
        "their schema and profile, warnings, the number of rows into and out of each step, and the optimised Polars "
        "plan. Nothing is stored: no version, no run, no state. Checks of the whole data (`row_count`, `freshness`, a "
        "source's declared total) are not applied to a sample, and a run may find wider types than the first rows of "
        "a file suggest. With `each_step` the rows after each step are in `after_steps`, fewer where they are "
        "large. A step that fails is a 400 with `details.step` and `details.field`.",
        ResponseDoc(text="The processed rows.", kind=Sample, example=examples.SAMPLE),
        errors=_LIMITS,
        query=PreviewQuery,
        body=CONFIGURATION,
        action=audit_actions.PREVIEW,
    ),
)
async def preview(request: TypedRequest, services: ServicesDependency) -> Response[bytes]:
    query = query_string.read(request, PreviewQuery)
    pipeline = await read_pipeline(request, services)
    seen = access.readable(request, services)
    task = Preview(document=pipeline.document, rows=query.rows, each_step=query.each_step)
    answer = await services.tasks.ask_about(pipeline, task, seconds=SECONDS, network=True, readable=seen)
    return Response(answer, media_type=JSON)


@post(
    "/pipeline/plan",
    **route(
        "operator",
        "Pipelines",
        "Plan a run",
        "Answers the configuration with every default; what would be fetched (files with their sizes, URLs with "
        "pagination and kind of login, stored versions); the columns into and out of each step, whether it processes "
        "rows one by one, and what it fits; how the result differs from the newest version; and the optimised Polars "
        "plan. Nothing is stored, and no request is sent over the network: the columns of an API or a site are known "
        "if the settings name them, or from the newest version with the same collector. Files are read as far as "
        "their columns need. `problems` lists what is certain to fail in a run. `held_bytes` of a step estimates what "
        "the categories of its encodings take, which are not divided; where that is more than a run may use, there is "
        "a warning `needs_memory`, or a problem where it is certain.",
        ResponseDoc(text="The plan.", kind=Plan, example=examples.PLAN),
        errors=_LIMITS,
        body=CONFIGURATION,
    ),
)
async def plan(request: TypedRequest, services: ServicesDependency) -> Response[bytes]:
    query_string.read(request, query_string.NoParameters)
    pipeline = await read_pipeline(request, services)
    seen = access.readable(request, services)
    before = await asyncio.to_thread(_before, services, pipeline, seen)
    limit = services.settings.run_memory_limit
    task = Planning(document=pipeline.document, before=before, run_memory_bytes=limit)
    answer = await services.tasks.ask_about(pipeline, task, seconds=SECONDS, readable=seen)
    return Response(answer, media_type=JSON)


async def validation_warnings(services: Services, pipeline: model.Pipeline, readable: Readable) -> list[StepWarning]:
    """Warnings about a valid configuration. Raises ``errors.Invalid`` if its columns show that no run can succeed."""
    await asyncio.to_thread(shared_uploads.pull, services.layout)
    missing = await asyncio.to_thread(source_files.missing, pipeline, _readable(services))
    missing += secret_names.warnings(pipeline, services.tasks.secret_names)
    label = pipeline.execution.label
    if label is not None and (text := await asyncio.to_thread(services.supervisor.lacking, label)) is not None:
        missing.append(StepWarning("execution", "no_process", text, {"label": label}))
    if not pipeline.processors:
        return missing
    tasks, document = services.tasks, pipeline.document
    try:
        stored = await tasks.stored(pipeline, readable)
    except errors.StepError as error:  # it may exist when the pipeline is executed
        step = error.details.get("step")
        return [*missing, StepWarning(str(step or ""), "not_stored", error.message, error.details)]
    answer = await tasks.ask(Validation(document=document), seconds=SECONDS, document=document, stored=stored)
    return [*missing, *_warnings.decode(answer)]


def _readable(services: Services) -> Files:
    settings = services.settings
    folders = (services.layout.uploads, *settings.root_folders)
    return Files(folders, settings.closed_folders, settings.root_buckets, settings.warehouse_url)


def _before(services: Services, pipeline: model.Pipeline, readable: Readable) -> Before | None:
    """The newest version of a pipeline of that name, with the columns of the collectors that did not change."""
    if readable is not None and pipeline.name not in readable:
        return None
    try:
        record = services.pipelines.get(pipeline.name)
        newest = services.history.version(record.id, pipeline.name)
        earlier = services.pipelines.get(pipeline.name, newest.revision).document
    except errors.Missing:
        return None
    pairs = enumerate(zip(pipeline.document["collectors"], earlier["collectors"], newest.sources, strict=False))
    same = {index: source.columns for index, (now, then, source) in pairs if now == then and source.columns}
    return Before(version=newest.version, columns=newest.columns, sources=same)


HANDLERS = [preview, plan]
