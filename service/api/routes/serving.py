"""Serving: what the steps of a version learnt, and the same steps applied to records that come now."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from service.api import examples, query_string, request_body, responses
from service.api.path_lookup import known, stored, version_of
from service.api.query_string import Number, about
from service.api.route_docs import JSON, RequestBody, ResponseDoc, route
from service.api.services import ServicesDependency, TypedRequest
from service.jobs.messages import StoredParts
from service.jobs.tasks.apply import Application
from service.kit import decoding, documents, errors
from service.kit.codes import Code

_NONE: tuple[Code, ...] = ("PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA")
_SECONDS = 30.0


class ApplyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Records as the version's sources brought them: each an object with every column, null where it is missing."""

    records: Annotated[list[dict[str, Any]], about("One object a record.", max_length=10_000)]
    version: Number | None = None


class _Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``ApplyRequest`` that are looked at elsewhere."""

    records: msgspec.Raw
    version: Number | None = None


@get(
    "/pipeline/{name:str}/versions/{number:str}/fitted",
    **route(
        "viewer",
        "Results",
        "Read what was fitted",
        "The numbers that the steps of a version learnt from its data (means, scales, categories, bin edges, fills), "
        "by step: what a model server needs to treat a row as it was treated here.",
        ResponseDoc(text="The parameters.", kind=responses.Fitted, example=examples.FITTED),
        errors=_NONE,
    ),
)
async def read_fitted(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str], number: FromPath[str]
) -> responses.Fitted:
    query_string.read(request, query_string.Nothing)
    version = await stored(services, name, version_of(number, name))
    return responses.Fitted(pipeline=name, version=version.version, revision=version.revision, fitted=version.fitted)


@post(
    "/pipeline/{name:str}/apply",
    **route(
        "viewer",
        "Results",
        "Apply a version to records",
        "Takes up to 10000 records through the processors that made a version, with its configuration, fitted numbers "
        "and types: a record that equals a row of the sources comes out as that row was stored, so that training and "
        "serving cannot drift. Every record has every column of the collected data (`null` where it is missing), in "
        "the form in which JSON data is answered. A record that a step takes out is named in `dropped`; what needs "
        "other rows (sorting, duplicates, windows, groups) is left out and named in `skipped`. Nothing is stored.",
        ResponseDoc(text="The records as they came out.", kind=responses.AppliedRecords, example=examples.APPLIED),
        errors=(*_NONE, "QUERY_TIMEOUT", "OVERLOADED"),
        query=query_string.ByVersion,
        body=RequestBody(kind=ApplyRequest, example=examples.APPLY, media=(JSON,)),
    ),
)
async def apply(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Response[bytes]:
    named = query_string.read(request, query_string.ByVersion).version
    given = _read(await request_body.json(request, services.settings.max_body_bytes))
    version = await stored(services, name, query_string.one_version(named, given.version))
    if version.tape is None:
        message = f"version {version.version} was made before versions could be applied; execute the pipeline again"
        raise errors.Missing(message, code="NO_DATA", field="version")
    record = await known(services, name, version.revision)
    tape = services.layout.version(version.pipeline, version.version) / version.tape.name
    asked = Application(document=record.document, version=version.version, tape=str(tape), records=bytes(given.records))
    readable = {"tape": StoredParts(pipeline=name, version=version.version, parts=(str(tape),), rows=0)}
    content = await services.tasks.ask(
        asked, seconds=_SECONDS, document=record.document.get("processors"), stored=readable
    )
    return Response(content, media_type=JSON, status_code=200)


def _read(text: bytes) -> _Envelope:
    """The body, its records as they came: a child will read them."""
    try:
        return msgspec.json.decode(text, type=_Envelope)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found, problems = decoding.decode(ApplyRequest, _object(documents.from_json(text)))
        raise (
            errors.Invalid.of(problems, "body") if found is None else errors.Invalid("the body cannot be read")
        ) from None


def _object(given: Any) -> Any:
    if not isinstance(given, dict):
        raise errors.Invalid("the body is a JSON object")
    return given


HANDLERS = [read_fitted, apply]
