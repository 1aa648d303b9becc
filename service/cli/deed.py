"""What a command does to a data directory without a service, for its audit log: as the API records it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, NamedTuple, TypeVar

from service.api.audit_actions import Action
from service.api.local_caller import USERNAME
from service.catalog.audit_log import AuditLog
from service.kit import errors

T = TypeVar("T")


class Deed(NamedTuple):
    """An action, and what it is done to. ``details`` holds no secret."""

    action: Action
    object: str | None = None
    details: dict[str, Any] = {}
    query: str | None = None


async def recorded(log: AuditLog, deed: Deed, result: Awaitable[T]) -> T:
    """``result``, whose outcome is in the log then.

    Raises what it raises, and ``errors.Unavailable`` (STORAGE_FULL) for what must not be done without a record.
    """
    try:
        found = await result
    except errors.PenstockError as error:
        name = None if deed.action.of or deed.action.account else deed.object
        outcome = "failed" if error.entry.status == 500 else "refused"
        log.submit(_event(log, deed, object=name, outcome=outcome, code=error.error_code))
        raise
    event = _event(log, deed, object=deed.object, details=deed.details)
    if not deed.action.at_once:
        log.submit(event)
        return found
    try:
        await log.record(event)
    except errors.Unavailable:
        if not deed.action.goes_on:
            raise
    return found


def _event(log: AuditLog, deed: Deed, **values: Any) -> Any:
    query = deed.query if log.queries != "off" else None
    return log.event(deed.action.name, actor=USERNAME, address=USERNAME, query=query, **values)
