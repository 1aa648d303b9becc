"""Cursors: where a page of rows ended, so that the next one begins there.

A cursor names a version by the run that made it, the query, and how many of its rows were answered. A version never
changes and the order of its rows is settled, so that no row comes twice or is left out while new versions are made.
Cursors are signed: a text that this service did not make is refused, and users need not know what is in one.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

import msgspec

from service.api import query_string
from service.api.path_lookup import find_version
from service.api.query_string import EscapeFormulas, Format, Offset, VersionChoice, about
from service.api.services import Services, TypedRequest
from service.kit import errors
from service.model.version import Version

HEADERS = {"Link": 'The next page, `rel="next"`; absent on the last one and without `limit`.'}
_MARK_BYTES = 16
_BESIDE = ("cursor", "limit", "format", "escape_formulas")  # what a request with a cursor may say again


class RowsQuery(query_string.NoParameters, frozen=True, kw_only=True):
    """Which rows, in which format."""

    version: VersionChoice | None = None
    limit: Annotated[int, about("Rows at most; JSON: 1000 by default, 100000 at most.", ge=0, le=2**53)] | None = None
    offset: Offset = 0
    cursor: (
        Annotated[
            str,
            about(
                "The `next` of an earlier page: goes on after it, in the same version, with the same columns, filter, "
                "sort and limit. Only `limit`, `format` and `escape_formulas` may be given beside it.",
                max_length=65_536,
            ),
        ]
        | None
    ) = None
    format: Format | None = None
    escape_formulas: EscapeFormulas = True


class _Position(msgspec.Struct, frozen=True, array_like=True):
    """The content of a cursor. ``query`` are the parameters that the pages have in common."""

    path: str
    run_id: str
    version: int
    offset: int
    query: dict[str, Any]


Q = TypeVar("Q", bound=RowsQuery)


async def resolve(request: TypedRequest, services: Services, name: str, query: Q) -> tuple[Version, Q]:
    """The version that a request reads, and its query with what its cursor says.

    Raises ``errors.Invalid`` for a cursor that is none, or of another route, and for a parameter that contradicts it;
    ``errors.Missing`` (VERSION_NOT_FOUND) if its version was deleted.
    """
    if query.cursor is None:
        return await find_version(services, name, query.version), query
    position = _read(services, query.cursor)
    if position.path != request.scope["path"]:
        raise _wrong("it belongs to another path")
    for field in msgspec.structs.fields(type(query)):
        if field.name not in _BESIDE and getattr(query, field.name) != field.default:
            raise errors.Invalid(f"{field.name}: the cursor has it already; leave it out", field=field.name)
    version = await find_version(services, name, position.version, "cursor")
    if version.run_id != position.run_id:
        raise errors.Missing(
            f"version {position.version} of '{name}' was deleted and made again since; read from the start",
            code="VERSION_NOT_FOUND", field="cursor",
        )  # fmt: skip
    again = {k: v for k, v in position.query.items() if k != "limit" or query.limit is None}
    return version, msgspec.structs.replace(query, cursor=None, offset=position.offset, **again)


def following(request: TypedRequest, services: Services, version: Version, query: RowsQuery, offset: int) -> str:
    """The cursor of the rows of ``query`` from ``offset`` on."""
    left_out = {"version", "offset", "cursor", "format", "escape_formulas"}
    common = {k: v for k, v in msgspec.structs.asdict(query).items() if k not in left_out and v is not None}
    position = _Position(request.scope["path"], version.run_id, version.version, offset, common)
    content = msgspec.msgpack.encode(position)
    return base64.urlsafe_b64encode(content + _marks(services, content)[0]).rstrip(b"=").decode()


def link(request: TypedRequest, cursor: str, query: RowsQuery, form: str) -> dict[str, str]:
    """The header that leads to the next page."""
    more = {} if query.escape_formulas else {"escape_formulas": "false"}
    target = urlencode({"cursor": cursor, "format": form, **more})
    return {"link": f'<{request.scope["path"]}?{target}>; rel="next"'}


def _marks(services: Services, content: bytes) -> list[bytes]:
    """The signatures of a cursor that are right; the first is that of new ones."""
    keys = services.tokens.derived("cursors")
    return [hmac.digest(key, content, "sha256")[:_MARK_BYTES] for key in keys]


def _read(services: Services, cursor: str) -> _Position:
    try:
        signed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _wrong("it is not one that a page answered") from None
    content, mark = signed[:-_MARK_BYTES], signed[-_MARK_BYTES:]
    if not any(hmac.compare_digest(mark, right) for right in _marks(services, content)):
        raise _wrong("it is not one that a page answered")
    try:
        return msgspec.msgpack.decode(content, type=_Position)
    except msgspec.MsgspecError:
        raise _wrong("another release of Penstock made it") from None


def _wrong(reason: str) -> errors.Invalid:
    return errors.Invalid(f"cursor: {reason}; send `next` as an earlier page has it", field="cursor")
