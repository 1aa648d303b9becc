"""Routes of quarantine: read the rows that a version refused, with the reasons, and replay them."""

from __future__ import annotations

import functools
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.params import FromPath

from service.api import (
    access,
    audit_actions,
    cursors,
    etags,
    examples,
    idempotency,
    query_string,
    request_body,
    rows,
    streaming,
)
from service.api.cursors import RowsQuery
from service.api.path_lookup import chosen_version, valid_name
from service.api.query_string import VersionChoice, about
from service.api.route_docs import RequestBody, ResponseDoc, route
from service.api.route_handler import get, post
from service.api.routes.pipelines import Waiting, respond_to_run
from service.api.services import EngineAnswer, Services, ServicesDependency, TypedRequest
from service.kit import errors
from service.model.answers import QuarantinePage
from service.model.formats import MEDIA_TYPES
from service.model.run import ChosenRow, Run
from service.model.version import Version
from service.query.scope import Scope
from service.sandbox.quoting import literal
from service.values.version_name import VersionName

_MOST_ROWS = 500
_MOST_BYTES = 256 * 1024
"""What the rows of a replay take as JSON: its run keeps them, and lists of runs have them."""
_REPLAY = {
    "version": 3, "rows": [{"step": "processors[1]", "source": "csv_0", "row": 17, "values": {"price": 9.5}}]
}  # fmt: skip


class QuarantineQuery(RowsQuery, frozen=True, kw_only=True):
    """Which rows in quarantine, in which format."""

    rule: Annotated[str, about("Only rows that broke the rule of this name.", max_length=200)] | None = None


@get(
    "/pipeline/{name:str}/quarantine",
    **route(
        "viewer",
        "Results",
        "Read rows in quarantine",
        "Answers the rows that the newest version, or `version`, refused: rows that broke rules of a validator with "
        "`on_fail: quarantine`, and malformed rows of a CSV collector with `on_malformed: quarantine`. `_rules` gives "
        "the reasons: rule, column, value and what is wrong with it. `_step`, `_source`, `_file`, `_line` (in the "
        "file, from 1), `_row` (in the data that the step received, from 1) and `_text` (a malformed row as it was "
        "written) say where the row came from. The row's own columns follow, as they were then; a column with one of "
        "these names has one more underscore, and a column with different types at different steps is text. `rules` "
        "counts the rows of each rule, and `rule` asks for those of one. For a version without quarantined rows the "
        "list is empty. In SQL the same rows "
        'are the table `<table>__quarantine`, and `"<table>__quarantine@3"` for version 3.',
        ResponseDoc(
            text="The rows.",
            kind=QuarantinePage,
            example=examples.QUARANTINE,
            media=MEDIA_TYPES,
            headers={**etags.RESPONSE_HEADERS, **cursors.HEADERS},
        ),
        etags.NOT_MODIFIED,
        errors=(
            "PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA", "QUERY_TIMEOUT", "QUERY_TOO_LARGE", "NOT_ACCEPTABLE",
            "OVERLOADED",
        ),
        query=QuarantineQuery,
        headers=etags.REQUEST_HEADERS,
        filters_rows=True,
    ),
)  # fmt: skip
async def read_quarantine(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[Any]:
    asked = query_string.read(request, QuarantineQuery)
    form = streaming.format_of(request, asked.format)
    version, query = await cursors.resolve(request, services, name, asked)
    seen = access.scope(request, services)
    asked = msgspec.structs.replace(query, version=None, format=form)
    tag = etags.of(version, "quarantine", asked, *seen.row_filters)
    headers = {**(etags.headers(tag) if seen.is_repeatable else {}), "vary": "Accept"}
    if seen.is_repeatable and (unchanged := etags.not_modified(request, headers)) is not None:
        return unchanged
    return await rows.respond(
        request, services, version, query, form, functools.partial(_rows, services, seen, version),
        rows=None if seen.filters(version.pipeline) or query.rule is not None else version.quarantined,
        name=f"{name}-v{version.version}-quarantine", headers=headers,
    )  # fmt: skip


async def _rows(services: Services, scope: Scope, version: Version, query: QuarantineQuery, form: str) -> EngineAnswer:
    return await services.engine.data(
        await services.quarantine_of(version),
        filter=None if query.rule is None else f"list_contains([r.rule for r in _rules], {literal(query.rule)})",
        limit=query.limit,
        offset=query.offset,
        format=form,
        escape_formulas=query.escape_formulas,
        about={"rules": [] if scope.filters(version.pipeline) else msgspec.to_builtins(version.refusals)},
        scope=scope,
    )


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which quarantine to replay, and which of its rows."""

    version: Annotated[
        VersionName | None, about("The version whose quarantine is replayed; the newest by default.")
    ] = None
    rows: Annotated[
        list[ChosenRow],
        about(
            "Only these rows, each named by `_step`, `_source`, `_file`, `_line` and `_row`; `values` take the place "
            "of its own.",
            max_length=_MOST_ROWS,
        ),
    ] = []


class ReplayQuery(Waiting, frozen=True, kw_only=True):
    """How long to wait, and which version's quarantine to replay."""

    version: VersionChoice | None = None


@post(
    "/pipeline/{name:str}/quarantine/replay",
    **route(
        "operator",
        "Pipelines",
        "Replay rows in quarantine",
        "Processes the rows that the newest version, or `version`, refused again, with the current configuration, and "
        "stores a new version: the rows of the newest version and, after them, those that pass now. Rows that are "
        "refused again stay in the new version's quarantine. A replay is a run like any other, with status, events, "
        "log and the same answer as execute; its `replay_of` names the version.\n\n"
        "`rows` (500 and 256 KiB at most) replays only some, and mends them: `values` has, by column as the quarantine "
        "names it, what takes the place of the value that came, or `_text` of a malformed row. The run keeps them as "
        "`replayed_rows`; the other rows stay in quarantine.\n\n"
        "Rows of a validator continue with the step that refused them, at its present place. Cleaners and validators "
        "before it that were changed or added since are applied, too (such a cleaner ignores columns that do not "
        "exist), but no step before a transformer or a query. Malformed rows start with the first step if the "
        "collector's current settings can read them. Rows of a pipeline that joins its sources, and rows that the "
        "collector still cannot read, stay in quarantine.\n\n"
        "A later step that fits parameters to the data (means, scales, categories, bin edges) uses those of the newest "
        "version, if the step did not change; nothing is fitted to the few rows of a replay.\n\n"
        "Limits: a replay processes only the rows in quarantine. `unique`, `drop_duplicates` and `sort` do not "
        "consider the rows that are stored already; `max_rejected_share`, `row_count` and `freshness` are not "
        "applied. Rows that reach a step that needs other rows (windows, ordered fills, aggregates, SQL other than a "
        "plain SELECT), or a step that fits parameters and was changed since, stay in quarantine. If all rows do, the "
        "run fails with NEEDS_ALL_ROWS: execute the pipeline instead. If no row passes, the run fails with "
        "NOTHING_PASSED and nothing is stored. Columns that the configuration added or dropped since are null in rows "
        "that lack them, with a warning. Analyzers that only validators follow profile the whole new version; others "
        "are skipped.\n\n"
        "Newer rows stay: under `merge`, a row whose key its own run or a later one stored stays in quarantine with "
        "the rule `newer_row`, and a warning counts such rows; under `replace`, where a later run has "
        "all rows, the quarantine of an older one is refused.",
        ResponseDoc(
            text="The run ended within `wait` seconds.",
            kind=Run,
            example={**examples.RUN, "version": 4, "replay_of": 3},
            headers={"Location": "The run."},
        ),
        ResponseDoc(
            status=202,
            text="The run continues.",
            kind=Run,
            example={**examples.RUN, "status": "running", "phase": "processing", "progress": 40.0, "replay_of": 3},
            headers={"Location": "The run."},
        ),
        errors=("PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA", "PIPELINE_RUNNING", "CONFLICT", "OVERLOADED"),
        query=ReplayQuery,
        body=RequestBody(kind=ReplayRequest, example=_REPLAY, required=False),
        idempotent=True,
        action=audit_actions.REPLAY,
    ),
)
async def replay(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[dict[str, Any]]:
    query = query_string.read(request, ReplayQuery)
    body = await request_body.optional(request, ReplayRequest, services.settings.max_body_bytes) or ReplayRequest()
    _refuse_large(body.rows)
    named = chosen_version(query.version) if query.version is not None else None
    version = query_string.one_version(named, body.version)
    replay = functools.partial(
        services.supervisor.replay, valid_name(name), request.user.username, version, rows=body.rows
    )
    run = await idempotency.claimed_run(request, services, lambda alongside: replay(alongside=alongside))
    return await respond_to_run(request, services, run, query.wait)


def _refuse_large(rows: list[ChosenRow]) -> None:
    size = len(msgspec.json.encode(rows))
    if size > _MOST_BYTES:
        message = f"rows: they take {size} bytes, at most {_MOST_BYTES} may be replayed at once; send them in parts"
        raise errors.Invalid(message, field="rows")


HANDLERS = [read_quarantine, replay]
