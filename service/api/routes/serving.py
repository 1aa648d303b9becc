"""Routes that serve a version's steps: their fitted parameters, and the steps applied to new records."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.params import FromPath

from service.api import disconnects, etags, examples, query_string, request_body, responses, streaming
from service.api.path_lookup import chosen_version, find_pipeline, find_version, named_version
from service.api.query_string import about
from service.api.route_docs import RequestBody, ResponseDoc, route
from service.api.route_handler import get, post
from service.api.services import ServicesDependency, TypedRequest
from service.jobs.application import APPLY_FORMATS, MOST_RECORDS, ApplyRequest, RecordFormat
from service.kit import decoding, documents, errors
from service.kit.codes import Code
from service.kit.errors import Problem
from service.values.version_name import VersionName

_NONE: tuple[Code, ...] = ("PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA")
_SECONDS = 30.0
_MEDIA = tuple(form.media_type for form in APPLY_FORMATS.values())
_FORMAT: dict[str, RecordFormat] = {"json": "json", "ndjson": "ndjson", "arrow": "arrow"}
VERSION, DROPPED = "Penstock-Version", "Penstock-Dropped"


class ApplyQuery(query_string.ByVersion, frozen=True, kw_only=True):
    """Which version, and how the rows are answered."""

    format: (
        Annotated[
            str,
            about(
                "json, ndjson or arrow; wins over Accept.",
                max_length=40,
                extra_json_schema={"enum": list(APPLY_FORMATS)},
            ),
        ]
        | None
    ) = None
    index: (
        Annotated[
            str,
            about("Add a first column of this name: the index, from 0, of the record of each row.", min_length=1,
                  max_length=200),
        ]
        | None
    ) = None  # fmt: skip


class ApplyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Records as the version's sources have them: each an object with every column, null for a missing value."""

    records: Annotated[list[dict[str, Any]], about("One object per record.", max_length=MOST_RECORDS)]
    version: VersionName | None = None


class _RawApplyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``ApplyBody`` with records that a child process decodes."""

    records: msgspec.Raw
    version: VersionName | None = None


@get(
    "/pipeline/{name:str}/versions/{number:str}/fitted",
    **route(
        "viewer",
        "Results",
        "Read fitted parameters",
        "Answers the parameters that the steps of a version fitted to its data (means, scales, categories, bin edges, "
        "fill values), by step: what a model server needs to process a row as it was processed here.",
        ResponseDoc(
            text="The parameters.", kind=responses.Fitted, example=examples.FITTED, headers=etags.RESPONSE_HEADERS
        ),
        etags.NOT_MODIFIED,
        errors=_NONE,
        headers=etags.REQUEST_HEADERS,
    ),
)
async def read_fitted(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str], number: FromPath[str]
) -> Response[Any]:
    query_string.read(request, query_string.NoParameters)
    version = await find_version(services, name, named_version(number, name))
    headers = etags.headers(etags.of(version, "fitted"))
    fitted = responses.Fitted(pipeline=name, version=version.version, revision=version.revision, fitted=version.fitted)
    return etags.not_modified(request, headers) or Response(fitted, headers=headers)


@post(
    "/pipeline/{name:str}/apply",
    **route(
        "viewer",
        "Results",
        "Apply a version to records",
        "Applies the processors that made a version to up to 10000 records, with its configuration, fitted parameters "
        "and types: a record that equals a row of the sources becomes what was stored for that row, so that training "
        "and serving cannot drift. Every record has every column of the collected data (`null` for a missing value), "
        "in the form in which JSON data is answered; records also come as NDJSON, one a line, and as an Arrow IPC "
        "stream, whose columns have the types of the collected data or others that lose nothing. The rows are answered "
        "in the format that `format` or `Accept` names. In JSON, `rows` has the index of the record of each row, "
        "`dropped` names records that a step removes, and operations that need other rows (sorting, duplicates, "
        "windows, groups) are skipped and named in `skipped`; in other formats `index` adds the index of the record. "
        "Nothing is stored.",
        ResponseDoc(
            text="The processed records.",
            kind=responses.AppliedRecords,
            example=examples.APPLIED,
            media=_MEDIA,
            headers={
                VERSION: "The number of the version that was applied.",
                DROPPED: "How many records a step removed.",
            },
        ),
        errors=(*_NONE, "NOT_ACCEPTABLE", "QUERY_TIMEOUT", "REQUEST_OUT_OF_MEMORY", "OVERLOADED"),
        query=ApplyQuery,
        body=RequestBody(kind=ApplyBody, example=examples.APPLY, media=_MEDIA),
    ),
)
async def apply(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[bytes]:
    query = query_string.read(request, ApplyQuery)
    wanted = streaming.format_of(request, query.format, APPLY_FORMATS)
    given, body = await _records(request, services.settings.max_body_bytes)
    named = chosen_version(query.version) if query.version is not None else None
    version = await find_version(services, name, query_string.one_version(named, body.version))

    async def document() -> dict[str, Any]:
        return (await find_pipeline(services, name, version.revision)).document

    order = ApplyRequest(records=bytes(body.records), given=given, wanted=_FORMAT[wanted], index=query.index)
    answer = await disconnects.unless_gone(
        request.receive, services.tasks.apply(version, document, order, seconds=_SECONDS)
    )
    headers = {VERSION: str(version.version), DROPPED: str(answer.dropped)}
    return Response(answer.content, media_type=APPLY_FORMATS[wanted].media_type, headers=headers, status_code=200)


async def _records(request: TypedRequest, most: int) -> tuple[RecordFormat, _RawApplyBody]:
    """The format of the records, and the body; one that is not JSON has only the records."""
    kind = request_body.media_type(request)
    for form in ("ndjson", "arrow"):
        if kind in APPLY_FORMATS[form].media_types:
            return _FORMAT[form], _RawApplyBody(records=msgspec.Raw(await request_body.read(request, most)))
    text = await request_body.json(request, most, also=f", {_MEDIA[1]} or {_MEDIA[2]}")
    return "json", await request_body.decoded(text, _read)


def _read(text: bytes) -> _RawApplyBody:
    """The body with its records as bytes, which a child process decodes. Raises ``errors.Invalid``."""
    try:
        return _decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        if len(text) > request_body.LONGEST:
            raise errors.Invalid(f"the body cannot be read: {error}", field=request_body.FIELD) from None
        with request_body.named():
            found = request_body.as_object(documents.from_json(text))
            _, problems = decoding.decode(ApplyBody, found)
            raise errors.Invalid.of(problems or [Problem(request_body.FIELD, "cannot be read")], "body") from None


_decode = msgspec.json.Decoder(_RawApplyBody).decode
HANDLERS = [read_fitted, apply]
