"""An event of the audit log: who did what, when, from where, with which outcome. It holds no secret."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

Outcome = Literal["ok", "refused", "failed"]
QueryTexts = Literal["hash", "text", "off"]
LONGEST_QUERY = 8192
"""Characters of a statement that are written as text."""


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event. Fields without a value are left out, except who and from where."""

    time: Annotated[datetime, msgspec.Meta(description="When it was written, before the answer began.")]
    action: Annotated[str, msgspec.Meta(description="What was done: `user.create`, `query.run`, …")]
    actor: Annotated[str | None, msgspec.Meta(description="The account; null without a login.")]
    address: Annotated[
        str | None, msgspec.Meta(description="The client's address; `socket` for local commands, null for the service.")
    ]
    outcome: Outcome
    key: Annotated[str | None, msgspec.Meta(description="The id of the API key with which the account acted.")] = None
    object: Annotated[str | None, msgspec.Meta(description="What it was done to, such as `orders/3`.")] = None
    code: Annotated[str | None, msgspec.Meta(description="The error code, unless the outcome is ok.")] = None
    request_id: str | None = None
    details: Annotated[dict[str, Any], msgspec.Meta(description="What else is worth knowing of the action.")] = {}
    query_sha256: Annotated[str | None, msgspec.Meta(description="The hash of the SQL text.")] = None
    query: Annotated[str | None, msgspec.Meta(description="The SQL, with `PENSTOCK_AUDIT_QUERIES=text`.")] = None

    def encoded(self, queries: QueryTexts) -> bytes:
        """The event as JSON, with the hash of its query; with its text only where ``queries`` says so."""
        if self.query is None:
            return msgspec.json.encode(self)
        hashed = self.query_sha256 or hash_of(self.query)
        text = self.query[:LONGEST_QUERY] if queries == "text" else None
        return msgspec.json.encode(msgspec.structs.replace(self, query_sha256=hashed, query=text))


def hash_of(query: str) -> str:
    """The SHA-256 of the text of a query."""
    return hashlib.sha256(query.encode(errors="replace")).hexdigest()


class AuditLine(AuditEvent, frozen=True, kw_only=True):
    """An event as the log has it: with its chain, its place in it, and its hash."""

    chain: str
    n: int
    hash: str
