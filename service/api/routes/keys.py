"""Routes of API keys: list, make, change, remove."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import msgspec
from litestar import Response
from litestar.params import FromPath

from service.api import audit_actions, examples, filtered_keys, idempotency, query_string, request_body
from service.api.query_string import PageRequest
from service.api.route_docs import RequestBody, ResponseDoc, route
from service.api.route_handler import delete, get, patch, post
from service.api.services import Services, ServicesDependency, TypedRequest
from service.kit import errors
from service.model.api_key import KeyDefinition, MachineKey
from service.model.rights import Rights
from service.model.user import Role

_KEY = {
    "id": "key_01a22c…", "owner": "ann", "prefix": "psk_4f3aZ9xQ", "name": "nightly export", "role": "viewer",
    "pipelines": ["sales_*"], "queries": None, "row_filter": None, "rate_limit_per_minute": 600,
    "expires": "2027-01-01T00:00:00Z", "created": examples.AT, "last_used": None,
}  # fmt: skip
_DEFINITION = {k: _KEY[k] for k in ("name", "role", "pipelines", "rate_limit_per_minute", "expires")}


class NewKey(KeyDefinition, frozen=True, kw_only=True):
    """A key to make. ``owner`` is for commands on the service's machine, which have no account of their own."""

    owner: str | None = None


class MadeKey(MachineKey, frozen=True, kw_only=True):
    """A key with the key itself, which is shown this once; a repeated request gets the rest."""

    key: str | msgspec.UnsetType = msgspec.UNSET


class KeyChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a key; ``null`` takes a bound away."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    role: Role | msgspec.UnsetType | None = msgspec.UNSET
    pipelines: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    queries: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    row_filter: dict[str, str] | msgspec.UnsetType | None = msgspec.UNSET
    rate_limit_per_minute: int | msgspec.UnsetType | None = msgspec.UNSET
    expires: datetime | msgspec.UnsetType | None = msgspec.UNSET


@get(
    "/keys",
    **route(
        "viewer",
        "Authentication",
        "List API keys",
        "Lists the caller's own keys, oldest first; those of all users for admins. A key itself is never shown again.",
        ResponseDoc(text="A page.", kind=list[MachineKey], example=examples.page(_KEY)),
        query=PageRequest,
    ),
)
async def list_keys(request: TypedRequest, services: ServicesDependency) -> dict[str, Any]:
    page = query_string.read(request, PageRequest)
    found = await asyncio.to_thread(services.keys.list, _whose(request.user))
    return query_string.page_of(found[page.offset : page.offset + page.limit], len(found), page)


@post(
    "/keys",
    **route(
        "viewer",
        "Authentication",
        "Make an API key",
        "A key for a machine, sent as `Authorization: Bearer psk_…`. Its rights are at each request the lesser of its "
        "own and those of the user who made it. The answer is the only one that shows the key.",
        ResponseDoc(status=201, text="The key.", kind=MadeKey, example={**_KEY, "key": "psk_4f3aZ9xQ…"}),
        errors=("CONFLICT", "STORAGE_FULL"),
        body=RequestBody(kind=NewKey, example=_DEFINITION),
        idempotent=True,
        action=audit_actions.CREATE_KEY,
    ),
)
async def make_key(request: TypedRequest, services: ServicesDependency) -> MadeKey:
    query_string.read(request, query_string.NoParameters)
    new = await request_body.value(request, NewKey, services.settings.max_body_bytes)
    owner, rights = _owner(request.user, new.owner, services)
    given = msgspec.structs.asdict(new)
    del given["owner"]
    definition = KeyDefinition(**given)
    definition.check(rights, services.clock.now())
    await filtered_keys.check(definition.row_filter or {}, rights, services)
    key, secret = await asyncio.to_thread(services.keys.add, owner, definition, idempotency.claimed(request))
    shown = MadeKey(**msgspec.structs.asdict(key))
    idempotency.withhold(request, msgspec.json.encode(shown))
    return msgspec.structs.replace(shown, key=secret) if secret is not None else shown


@patch(
    "/keys/{id:str}",
    **route(
        "viewer",
        "Authentication",
        "Change an API key",
        "Changes what a key may do, from the next request on. Only its user and admins may.",
        ResponseDoc(text="The key.", kind=MachineKey, example=_KEY),
        errors=("NOT_FOUND", "STORAGE_FULL"),
        body=RequestBody(kind=KeyChange, example={"expires": "2027-01-01T00:00:00Z"}),
        action=audit_actions.CHANGE_KEY,
    ),
)
async def change_key(request: TypedRequest, services: ServicesDependency, id: FromPath[str]) -> MachineKey:
    query_string.read(request, query_string.NoParameters)
    key = await asyncio.to_thread(services.keys.get, id, _whose(request.user))
    change = await request_body.value(request, KeyChange, services.settings.max_body_bytes)
    changes = {name: value for name, value in msgspec.to_builtins(change).items() if value is not msgspec.UNSET}
    if not changes:
        raise errors.Invalid("name what to change", field=request_body.FIELD)
    try:
        definition = msgspec.convert(msgspec.to_builtins(key.definition) | changes, KeyDefinition)
    except msgspec.ValidationError as error:
        raise errors.Invalid(str(error), field=request_body.FIELD) from None
    definition.check(request.user, services.clock.now())
    await filtered_keys.check(definition.row_filter or {}, request.user, services)
    services.audit.admit()
    return await asyncio.to_thread(services.keys.change, key, definition)


@delete(
    "/keys/{id:str}",
    **route(
        "viewer",
        "Authentication",
        "Remove an API key",
        "It opens nothing from now on. Only its user and admins may remove it.",
        ResponseDoc(status=204, text="It was removed.", media=()),
        errors=("NOT_FOUND", "STORAGE_FULL"),
        action=audit_actions.DELETE_KEY,
    ),
)
async def remove_key(request: TypedRequest, services: ServicesDependency, id: FromPath[str]) -> Response[None]:
    query_string.read(request, query_string.NoParameters)
    await request_body.refuse(request, services.settings.max_body_bytes)
    await asyncio.to_thread(services.keys.delete, id, _whose(request.user))
    return Response(None, status_code=204)


def _whose(rights: Rights) -> str | None:
    """Whose keys a caller sees: None for all."""
    return None if rights.is_unbounded else rights.username


def _owner(rights: Rights, asked: str | None, services: Services) -> tuple[str, Rights]:
    """The user of a new key, with the rights that bound it. Raises ``errors.Invalid``, ``errors.Forbidden``."""
    if rights.account is not None:
        if asked not in (None, rights.account):
            raise errors.Forbidden("owner: everyone makes keys for himself only", field="owner")
        if services.users.account(rights.account) is None:
            raise errors.Forbidden("a key belongs to an account of this service, and this token is of an issuer")
        return rights.account, rights
    account = services.users.account(asked) if asked is not None else None
    if account is None:
        raise errors.Invalid("owner: name the account that the key belongs to", field="owner")
    return account.user.username, Rights(username=account.user.username, role=account.user.role)


HANDLERS = [list_keys, make_key, change_key, remove_key]
