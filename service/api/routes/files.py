"""Routes of uploaded files, which collectors can read: upload, list, remove."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Response
from litestar.params import FromPath

from service.api import audit_actions, examples, query_string, request_body, responses
from service.api.query_string import PageRequest
from service.api.route_docs import RequestBody, ResponseDoc, route
from service.api.route_handler import delete, get, put
from service.api.services import ServicesDependency, TypedRequest
from service.files import shared_uploads, uploads
from service.kit import errors

_BLOCK = 1 << 20
_DISCARDED = 1 << 30  # bytes of a body that are read although they cannot be stored


@put(
    "/files/{path:path}",
    **route(
        "operator",
        "Files",
        "Upload a file",
        "The body is the file; it is streamed to disk. An existing file of this name is replaced when the upload is "
        "complete.",
        ResponseDoc(text="The file was replaced.", kind=uploads.Uploaded, example=examples.UPLOADED),
        ResponseDoc(status=201, text="The file is new.", kind=uploads.Uploaded, example=examples.UPLOADED),
        errors=("FILE_EXISTS", "OVERLOADED"),
        body=RequestBody(media=("application/octet-stream", "text/csv")),
        action=audit_actions.UPLOAD,
    ),
)
async def upload(
    request: TypedRequest, services: ServicesDependency, path: FromPath[str]
) -> Response[uploads.Uploaded]:
    query_string.read(request, query_string.NoParameters)
    incoming = await asyncio.to_thread(uploads.Incoming, services.layout.uploads, str(path))
    try:
        await _receive(request, incoming, services.settings.max_upload_bytes)
        done, new = await asyncio.to_thread(shared_uploads.finish, services.layout, incoming)
    finally:
        await asyncio.to_thread(incoming.discard)
    return Response(done, status_code=201 if new else 200)


async def _receive(request: TypedRequest, incoming: uploads.Incoming, most: int) -> None:
    """Write the body, a megabyte at a time: a thread per packet would cost more than the writing.

    If a block cannot be written (the disk is full), some more of the body is read before the error is raised: a client
    that is cut off while it sends does not see the answer.
    """
    held: list[bytes] = []
    size = 0
    failure: errors.Unavailable | None = None
    async for part in request_body.chunks(request, most):
        if failure is not None:
            size += len(part)
            if size > _DISCARDED:
                break
            continue
        held.append(part)
        size += len(part)
        if size >= _BLOCK:
            try:
                await asyncio.to_thread(incoming.write, b"".join(held))
            except errors.Unavailable as error:
                failure = error
            held, size = [], 0
    if failure is not None:
        raise failure
    await asyncio.to_thread(incoming.write, b"".join(held))


@get(
    "/files",
    **route(
        "operator",
        "Files",
        "List files",
        "Lists the uploaded files by path.",
        ResponseDoc(text="A page.", kind=list[uploads.UploadedLine], example=examples.page(examples.UPLOADED_LINE)),
        query=PageRequest,
    ),
)
async def list_files(request: TypedRequest, services: ServicesDependency) -> dict[str, Any]:
    page = query_string.read(request, PageRequest)
    await asyncio.to_thread(shared_uploads.pull, services.layout)
    found, total = await asyncio.to_thread(
        uploads.list_files, services.layout.uploads, limit=page.limit, offset=page.offset
    )
    return query_string.page_of(found, total, page)


@delete(
    "/files/{path:path}",
    **route(
        "operator",
        "Files",
        "Remove a file",
        "Versions that were made from it stay as they are.",
        ResponseDoc(
            text="The file was removed.", kind=responses.Message, example={"message": "file 'orders.csv' removed"}
        ),
        errors=("NOT_FOUND",),
        action=audit_actions.DELETE_FILE,
    ),
)
async def remove(request: TypedRequest, services: ServicesDependency, path: FromPath[str]) -> responses.Message:
    query_string.read(request, query_string.NoParameters)
    await request_body.refuse(request, services.settings.max_body_bytes)
    await asyncio.to_thread(shared_uploads.delete, services.layout, str(path))
    return responses.Message(message=f"file '{str(path).strip('/')}' removed")


HANDLERS = [upload, list_files, remove]
