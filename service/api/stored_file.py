"""A stored Parquet file as the answer, whole or a range of it, so that readers of Parquet take only what they need.

What the kernel has in memory is read at once: a thread for each part takes longer than the part, above all while others
want the cores. What has to come from the disk is read in a thread.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import BinaryIO

from service.api import error_response
from service.api.services import TypedRequest
from service.api.streaming import Relay
from service.kit import errors
from service.model.formats import FORMATS

_PART_BYTES, _DISK_BYTES = 1 << 19, 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


async def respond(request: TypedRequest, path: Path, name: str, headers: dict[str, str]) -> Relay:
    """The file at ``path``, or the one range that ``Range`` asks for; several ranges are answered by the whole file.

    ``headers`` have its ETag. Raises ``error_response.RangeNotSatisfiable``, ``errors.Missing`` (VERSION_NOT_FOUND) if
    the version was deleted since it was found.
    """
    try:
        file = await asyncio.to_thread(path.open, "rb", 0)
    except FileNotFoundError as error:
        raise errors.Missing("the version was deleted", code="VERSION_NOT_FOUND", field="version") from error
    size = await asyncio.to_thread(file.seek, 0, 2)
    try:
        span = _span(request, size, headers["etag"])
    except BaseException:
        file.close()
        raise
    first, end = span or (0, size)
    headers = {
        **headers,
        "accept-ranges": "bytes",
        "content-length": str(end - first),
        "content-disposition": f'attachment; filename="{name}.{FORMATS["parquet"].ending}"',
    }
    if span is not None:
        headers["content-range"] = f"bytes {first}-{end - 1}/{size}"
    answer = Relay(_Bytes(file, first, end), media_type=FORMATS["parquet"].media_type, headers=headers)
    answer.status_code = 206 if span is not None else 200
    return answer


def _span(request: TypedRequest, size: int, tag: str) -> tuple[int, int] | None:
    """The first byte and the end of the range that is wanted; None for the whole file."""
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", "").lower())
    condition = request.headers.get("if-range")
    if match is None or match[0] == "bytes=-" or (condition is not None and condition.strip() != tag):
        return None
    first, last = match.groups()
    if not first:
        begin, end = max(size - int(last), 0), size
    else:
        begin, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):  # not a range (RFC 9110, 14.1.1): ignored
            return None
    if begin >= end:
        raise error_response.RangeNotSatisfiable(size)
    return begin, end


class _Bytes:
    """The bytes of an open file from ``at`` to ``end``; closing it closes the file."""

    def __init__(self, file: BinaryIO, at: int, end: int) -> None:
        self._file = file
        self._at = at
        self._end = end

    def __aiter__(self) -> _Bytes:
        return self

    async def __anext__(self) -> bytes:
        if self._at >= self._end:
            raise StopAsyncIteration
        part = self._in_memory() or await asyncio.to_thread(self._from_disk)
        if not part:
            raise EOFError("the stored file became shorter")
        self._at += len(part)
        return part

    def _in_memory(self) -> bytes:
        """The next part; nothing if the kernel has not both of its ends in memory, or cannot tell."""
        size, byte = min(_PART_BYTES, self._end - self._at), bytearray(1)
        try:
            for place in (self._at, self._at + size - 1):
                os.preadv(self._file.fileno(), [byte], place, os.RWF_NOWAIT)
        except OSError:
            return b""
        return os.pread(self._file.fileno(), size, self._at)

    def _from_disk(self) -> bytes:
        return os.pread(self._file.fileno(), min(_DISK_BYTES, self._end - self._at), self._at)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._file.close)
