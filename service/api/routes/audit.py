"""The route of the audit log: who did what."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar import Response

from service.api import query_string
from service.api.query_string import about
from service.api.route_docs import JSON, ResponseDoc, route
from service.api.route_handler import get
from service.api.services import ServicesDependency, TypedRequest
from service.kit import errors
from service.model.audit_event import AuditLine

_EVENT = {
    "chain": "chn_0c1d", "n": 17, "time": "2026-01-01T06:00:00Z", "action": "user.create", "actor": "admin",
    "address": "192.0.2.7", "outcome": "ok", "object": "ann", "request_id": "req_7f3a", "details": {"role": "viewer"},
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}  # fmt: skip
_Moment = Annotated[
    str,
    about(
        "RFC 3339 with a time zone.", examples=["2026-01-01T00:00:00Z"], max_length=64,
        extra_json_schema={"format": "date-time"},
    ),
]  # fmt: skip


_Zoned = Annotated[datetime, msgspec.Meta(tz=True)]


class AuditQuery(query_string.NoParameters, frozen=True, kw_only=True):
    """Which events."""

    actor: Annotated[str, about("Only events of this account.", max_length=256)] | None = None
    action: (
        Annotated[str, about("Only this action (`user.create`), or all of a kind (`user`).", max_length=64)] | None
    ) = None
    since: _Moment | None = None
    until: _Moment | None = None
    limit: Annotated[int, about("How many at most.", ge=1, le=1000)] = 50
    cursor: Annotated[str, about("The `next` of an earlier page; repeat its filters.", max_length=128)] | None = None


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events, newest first. ``next`` is null on the last page; a page may be shorter than ``limit`` and have one."""

    items: list[AuditLine]
    limit: int
    next: str | None


class _Looked(msgspec.Struct, frozen=True):
    """What filters look at."""

    time: datetime
    action: str
    actor: str | None


_decoder = msgspec.json.Decoder(_Looked)


@get(
    "/audit",
    **route(
        "admin",
        "Service",
        "Read the audit log",
        "Lists who did what, newest first: log-ins, accounts, pipelines, runs, queries, deletions, restores and "
        "backups, each with time, address, outcome and request id. `since` is included, `until` is not. A page reads "
        "16 MiB of the log at most, so that one for rare events may have few items, or none, and a `next`.",
        ResponseDoc(text="A page.", kind=AuditPage, example={"items": [_EVENT], "limit": 50, "next": None}),
        query=AuditQuery,
    ),
)
async def list_events(request: TypedRequest, services: ServicesDependency) -> Response[bytes]:
    query = query_string.read(request, AuditQuery)
    since, until = _moment(query.since, "since"), _moment(query.until, "until")
    if services.audit.broken is None:
        await services.audit.flush()
    try:
        lines, following = await asyncio.to_thread(
            services.audit.page, lambda line: _fits(query, line, since, until), limit=query.limit, since=since,
            until=until, cursor=query.cursor,
        )  # fmt: skip
    except ValueError:
        raise errors.Invalid("cursor: send `next` as an earlier page has it", field="cursor") from None
    body = b'{"items":[%s],"limit":%d,"next":%s}' % (b",".join(lines), query.limit, msgspec.json.encode(following))
    return Response(body, media_type=JSON)


def _moment(text: str | None, field: str) -> datetime | None:
    """A moment in UTC."""
    if text is None:
        return None
    try:
        return msgspec.convert(text, _Zoned).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        raise errors.Invalid(f"{field}: RFC 3339 with a time zone, as 2026-01-01T00:00:00Z", field=field) from None


def _fits(query: AuditQuery, line: bytes, since: datetime | None, until: datetime | None) -> bool:
    if query.actor is not None and query.actor.encode() not in line:  # most lines need no decoding
        return False
    try:
        event = _decoder.decode(line)
    except msgspec.MsgspecError:  # not a line of the log, which `penstock verify` says
        return False
    if query.actor not in (None, event.actor):
        return False
    if query.action is not None and event.action != query.action and not event.action.startswith(f"{query.action}."):
        return False
    return (since is None or event.time >= since) and (until is None or event.time < until)


HANDLERS = [list_events]
