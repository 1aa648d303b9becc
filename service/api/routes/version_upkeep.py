"""Routes that mark and delete versions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import msgspec
from litestar import Response
from litestar.params import FromPath

from service.api import audit_actions, examples, idempotency, query_string, request_body, responses
from service.api.path_lookup import find_pipeline, find_version, named_version, valid_name, valid_tag
from service.api.query_string import about
from service.api.route_docs import RequestBody, ResponseDoc, route
from service.api.route_handler import delete, post
from service.api.routes.results import view_version
from service.api.services import Services, ServicesDependency, TypedRequest
from service.catalog.store import Transaction
from service.kit.codes import Code
from service.model.run import Run
from service.model.version import Version

_MISSING: tuple[Code, ...] = ("PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA")
_PATIENCE = 60.0  # seconds for a restoration whose caller has gone
_PINNED = {**examples.VERSION, "pinned": True}
_TAGGED = {**examples.VERSION, "tags": ["stable"]}


class TagRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tag of a version."""

    tag: Annotated[str, about("Lower-case letters, digits, - and _; a letter first; at most 63.", examples=["stable"])]


@delete(
    "/pipeline/{name:str}/versions/{number:str}",
    **route(
        "admin",
        "Results",
        "Delete a version",
        "Removes a version and its files for good; its run stays in the history, and its number is not used again. "
        "A version that is the newest, pinned, tagged, or read by a run or a query is not deleted: 409. To delete a "
        "held version is to reject it.",
        ResponseDoc(status=204, text="The version was deleted.", media=()),
        errors=(*_MISSING, "VERSION_IN_USE"),
        action=audit_actions.DELETE_VERSION,
    ),
)
async def delete_version(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str], number: FromPath[str]
) -> None:
    query_string.read(request, query_string.NoParameters)
    await request_body.refuse(request, services.settings.max_body_bytes)
    await services.upkeep.delete(valid_name(name), named_version(number, name), request.user.username)


@post(
    "/pipeline/{name:str}/versions/{number:str}/pin",
    **route(
        "operator",
        "Results",
        "Pin a version",
        "A pinned version is not deleted, neither by retention nor by request, until it is unpinned.",
        ResponseDoc(text="The version.", kind=responses.VersionView, example=_PINNED),
        errors=_MISSING,
        action=audit_actions.PIN,
    ),
)
async def pin(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str], number: FromPath[str]
) -> responses.VersionView:
    return await _mark(request, services, name, number, services.marks.pin)


@post(
    "/pipeline/{name:str}/versions/{number:str}/unpin",
    **route(
        "operator",
        "Results",
        "Unpin a version",
        "Removes the pin; a version without one stays as it is.",
        ResponseDoc(text="The version.", kind=responses.VersionView, example=examples.VERSION),
        errors=_MISSING,
        action=audit_actions.UNPIN,
    ),
)
async def unpin(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str], number: FromPath[str]
) -> responses.VersionView:
    return await _mark(request, services, name, number, services.marks.unpin)


@post(
    "/pipeline/{name:str}/versions/{number:str}/tag",
    **route(
        "operator",
        "Results",
        "Tag a version",
        "Lets a tag name this version; a tag that named another version moves. A tag is read like a number: "
        '`"orders@stable"` in SQL, `version=stable` in routes that read rows. A tagged version is not deleted.',
        ResponseDoc(text="The version.", kind=responses.VersionView, example=_TAGGED),
        errors=_MISSING,
        body=RequestBody(kind=TagRequest, example={"tag": "stable"}),
        action=audit_actions.TAG,
    ),
)
async def tag(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str], number: FromPath[str]
) -> responses.VersionView:
    query_string.read(request, query_string.NoParameters)
    body = await request_body.value(request, TagRequest, services.settings.max_body_bytes)
    chosen = valid_tag(body.tag)
    version = await find_version(services, name, named_version(number, name))
    record = await find_pipeline(services, name)
    await asyncio.to_thread(services.marks.tag, record.id, version, chosen)
    return (await view_version(services, version))[0]


class RestoreQuery(query_string.NoParameters, frozen=True, kw_only=True):
    """What to restore."""

    state: Annotated[bool, about("Also take the incremental state that collectors had then.")] = False


@post(
    "/pipeline/{name:str}/versions/{number:str}/restore",
    **route(
        "operator",
        "Results",
        "Restore a version",
        "Commits the rows of a version as the newest version, with its columns, profiles, fitted parameters and "
        "quarantine; files are linked, not copied. Nothing is collected. Collectors continue from the state of the "
        "newest version; with `state=true` from that of the restored one, so that they collect again what came since. "
        "A held version is accepted, not restored.",
        ResponseDoc(
            status=201,
            text="The new version.",
            kind=responses.VersionView,
            example={**examples.VERSION, "version": 4, "restored_from": 2},
            headers={"Location": "The version."},
        ),
        ResponseDoc(
            text="The newest version has these rows already; it stays as it is.",
            kind=responses.VersionView,
            example=examples.VERSION,
            headers={"Location": "The version."},
        ),
        errors=(*_MISSING, "PIPELINE_RUNNING", "CONFLICT", "DATA_CORRUPT"),
        query=RestoreQuery,
        idempotent=True,
        action=audit_actions.RESTORE_VERSION,
    ),
)
async def restore(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str], number: FromPath[str]
) -> Response[responses.VersionView]:
    state = query_string.read(request, RestoreQuery).state
    await request_body.refuse(request, services.settings.max_body_bytes)
    wanted, before = named_version(number, name), await find_version(services, name)
    version = await _restored_earlier(request, services, name)
    made = version is not None
    if version is None:
        version = await _restored(request, services, name, wanted, state=state)
        made = version.version > before.version
    shown, _ = await view_version(services, version)
    location = {"location": f"/api/v1/pipeline/{name}/versions/{version.version}"}
    return Response(shown, status_code=201 if made else 200, headers=location)


async def _restored_earlier(request: TypedRequest, services: Services, name: str) -> Version | None:
    """The version that an earlier try of the request has committed; None if there was none, or if it failed."""
    claim = idempotency.claimed(request)
    if claim is None or claim.resource is None:
        return None
    run = await services.supervisor.wait(claim.resource, _PATIENCE)
    return await find_version(services, name, run.version) if run.version is not None else None


async def _restored(request: TypedRequest, services: Services, name: str, number: int | str, *, state: bool) -> Version:
    claim = idempotency.claimed(request)

    def note(transaction: Transaction, run: Run) -> None:
        if claim is not None:
            claim.note(transaction, run.run_id)

    user = request.user.username
    return await services.supervisor.restore(name, number, user, state=state, alongside=(note,))


@delete(
    "/pipeline/{name:str}/tags/{tag:str}",
    **route(
        "operator",
        "Results",
        "Remove a tag",
        "The version that it named stays.",
        ResponseDoc(status=204, text="The tag was removed.", media=()),
        errors=("PIPELINE_NOT_FOUND", "NOT_FOUND"),
        action=audit_actions.DELETE_TAG,
    ),
)
async def untag(request: TypedRequest, services: ServicesDependency, name: FromPath[str], tag: FromPath[str]) -> None:
    query_string.read(request, query_string.NoParameters)
    await request_body.refuse(request, services.settings.max_body_bytes)
    record = await find_pipeline(services, name)
    await asyncio.to_thread(services.marks.untag, record.id, name, tag)


async def _mark(
    request: TypedRequest, services: Services, name: str, number: str, change: Callable[[str, Version], None]
) -> responses.VersionView:
    query_string.read(request, query_string.NoParameters)
    await request_body.refuse(request, services.settings.max_body_bytes)
    version = await find_version(services, name, named_version(number, name))
    record = await find_pipeline(services, name)
    await asyncio.to_thread(change, record.id, version)
    return (await view_version(services, version))[0]


HANDLERS = [delete_version, pin, unpin, tag, restore, untag]
