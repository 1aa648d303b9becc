"""Quarantine: the rows that a version refused, why, and their second chance."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from service.api import examples, query_string, request_body, streaming
from service.api.path_lookup import checked, stored
from service.api.query_string import Format, Number, Offset, about
from service.api.route_docs import RequestBody, ResponseDoc, route
from service.api.routes.pipelines import Waiting, started
from service.api.services import ServicesDependency, TypedRequest
from service.model.answers import QuarantinePage
from service.model.formats import MEDIA_TYPES
from service.model.run import Run


class QuarantineQuery(query_string.Nothing, frozen=True, kw_only=True):
    """Which rows, in which form."""

    version: Number | None = None
    limit: Annotated[int, about("Rows at most; JSON: 1000 by default, 100000 at most.", ge=0, le=2**53)] | None = None
    offset: Offset = 0
    format: Format | None = None


@get(
    "/pipeline/{name:str}/quarantine",
    **route(
        "viewer",
        "Results",
        "Read rows in quarantine",
        "The rows that the newest version, or `version`, refused: those that broke rules of a validator with `on_fail: "
        "quarantine`, and malformed ones of a CSV collector with `on_malformed: quarantine`. `_rules` says why: rule, "
        "column, value and what is wrong with it. Where the row came from is in `_step`, `_source`, `_file`, `_line` "
        "(in the file, from 1), `_row` (in the data that came to the step, from 1) and `_text` (a malformed row as it "
        "was written). The row's own columns follow as they stood then; one that has such a name has one more "
        "underscore, and one that is of different types at different steps is text. `rules` counts the rows of each "
        "rule. A version without quarantined rows answers an empty list. SQL sees the same rows as the table "
        '`<table>__quarantine`, and `"<table>__quarantine@3"` for version 3.',
        ResponseDoc(text="The rows.", kind=QuarantinePage, example=examples.QUARANTINE, media=MEDIA_TYPES),
        errors=(
            "PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA", "QUERY_TIMEOUT", "QUERY_TOO_LARGE", "NOT_ACCEPTABLE",
            "OVERLOADED",
        ),
        query=QuarantineQuery,
    ),
)  # fmt: skip
async def read_quarantine(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[Any]:
    asked = query_string.read(request, QuarantineQuery)
    form = streaming.format_of(request, asked.format)
    version = await stored(services, name, asked.version)
    answer = await services.engine.data(
        services.quarantine_of(version),
        limit=asked.limit,
        offset=asked.offset,
        format=form,
        about={"rules": msgspec.to_builtins(version.refusals)},
    )
    return streaming.relayed(answer, f"{name}-v{version.version}-quarantine", form, {"vary": "Accept"})


class Replayed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be tried again."""

    version: Annotated[Number | None, about("The version whose quarantine is tried again; the newest by default.")] = (
        None
    )


class ReplayQuery(Waiting, frozen=True, kw_only=True):
    """How long to wait, and which version's quarantine to try again."""

    version: Number | None = None


@post(
    "/pipeline/{name:str}/quarantine/replay",
    **route(
        "operator",
        "Pipelines",
        "Replay rows in quarantine",
        "Tries the rows that the newest version, or `version`, refused again, with the current configuration, and "
        "stores a new version: the rows of the newest one and, after them, those that pass. What is refused again "
        "stays in the new version's quarantine. It is a run like any other, with status, events, log and the same "
        "answer as execute; its `replay_of` names the version.\n\n"
        "Rows of a validator go on with the step that refused them, wherever it stands now; cleaners and validators "
        "before it that were changed or added since are gone through again (a cleaner then passes over columns that "
        "are not there), but nothing that stands before a transformer or a query. Malformed rows begin at the "
        "beginning where the collector's current settings can make rows of them; rows of a pipeline that joins its "
        "sources, and rows that the collector still cannot read, stay in quarantine.\n\n"
        "What a later step computes from the data (means, scales, categories, bin edges) is what it was for the newest "
        "version, if the step is as it was; nothing is fitted to the few rows of a replay.\n\n"
        "Limits: only the rows in quarantine are seen. `unique`, `drop_duplicates` and `sort` do not see the rows that "
        "are stored already; `max_rejected_share`, `row_count` and `freshness` decide nothing. Rows that come to a "
        "step that needs other rows (windows, ordered fills, aggregates, SQL that is no plain SELECT), or to one that "
        "fits and was changed since, stay in quarantine; where all do, the run fails with NEEDS_ALL_ROWS: execute the "
        "pipeline instead. If no row passes, the run fails with NOTHING_PASSED and nothing is stored. Columns that the "
        "configuration added or dropped since are null where they are not there, and a warning. Analyzers that nothing "
        "but validators follow profile the whole new version, others are left out.",
        ResponseDoc(
            text="The run ended within `wait` seconds.",
            kind=Run,
            example={**examples.RUN, "version": 4, "replay_of": 3},
            headers={"Location": "The run."},
        ),
        ResponseDoc(
            status=202,
            text="The run goes on.",
            kind=Run,
            example={**examples.RUN, "status": "running", "phase": "processing", "progress": 40.0, "replay_of": 3},
            headers={"Location": "The run."},
        ),
        errors=("PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA", "PIPELINE_RUNNING", "OVERLOADED"),
        query=ReplayQuery,
        body=RequestBody(kind=Replayed, example={"version": 3}, required=False),
    ),
)
async def replay(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[dict[str, Any]]:
    query = query_string.read(request, ReplayQuery)
    asked = await request_body.optional(request, Replayed, services.settings.max_body_bytes) or Replayed()
    version = query_string.one_version(query.version, asked.version)
    run = await services.supervisor.replay(checked(name), request.user.username, version)
    return await started(services, run, query.wait)


HANDLERS = [read_quarantine, replay]
