"""Answers as pages: what a route shows to ``Accept: text/html``, which notebooks ask for.

The page is made in this process, from the JSON form; its parts are bounded. The profile, whose charts need a renderer,
is made by a child.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from litestar import Response

from service.api import streaming
from service.api.services import TypedRequest
from service.kit import errors
from service.model.formats import FORMATS, Format

HTML = "text/html"
KNOWN = {"json": FORMATS["json"], "html": Format((HTML, "application/xhtml+xml"), "html", streamed=False)}
VARY = {"vary": "Accept"}
# A page contains its style and nothing else that a browser would load or run.
POLICY = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}


def wanted(request: TypedRequest) -> bool:
    """Whether Accept prefers a page to JSON; whoever accepts neither gets JSON."""
    try:
        return streaming.format_of(request, None, KNOWN) == "html"
    except errors.NotAcceptable:
        return False


async def answer(kind: Literal["run", "version", "diff"], found: Any, headers: dict[str, str]) -> Response[str]:
    """The page about the JSON form of an answer."""
    page = await asyncio.to_thread(_made, kind, found)
    return Response(page, media_type=HTML, headers={**headers, **VARY, **POLICY})


def _made(kind: str, found: Any) -> str:
    from service.reports import pages  # its templates are read when somebody asks

    page: str = getattr(pages, kind)(found)
    return page
