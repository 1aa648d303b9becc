"""An API key: a name for some of the rights of a user, for a machine."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec

from service.kit import errors
from service.model.rights import Rights
from service.model.user import RANK, Role, User

_Patterns = Annotated[
    list[Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_*?-]{1,63}\Z")]],
    msgspec.Meta(
        description="Names of pipelines, with `*` and `?`; others do not exist for the key.", min_length=1,
        max_length=100, examples=[["sales_*"]],
    ),
]  # fmt: skip
_QueryNames = Annotated[
    list[Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}\Z")]],
    msgspec.Meta(
        description="Saved queries; the key may do nothing but have them answered.", min_length=1, max_length=100
    ),
]
_RowFilter = Annotated[
    dict[str, Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]],
    msgspec.Meta(description="A condition of SQL by the name of a table.", min_length=1, max_length=100),
]


class KeyDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key is for, and what it may do. What is left out bounds nothing."""

    name: Annotated[str, msgspec.Meta(description="What the key is for.", min_length=1, max_length=100)]
    role: Annotated[
        Role | None, msgspec.Meta(description="At most this role; never more than the user's at the time.")
    ] = None
    pipelines: _Patterns | None = None
    queries: _QueryNames | None = None
    row_filter: _RowFilter | None = None
    rate_limit_per_minute: (
        Annotated[
            int, msgspec.Meta(ge=1, le=1_000_000, description="Requests of the key a minute, within its user's limit.")
        ]
        | None
    ) = None
    expires: Annotated[datetime, msgspec.Meta(tz=True, description="When the key ends.")] | None = None

    def check(self, caller: Rights, now: datetime) -> None:
        """Refuse a key that could do more than who makes it, or nothing. Raises ``errors.Invalid``, ``Forbidden``."""
        if not self.name.isprintable() or self.name != self.name.strip():
            raise errors.Invalid("name: printable characters, and no space around them", field="name")
        if self.expires is not None and self.expires <= now:
            raise errors.Invalid("expires: this time has passed", field="expires")
        if (twice := _twice(self.row_filter or {})) is not None:
            raise errors.Invalid(f"row_filter: names the table '{twice}' twice", field="row_filter")
        if self.row_filter is not None and self.role not in (None, "viewer"):
            raise errors.Invalid("role: a key with a row filter is a viewer; leave it out", field="role")
        if self.queries is not None and self.role not in (None, "viewer"):
            raise errors.Invalid("role: a key with queries is a viewer; leave it out", field="role")
        if self.role is not None and not caller.may(self.role):
            raise errors.Forbidden(f"role: a key has at most your role ({caller.role})", field="role")


class MachineKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as lists show it: without the key itself, of which only a hash is stored. ``prefix`` is how it begins."""

    id: str
    owner: str
    prefix: str
    name: str
    role: Role | None
    pipelines: list[str] | None
    queries: list[str] | None
    row_filter: dict[str, str] | None
    rate_limit_per_minute: int | None
    expires: datetime | None
    created: datetime
    last_used: datetime | None = None

    @property
    def definition(self) -> KeyDefinition:
        """What its user asked for."""
        return msgspec.convert({name: getattr(self, name) for name in KeyDefinition.__struct_fields__}, KeyDefinition)

    def changed(self, definition: KeyDefinition) -> MachineKey:
        """The key as ``definition`` has it."""
        changes: Mapping[str, Any] = msgspec.structs.asdict(definition)
        return msgspec.structs.replace(self, **changes)

    def ended(self, now: datetime) -> bool:
        """Whether it has expired."""
        return self.expires is not None and self.expires <= now

    def rights(self, user: User) -> Rights:
        """The lesser of its own rights and the present ones of its user."""
        bounded = self.queries is not None or self.row_filter is not None
        own: Role = "viewer" if bounded else self.role or user.role
        return Rights(
            username=user.username,
            account=user.username,
            role=min(own, user.role, key=RANK.__getitem__),
            key=self.id,
            pipelines=None if self.pipelines is None else tuple(self.pipelines),
            queries=None if self.queries is None else tuple(self.queries),
            row_filter=self.row_filter or {},
            rate_limit_per_minute=self.rate_limit_per_minute,
        )


def _twice(tables: Mapping[str, str]) -> str | None:
    """A table that is named twice, in letters that differ in case alone."""
    seen: set[str] = set()
    for table in tables:
        if table.casefold() in seen:
            return table
        seen.add(table.casefold())
    return None
