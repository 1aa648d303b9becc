"""Routes that serve a version's steps: their fitted parameters, and the steps applied to new records."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from service.api import etags, examples, query_string, request_body, responses
from service.api.path_lookup import chosen_version, find_pipeline, find_version, named_version
from service.api.query_string import about
from service.api.route_docs import JSON, RequestBody, ResponseDoc, route
from service.api.services import ServicesDependency, TypedRequest
from service.jobs.messages import StoredParts
from service.jobs.tasks.task import Application
from service.kit import decoding, documents, errors
from service.kit.codes import Code
from service.kit.errors import Problem
from service.values.version_name import VersionName

_NONE: tuple[Code, ...] = ("PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA")
_SECONDS = 30.0


class ApplyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Records as the version's sources have them: each an object with every column, null for a missing value."""

    records: Annotated[list[dict[str, Any]], about("One object per record.", max_length=10_000)]
    version: VersionName | None = None


class _RawApplyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``ApplyRequest`` with records that a child process decodes."""

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
        "in the form in which JSON data is answered. `dropped` names records that a step removes; operations that "
        "need other rows (sorting, duplicates, windows, groups) are skipped and named in `skipped`. Nothing is "
        "stored.",
        ResponseDoc(text="The processed records.", kind=responses.AppliedRecords, example=examples.APPLIED),
        errors=(*_NONE, "QUERY_TIMEOUT", "OVERLOADED"),
        query=query_string.ByVersion,
        body=RequestBody(kind=ApplyRequest, example=examples.APPLY, media=(JSON,)),
    ),
)
async def apply(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[bytes]:
    named = query_string.read(request, query_string.ByVersion).version
    body = await request_body.decoded(await request_body.json(request, services.settings.max_body_bytes), _read)
    query = chosen_version(named) if named is not None else None
    version = await find_version(services, name, query_string.one_version(query, body.version))
    fit_record = await services.tasks.fit_record(version)
    if fit_record is None:
        message = (
            f"version {version.version} was made by a release that could not apply versions; execute the pipeline again"
        )
        raise errors.Missing(message, code="NO_DATA", field="version")
    record = await find_pipeline(services, name, version.revision)
    task = Application(
        document=record.document, version=version.version, fit_record=fit_record, records=bytes(body.records)
    )
    readable = {"fit_record": StoredParts(pipeline=name, version=version.version, parts=(fit_record,), rows=0)}
    content = await services.tasks.ask(
        task, seconds=_SECONDS, document=record.document.get("processors"), stored=readable
    )
    return Response(content, media_type=JSON, status_code=200)


def _read(text: bytes) -> _RawApplyRequest:
    """The body with its records as bytes, which a child process decodes. Raises ``errors.Invalid``."""
    try:
        return msgspec.json.decode(text, type=_RawApplyRequest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        if len(text) > request_body.LONGEST:
            raise errors.Invalid(f"the body cannot be read: {error}", field=request_body.FIELD) from None
        with request_body.named():
            found = request_body.as_object(documents.from_json(text))
            _, problems = decoding.decode(ApplyRequest, found)
            raise errors.Invalid.of(problems or [Problem(request_body.FIELD, "cannot be read")], "body") from None


HANDLERS = [read_fitted, apply]
