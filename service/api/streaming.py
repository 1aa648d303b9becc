"""Streaming answers: content negotiation, and responses that relay the bytes of a query worker.

When the client disconnects, the source is closed at once, which ends the worker behind it. When the source fails
after the first byte, the connection is broken, so that no client takes half an answer for a whole one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Send

from service.api import disconnects
from service.api.services import EngineAnswer, TypedRequest
from service.kit import errors
from service.model.formats import FORMATS, Format


def format_of(request: TypedRequest, wanted: str | None, known: Mapping[str, Format] = FORMATS) -> str:
    """The name of the format that ``format=``, or else Accept, asks for, out of ``known``.

    Raises ``errors.NotAcceptable``.
    """
    if wanted is not None:
        if wanted not in known:
            hint = errors.did_you_mean(wanted, known)
            raise errors.NotAcceptable(f"there is no format '{wanted}'{hint}; one of {', '.join(known)}")
        return wanted
    accept = request.headers.get("accept") or "*/*"
    best, chosen = 0.0, None
    for part in accept.split(","):
        kind, quality = _preference(part)
        name = _named(kind, known)
        if name is not None and quality > best:
            best, chosen = quality, name
    if chosen is None:
        raise errors.NotAcceptable(f"Accept names none of the formats of this route: {', '.join(known)}")
    return chosen


def _preference(part: str) -> tuple[str, float]:
    kind, *parameters = (p.strip().lower() for p in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            with contextlib.suppress(ValueError):
                return kind, min(max(float(parameter[2:]), 0.0), 1.0)
            return kind, 0.0
    return kind, 1.0


def _named(media_type: str, known: Mapping[str, Format]) -> str | None:
    """The format that a media type of Accept means; None for none of ``known``."""
    if media_type in ("*/*", "application/*"):
        return "json"
    if media_type == "text/*":
        return next((name for name, form in known.items() if form.media_type.startswith("text/")), None)
    return next((name for name, form in known.items() if media_type in form.media_types), None)


def respond(answer: EngineAnswer, name: str, form: str, headers: dict[str, str] | None = None) -> Response[Any]:
    """The engine's answer as a response; formats other than JSON are offered as a file ``name``."""
    headers = {**answer.headers, **(headers or {})}
    if form != "json":
        headers["content-disposition"] = f'attachment; filename="{name}.{FORMATS[form].ending}"'
    if answer.content is not None:
        return Response(answer.content, media_type=answer.media_type, headers=headers)
    return Relay(answer.body, media_type=answer.media_type, headers=headers)


class Relay(Response[bytes]):
    """A response that relays what ``body`` yields, and always closes ``body``."""

    def __init__(self, body: AsyncIterator[bytes], *, media_type: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(b"", media_type=media_type, headers=headers)
        self.source = body

    def to_asgi_response(self, app: Any, request: Any, **options: Any) -> ASGIResponse:
        headers = {name: str(value) for name, value in self.headers.items()}
        return _RelayingResponse(
            self.source, media_type=self.media_type, headers=headers, status_code=self.status_code or 200
        )


class _RelayingResponse(ASGIResponse):
    _should_set_content_length = False

    def __init__(self, source: AsyncIterator[bytes], **options: Any) -> None:
        super().__init__(**options)
        self._source = source

    async def send_body(self, send: Send, receive: Receive) -> None:
        pump = asyncio.create_task(self._pump(send))
        gone = asyncio.create_task(disconnects.disconnected(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                await pump
        finally:
            pump.cancel()
            gone.cancel()
            await asyncio.gather(pump, gone, return_exceptions=True)
            close = getattr(self._source, "aclose", None)
            if close is not None:
                await close()

    async def _pump(self, send: Send) -> None:
        async for part in self._source:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
