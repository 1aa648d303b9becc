"""Who a caller is and what the caller may see: a user, or an API key with some of the rights of its user.

Rights are made anew for each request from the account and the key as they are then.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Literal

import msgspec

from service.model.user import RANK, Role

Visibility = Literal["shared", "private"]
Bounds = tuple[str | None, bool, tuple[str, ...] | None]
"""What decides which pipelines a caller sees."""
Readable = frozenset[str] | None
"""The names of the pipelines that a caller sees; None: all of them."""


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """The rights of one caller. ``account`` is None for commands of the user that the service runs as.

    ``key`` is the id of an API key. ``pipelines`` are patterns of names: a caller who has some sees no others.
    ``queries`` are saved queries: a caller who has some may do nothing but have them answered. ``row_filter`` has a
    condition of SQL by the name of a table. None and nothing mean no bounds.
    """

    username: str
    role: Role
    account: str | None = None
    key: str | None = None
    pipelines: tuple[str, ...] | None = None
    queries: tuple[str, ...] | None = None
    row_filter: Mapping[str, str] = {}
    rate_limit_per_minute: int | None = None

    @property
    def caller(self) -> str:
        """The name under which idempotency keys are kept: API keys have their own."""
        return self.username if self.key is None else f"key:{self.key}"

    @property
    def bounds(self) -> Bounds:
        """Callers with the same bounds see the same pipelines."""
        return self.account, self.role == "admin", self.pipelines

    @property
    def is_unbounded(self) -> bool:
        """Whether the caller sees all pipelines."""
        return self.role == "admin" and self.pipelines is None

    @property
    def is_bounded(self) -> bool:
        """Whether the caller is a key with fewer rights than its role."""
        return self.pipelines is not None or self.queries is not None or bool(self.row_filter)

    def may(self, role: Role) -> bool:
        """Whether the caller has at least ``role``."""
        return RANK[self.role] >= RANK[role]

    def names(self, pipeline: str) -> bool:
        """Whether the caller may name a pipeline, there or not: whether it is one of its ``pipelines``."""
        return self.pipelines is None or any(fnmatch.fnmatchcase(pipeline, pattern) for pattern in self.pipelines)

    def owns(self, owner: str | None) -> bool:
        """Whether what ``owner`` has (None: the admins) is the caller's."""
        return self.role == "admin" or (owner is not None and owner == self.account)

    def sees(self, owner: str | None, visibility: str, pipeline: str) -> bool:
        """Whether the caller sees a pipeline; what is not seen does not exist for the caller."""
        return (visibility == "shared" or self.owns(owner)) and self.names(pipeline)

    def is_filtered(self, table: str) -> bool:
        """Whether the caller sees only some rows of a table, named in any case."""
        return bool(self.row_filter) and table.casefold() in map(str.casefold, self.row_filter)

    def answers(self, query: str) -> bool:
        """Whether the caller may have a saved query answered."""
        return self.queries is None or query in self.queries


PUBLIC = Rights(username="", role="viewer")
"""The rights of public saved queries: those of a viewer who sees shared pipelines only."""
