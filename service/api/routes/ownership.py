"""The route that says who sees a pipeline."""

from __future__ import annotations

import asyncio

import msgspec
from litestar.params import FromPath

from service.api import audit_actions, query_string, request_body
from service.api.route_docs import RequestBody, ResponseDoc, route
from service.api.route_handler import patch
from service.api.services import ServicesDependency, TypedRequest
from service.catalog.ownership import Owned
from service.kit import errors
from service.model.rights import Visibility


class OwnershipChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change: who sees the pipeline, and whose it is (``null``: the admins')."""

    visibility: Visibility | msgspec.UnsetType = msgspec.UNSET
    owner: str | msgspec.UnsetType | None = msgspec.UNSET


@patch(
    "/pipeline/{name:str}",
    **route(
        "operator",
        "Pipelines",
        "Share a pipeline or make it private",
        "Only the owner and admins may do this. A `private` pipeline exists for its owner and the admins only: all "
        "others get 404 wherever they name it, and no list, table or error tells of it. Who creates a pipeline owns "
        "it; those of deleted accounts, and those without an owner (`null`), belong to the admins.",
        ResponseDoc(
            text="Whose it is, and who sees it.", kind=Owned,
            example={"name": "orders", "owner": "ann", "visibility": "private"},
        ),
        errors=("PIPELINE_NOT_FOUND", "STORAGE_FULL"),
        body=RequestBody(kind=OwnershipChange, example={"visibility": "private"}),
        action=audit_actions.SHARE_PIPELINE,
    ),
)  # fmt: skip
async def change_ownership(request: TypedRequest, services: ServicesDependency, name: FromPath[str]) -> Owned:
    query_string.read(request, query_string.NoParameters)
    change = await request_body.value(request, OwnershipChange, services.settings.max_body_bytes)
    changes = {key: value for key, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}
    if not changes:
        raise errors.Invalid("name what to change: visibility or owner", field=request_body.FIELD)
    return await asyncio.to_thread(services.ownership.change, name, request.user, changes)


HANDLERS = [change_ownership]
