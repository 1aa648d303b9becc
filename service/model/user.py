"""A user account and its role. Roles nest: viewer < operator < admin."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

Role = Literal["viewer", "operator", "admin"]
ISSUED = "oidc:"
"""How the names of callers with a token of an issuer begin. They have no account; no account's name has a colon."""
RANK: dict[Role, int] = {"viewer": 0, "operator": 1, "admin": 2}


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An account without its password hash, as the API shows it. Times are UTC."""

    username: str
    role: Role
    created: datetime
    disabled: bool = False

    def may(self, role: Role) -> bool:
        """Whether this account has at least ``role``."""
        return not self.disabled and RANK[self.role] >= RANK[role]
