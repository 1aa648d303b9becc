"""Routes of the accounts: list, create, change, delete."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.params import FromPath

from service.api import audit_actions, examples, idempotency, query_string, request_body
from service.api.query_string import PageRequest
from service.api.route_docs import RequestBody, ResponseDoc, route
from service.api.route_handler import delete, get, patch, post
from service.api.services import ServicesDependency, TypedRequest
from service.kit import errors
from service.model.user import Role, User

_Password = Annotated[str, msgspec.Meta(description="At least 12 characters.", max_length=1024)]


class NewUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account to create."""

    username: Annotated[str, msgspec.Meta(description="1 to 63 letters, digits and `._@-`.", max_length=256)]
    password: _Password
    role: Role


class UserChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of an account."""

    password: _Password | None = None
    role: Role | None = None
    disabled: bool | None = None


@get(
    "/users",
    **route(
        "admin",
        "Authentication",
        "List accounts",
        "Lists the accounts by name.",
        ResponseDoc(text="A page.", kind=list[User], example=examples.page(examples.USER)),
        query=PageRequest,
    ),
)
async def list_users(request: TypedRequest, services: ServicesDependency) -> dict[str, Any]:
    page = query_string.read(request, PageRequest)
    users = services.users.list()
    return query_string.page_of(users[page.offset : page.offset + page.limit], len(users), page)


@post(
    "/users",
    **route(
        "admin",
        "Authentication",
        "Create an account",
        "The password has at least 12 characters; it is stored as a hash and never shown.",
        ResponseDoc(status=201, text="The account.", kind=User, example=examples.USER),
        errors=("USER_EXISTS",),
        body=RequestBody(kind=NewUser, example={**examples.LOGIN, "role": "operator"}),
        idempotent=True,
        action=audit_actions.CREATE_USER,
    ),
)
async def create_user(request: TypedRequest, services: ServicesDependency) -> User:
    query_string.read(request, query_string.NoParameters)
    new = await request_body.value(request, NewUser, services.settings.max_body_bytes)
    claim = idempotency.claimed(request)
    return await asyncio.to_thread(services.users.add, new.username, new.password, new.role, claim)


@patch(
    "/users/{username:str}",
    **route(
        "admin",
        "Authentication",
        "Change an account",
        "Changes the password, the role or the state of an account; each ends all logins of that user at once. The "
        "last admin stays one: 409.",
        ResponseDoc(text="The account.", kind=User, example=examples.USER),
        errors=("USER_NOT_FOUND", "LAST_ADMIN"),
        body=RequestBody(kind=UserChange, example={"role": "operator"}),
        action=audit_actions.CHANGE_USER,
    ),
)
async def change_user(request: TypedRequest, services: ServicesDependency, username: FromPath[str]) -> User:
    query_string.read(request, query_string.NoParameters)
    change = await request_body.value(request, UserChange, services.settings.max_body_bytes)
    changes = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
    if not changes:
        raise errors.Invalid("name what to change: password, role or disabled", field=request_body.FIELD)
    if not change.disabled:
        services.audit.admit()
    return await asyncio.to_thread(lambda: services.users.change(username, **changes))


@delete(
    "/users/{username:str}",
    **route(
        "admin",
        "Authentication",
        "Delete an account",
        "Ends all logins of that user at once. The last admin cannot be deleted: 409.",
        ResponseDoc(status=204, text="The account was deleted.", media=()),
        errors=("USER_NOT_FOUND", "LAST_ADMIN"),
        action=audit_actions.DELETE_USER,
    ),
)
async def delete_user(request: TypedRequest, services: ServicesDependency, username: FromPath[str]) -> Response[None]:
    query_string.read(request, query_string.NoParameters)
    await request_body.refuse(request, services.settings.max_body_bytes)
    await asyncio.to_thread(services.users.delete, username)
    return Response(None, status_code=204)


HANDLERS = [list_users, create_user, change_user, delete_user]
