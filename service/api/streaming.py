"""Relay: an answer whose bytes somebody else makes, passed on as they come, in the form the caller asked for.

When the caller goes away the source is closed at once, which ends the worker behind it. When the source fails
after the first byte the connection is broken off: a client must not take half an answer for a whole one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Send

from service.api.services import Answered, TypedRequest
from service.kit import errors

_FORMS = {
    "json": ("application/json", "text/json"),
    "ndjson": ("application/x-ndjson", "application/ndjson", "application/jsonl"),
    "csv": ("text/csv",),
    "arrow": ("application/vnd.apache.arrow.stream",),
    "parquet": ("application/vnd.apache.parquet",),
}
_ENDINGS = {"json": "json", "ndjson": "ndjson", "csv": "csv", "arrow": "arrows", "parquet": "parquet"}


def format_of(request: TypedRequest, wanted: str | None, forms: Mapping[str, tuple[str, ...]] = _FORMS) -> str:
    """The format that ``format=`` or else Accept asks for; ``forms`` are those that there are, with their types.

    Raises ``errors.NotAcceptable``.
    """
    if wanted is not None:
        if wanted not in forms:
            hint = errors.did_you_mean(wanted, forms)
            raise errors.NotAcceptable(f"there is no format '{wanted}'{hint}; one of {', '.join(forms)}")
        return wanted
    accept = request.headers.get("accept") or "*/*"
    best, chosen = 0.0, None
    for part in accept.split(","):
        kind, quality = _preference(part)
        name = _named(kind, forms)
        if name is not None and quality > best:
            best, chosen = quality, name
    if chosen is None:
        raise errors.NotAcceptable(f"Accept names none of the formats that there are: {', '.join(forms)}")
    return chosen


def _preference(part: str) -> tuple[str, float]:
    kind, *parameters = (p.strip().lower() for p in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            with contextlib.suppress(ValueError):
                return kind, min(max(float(parameter[2:]), 0.0), 1.0)
            return kind, 0.0
    return kind, 1.0


def _named(kind: str, forms: Mapping[str, tuple[str, ...]]) -> str | None:
    if kind in ("*/*", "application/*"):
        return "json"
    if kind == "text/*":
        return next((name for name, kinds in forms.items() if kinds[0].startswith("text/")), None)
    return next((name for name, kinds in forms.items() if kind in kinds), None)


def relayed(answer: Answered, name: str, form: str, headers: dict[str, str] | None = None) -> Response[Any]:
    """An engine's answer as a response; forms other than JSON are offered as a file ``name``."""
    given = {**answer.headers, **(headers or {})}
    if form != "json":
        given["content-disposition"] = f'attachment; filename="{name}.{_ENDINGS[form]}"'
    if answer.content is not None:
        return Response(answer.content, media_type=answer.media_type, headers=given)
    return Relay(answer.body, media_type=answer.media_type, headers=given)


class Relay(Response[bytes]):
    """A response that passes on what ``body`` yields, and closes it however it ends."""

    def __init__(self, body: AsyncIterator[bytes], *, media_type: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(b"", media_type=media_type, headers=headers)
        self.source = body

    def to_asgi_response(self, app: Any, request: Any, **options: Any) -> ASGIResponse:
        headers = {name: str(value) for name, value in self.headers.items()}
        return _Passing(self.source, media_type=self.media_type, headers=headers, status_code=self.status_code or 200)


class _Passing(ASGIResponse):
    _should_set_content_length = False

    def __init__(self, source: AsyncIterator[bytes], **options: Any) -> None:
        super().__init__(**options)
        self._source = source

    async def send_body(self, send: Send, receive: Receive) -> None:
        pump = asyncio.create_task(self._pump(send))
        gone = asyncio.create_task(_disconnected(receive))
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


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
