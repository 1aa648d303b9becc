"""Routes of the console: one page for every address below ``/console``, and the files that it loads."""

from __future__ import annotations

import asyncio

from litestar import Response
from litestar.params import FromPath

from service.api import compression
from service.api.route_docs import ResponseDoc, route
from service.api.route_handler import get
from service.api.services import TypedRequest
from service.console import site
from service.kit import errors

_FOR_EVER = "public, max-age=31536000, immutable"


@get(
    "/console",
    **route(
        "public",
        "Service",
        "Open the console",
        "The page for people.",
        ResponseDoc(text="The page.", media=("text/html",)),
    ),
)
async def open_console() -> Response[bytes]:
    return await _page()


@get(
    "/console/{path:path}",
    **route(
        "public",
        "Service",
        "Open a screen of the console",
        "The same page at every address; the browser shows the screen that the address names.",
        ResponseDoc(text="The page.", media=("text/html",)),
    ),
)
async def open_screen() -> Response[bytes]:
    return await _page()


@get(
    "/console/assets/{file:str}",
    **route(
        "public",
        "Service",
        "Read a file of the console",
        "Scripts, styles and pictures; a name changes with the content.",
        ResponseDoc(text="The file.", media=("text/javascript", "text/css", "image/svg+xml", "text/plain")),
        errors=("NOT_FOUND",),
    ),
)
async def read_console_file(request: TypedRequest, file: FromPath[str]) -> Response[bytes]:
    found = (await asyncio.to_thread(site.assets)).get(file)
    if found is None:
        raise errors.Missing(f"the console has no file '{file[:60]}'; reload the page")
    coding = compression.accepted(request.headers.get("accept-encoding", ""))
    headers = {"cache-control": _FOR_EVER, "vary": "Accept-Encoding"}
    if coding is None or len(found.content) < compression.LEAST_BYTES:
        return Response(found.content, media_type=found.media_type, headers=headers)
    content = await asyncio.to_thread(site.compressed, file, coding)
    return Response(content, media_type=found.media_type, headers={**headers, "content-encoding": coding})


async def _page() -> Response[bytes]:
    found = await asyncio.to_thread(site.page)
    headers = {"content-security-policy": found.policy, "cache-control": "no-cache"}
    return Response(found.content, media_type="text/html", headers=headers)


HANDLERS = [open_console, open_screen, read_console_file]
