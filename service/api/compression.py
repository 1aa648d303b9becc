"""Compressed answers: gzip or zstd, as ``Accept-Encoding`` asks, for texts and Arrow of 1 kB and more.

A stream stays a stream: each part is compressed and flushed as it comes. Levels are the fast ones, since the service
shares its cores with runs and queries. Large parts are compressed in a thread. Parquet and images are compressed
already, and a client that follows events waits for each of them. Commands on the same machine get answers as they are.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Iterable
from typing import Any, Literal, Protocol

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from service.api import local_caller

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEAST_BYTES = 1024
_THREAD_BYTES = 64 * 1024
_LEVEL = 1
_TYPES = frozenset(
    [
        "application/json",
        "application/x-ndjson",
        "application/javascript",
        "application/sql",
        "application/xml",
        "application/vnd.apache.arrow.stream",
        "image/svg+xml",
    ]
)


Coding = Literal["gzip", "zstd"]


class _Encoder(Protocol):
    def encode(self, part: bytes, *, last: bool) -> bytes:
        """The encoded part, complete, so that the client can decode all that came."""


class _Gzip:
    def __init__(self) -> None:
        self._stream = zlib.compressobj(_LEVEL, wbits=31)

    def encode(self, part: bytes, *, last: bool) -> bytes:
        return self._stream.compress(part) + self._stream.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstd.ZstdCompressor(level=_LEVEL)

    def encode(self, part: bytes, *, last: bool) -> bytes:
        if last:
            return self._stream.compress(part, zstd.ZstdCompressor.FLUSH_FRAME)
        return self._stream.compress(part, zstd.ZstdCompressor.FLUSH_BLOCK)


_CODINGS: dict[Coding, type[_Gzip | _Zstd]] = {"zstd": _Zstd, "gzip": _Gzip}  # the better one first


class Compression:
    """An ASGI application around the routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or local_caller.is_local(scope):
            await self._app(scope, receive, send)
            return
        wanted = b",".join([value for name, value in scope["headers"] if name == b"accept-encoding"])
        coding = accepted(wanted.decode("latin-1")) if wanted else None
        await self._app(scope, receive, _CompressedAnswer(coding, send))


def accepted(header: str) -> Coding | None:
    """The coding that an ``Accept-Encoding`` prefers; None for identity."""
    qualities: dict[str, float] = {}
    for part in header.split(","):
        name, _, parameter = part.strip().lower().partition(";")
        quality = parameter.strip().removeprefix("q=")
        try:
            qualities[name.strip().removeprefix("x-")] = float(quality) if parameter.strip() else 1.0
        except ValueError:
            qualities[name.strip()] = 0.0
    found = {coding: qualities.get(coding, qualities.get("*", 0.0)) for coding in _CODINGS}
    best = max(found, key=lambda coding: found[coding])
    return best if found[best] > 0 and found[best] >= qualities.get("identity", 0.0) else None


class _CompressedAnswer:
    """A ``send`` that compresses. The headers wait for the first part, which says whether more parts come."""

    def __init__(self, coding: Coding | None, send: Send) -> None:
        self._coding = coding
        self._send = send
        self._start: Any = None
        self._encoder: _Encoder | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] == "http.response.body" and (self._start is not None or self._encoder is not None):
            await self._continue(message)
        else:
            await self._send(message)

    async def _begin(self, message: Any) -> None:
        headers = dict(message["headers"])
        kind = headers.get(b"content-type", b"").decode("latin-1")
        if message["status"] == 304 or (_is_compressible(kind) and b"content-encoding" not in headers):
            message["headers"] = varying(message["headers"], b"Accept-Encoding")
            if self._coding is not None and message["status"] not in (204, 206, 304):
                self._start = message
                return
        await self._send(message)

    async def _continue(self, message: Any) -> None:
        part, more = bytes(message.get("body", b"")), bool(message.get("more_body", False))
        start, self._start = self._start, None
        if start is not None and not more and len(part) < LEAST_BYTES:
            await self._send(start)
            await self._send(message)
            return
        if start is not None:
            assert self._coding is not None
            self._encoder = _CODINGS[self._coding]()
        assert self._encoder is not None
        if len(part) > _THREAD_BYTES:
            encoded = await asyncio.to_thread(self._encoder.encode, part, last=not more)
        else:
            encoded = self._encoder.encode(part, last=not more)
        if start is not None:
            start["headers"] = self._headers(start["headers"], None if more else len(encoded))
            await self._send(start)
        await self._send({"type": "http.response.body", "body": encoded, "more_body": more})

    def _headers(self, headers: Any, length: int | None) -> list[tuple[bytes, bytes]]:
        """The headers of the compressed answer. Its bytes are others, so that its ETag is a weak one."""
        kept = [(name, value) for name, value in headers if name not in (b"content-length", b"etag")]
        tags = [value for name, value in headers if name == b"etag"]
        kept += [(b"etag", tag if tag.startswith(b"W/") else b"W/" + tag) for tag in tags]
        kept.append((b"content-encoding", str(self._coding).encode()))
        return [*kept, (b"content-length", str(length).encode())] if length is not None else kept


def _is_compressible(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind != "text/event-stream" and (kind.startswith("text/") or kind.endswith("+json") or kind in _TYPES)


def varying(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[tuple[bytes, bytes]]:
    """``headers`` whose Vary names a header, too. Their names are lower-case."""
    others, named = [], []
    for header in headers:
        if header[0] == b"vary":
            named += [part.strip() for part in header[1].split(b",")]
        else:
            others.append(header)
    if name.lower() not in [part.lower() for part in named]:
        named.append(name)
    return [*others, (b"vary", b", ".join(named))]
