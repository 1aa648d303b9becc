"""Files: upload what CSV collectors can name, see what there is, remove it."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Response, delete, get, put
from litestar.params import FromPath

from service.api import bodies, examples, queries, uploads, views
from service.api.describing import Answer, Sent, route
from service.api.queries import Page
from service.api.services import Asked, Given

_BLOCK = 1 << 20


@put(
    "/files/{path:path}",
    **route(
        "operator",
        "Files",
        "Upload a file",
        "The body is the file, streamed to disk; a file of that name is replaced at once when all of it is there.",
        Answer(text="It replaced another.", kind=views.Uploaded, example=examples.UPLOADED),
        Answer(status=201, text="It is new.", kind=views.Uploaded, example=examples.UPLOADED),
        errors=("FILE_EXISTS", "OVERLOADED"),
        body=Sent(media=("application/octet-stream", "text/csv")),
    ),
)
async def upload(request: Asked, services: Given, path: FromPath[str]) -> Response[views.Uploaded]:
    queries.read(request, queries.Nothing)
    incoming = await asyncio.to_thread(uploads.Incoming, services.layout.uploads, str(path))
    try:
        await _receive(request, incoming, services.settings.max_upload_bytes)
        done, new = await asyncio.to_thread(incoming.settle)
    finally:
        await asyncio.to_thread(incoming.discard)
    return Response(done, status_code=201 if new else 200)


async def _receive(request: Asked, incoming: uploads.Incoming, most: int) -> None:
    """Write what comes, a megabyte at a time: a thread a packet would cost more than the writing."""
    held: list[bytes] = []
    size = 0
    async for part in bodies.chunks(request, most):
        held.append(part)
        size += len(part)
        if size >= _BLOCK:
            await asyncio.to_thread(incoming.write, b"".join(held))
            held, size = [], 0
    await asyncio.to_thread(incoming.write, b"".join(held))


@get(
    "/files",
    **route(
        "operator",
        "Files",
        "List files",
        "The uploaded files by path.",
        Answer(text="A page.", kind=list[views.UploadedLine], example=examples.page(examples.UPLOADED_LINE)),
        query=Page,
    ),
)
async def list_files(request: Asked, services: Given) -> dict[str, Any]:
    page = queries.read(request, Page)
    found, total = await asyncio.to_thread(
        uploads.listed, services.layout.uploads, limit=page.limit, offset=page.offset
    )
    return queries.listed(found, total, page)


@delete(
    "/files/{path:path}",
    **route(
        "operator",
        "Files",
        "Remove a file",
        "Versions that were made of it stay as they are.",
        Answer(text="It was removed.", kind=views.Message, example={"message": "file 'orders.csv' removed"}),
        errors=("NOT_FOUND",),
    ),
)
async def remove(request: Asked, services: Given, path: FromPath[str]) -> views.Message:
    queries.read(request, queries.Nothing)
    await asyncio.to_thread(uploads.delete, services.layout.uploads, str(path))
    return views.Message(message=f"file '{str(path).strip('/')}' removed")


HANDLERS = [upload, list_files, remove]
