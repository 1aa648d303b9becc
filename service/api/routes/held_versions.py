"""Routes that decide about held versions: accept one, or reject it."""

from __future__ import annotations

from litestar.params import FromPath

from service.api import audit_actions, examples, idempotency, query_string, request_body, responses
from service.api.path_lookup import find_version, named_version, valid_name
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import post
from service.api.routes.results import view_version
from service.api.services import Services, ServicesDependency, TypedRequest
from service.catalog.store import Transaction
from service.kit.codes import Code
from service.model.run import Run
from service.model.version import Version

_MISSING: tuple[Code, ...] = ("PIPELINE_NOT_FOUND", "VERSION_NOT_FOUND", "NO_DATA")


@post(
    "/pipeline/{name:str}/versions/{number:str}/accept",
    **route(
        "operator",
        "Results",
        "Accept a held version",
        "Publishes a version that `publish_if` held back, with the incremental state of its collectors: it is the "
        "newest version from now on, triggers fire, and the next run starts from it. Its run stays `held`. 409 "
        "`VERSION_SUPERSEDED` if a newer version was published since, or, for rows that were added to those of an "
        "earlier version (append, merge, replay), any other one; 409 `CONFLICT` if it is not held; 409 "
        "`PIPELINE_RUNNING` while a run is in progress.",
        ResponseDoc(
            text="The version, which is published.",
            kind=responses.VersionView,
            example={**examples.VERSION, "held_because": examples.HELD_BECAUSE},
        ),
        errors=(*_MISSING, "CONFLICT", "VERSION_SUPERSEDED", "PIPELINE_RUNNING", "DATA_CORRUPT"),
        idempotent=True,
        action=audit_actions.ACCEPT,
    ),
)
async def accept(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str], number: FromPath[str]
) -> responses.VersionView:
    query_string.read(request, query_string.NoParameters)
    await request_body.refuse(request, services.settings.max_body_bytes)
    version = await _accepted(request, services, valid_name(name), named_version(number, name))
    return (await view_version(services, version))[0]


async def _accepted(request: TypedRequest, services: Services, name: str, number: int | str) -> Version:
    claim = idempotency.claimed(request)
    if claim is not None and claim.resource is not None:  # an earlier try of this request has accepted it
        run = await services.supervisor.run(claim.resource)
        return await find_version(services, name, run.version)

    def note(transaction: Transaction, run: Run) -> None:
        if claim is not None:
            claim.note(transaction, run.run_id)

    return await services.held.accept(name, number, request.user.username, alongside=(note,))


@post(
    "/pipeline/{name:str}/versions/{number:str}/reject",
    **route(
        "operator",
        "Results",
        "Reject a held version",
        "Removes a version that `publish_if` held back, and its files, for good; its run stays in the history, and "
        "its number is not used again. 409 `CONFLICT` if it is not held, `VERSION_IN_USE` if it is pinned, tagged, or "
        "read by a run or a query.",
        ResponseDoc(status=204, text="The version was removed.", media=()),
        errors=(*_MISSING, "CONFLICT", "VERSION_IN_USE"),
        action=audit_actions.REJECT,
    ),
)
async def reject(
    request: TypedRequest, services: ServicesDependency, name: FromPath[str], number: FromPath[str]
) -> None:
    query_string.read(request, query_string.NoParameters)
    await request_body.refuse(request, services.settings.max_body_bytes)
    await services.held.reject(valid_name(name), named_version(number, name), request.user.username)


HANDLERS = [accept, reject]
