"""ETags of answers that a version or a revision decides, and the requests that name them (If-None-Match)."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec
from litestar import Response

import service
from service.api.route_docs import ResponseDoc
from service.api.services import TypedRequest
from service.model.version import Version

NOT_MODIFIED = ResponseDoc(status=304, text="The answer still has the ETag that If-None-Match names.")
REQUEST_HEADERS = {"If-None-Match": "The ETag of an earlier answer: answers 304 if nothing changed."}
RESPONSE_HEADERS = {"ETag": "Changes if the answer does; send it as If-None-Match."}


def of(version: Version, *deciding: Any) -> str:
    """The ETag of an answer that a version, ``deciding`` (JSON values or structs) and the release of Penstock decide.

    The run that made the version stands for it: a pipeline that was deleted and created again starts with version 1.
    """
    text = msgspec.json.encode([service.__version__, version.run_id, *deciding])
    return f'"v{version.version}-{hashlib.sha256(text).hexdigest()[:16]}"'


def of_content(content: bytes) -> str:
    """The ETag of an answer that several versions or revisions decide: of its bytes."""
    return f'"c-{hashlib.sha256(content).hexdigest()[:16]}"'


def headers(tag: str) -> dict[str, str]:
    """The headers of an answer with an ETag: a client keeps it, and asks each time whether it changed."""
    return {"etag": tag, "cache-control": "private, no-cache"}


def match(request: TypedRequest, tag: str) -> Literal["this", "any"] | None:
    """Whether If-None-Match names this ETag, or any (``*``). A weak ETag matches the strong one (RFC 9110, 13.1.2)."""
    tags = [t.strip().removeprefix("W/") for t in request.headers.get("if-none-match", "").split(",")]
    if tag in tags:
        return "this"
    return "any" if "*" in tags else None


def respond(request: TypedRequest, content: bytes) -> Response[Any]:
    """JSON with the ETag of its bytes, or the 304."""
    shown = headers(of_content(content))
    return not_modified(request, shown) or Response(content, media_type="application/json", headers=shown)


def not_modified(request: TypedRequest, shown: dict[str, str]) -> Response[Any] | None:
    """The 304 for an answer with the headers ``shown``, or None if the client needs the answer."""
    if match(request, shown["etag"]) is None:
        return None
    return Response(None, status_code=304, headers=shown)
