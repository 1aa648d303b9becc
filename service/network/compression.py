"""Undoing a transfer's compression with an eye on its size: one layer, gzip or deflate, bounded as it streams.

A few bytes can decompress to gigabytes. So no library decodes for us: ``Inflater`` gives out bounded pieces,
and ``bounded`` counts what went in and what came out, and stops at the limit or at an absurd ratio.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

MAX_RATIO = 200
RATIO_FROM = 10 * 1024 * 1024
"""Below this many decoded bytes a high ratio is nobody's concern (pages of spaces are common)."""
_PIECE = 1024 * 1024


class TooMuch(Exception):
    """More bytes than allowed. The message is meant for the user."""


class BrokenEncoding(Exception):
    """The bytes are not what their header says. The message is meant for the user."""


class UnknownEncoding(Exception):
    """An encoding that we do not undo. The message is meant for the user."""


class Inflater:
    """Decodes one layer of ``content-encoding``: none, identity, gzip or deflate.

    Raises ``UnknownEncoding`` for another encoding and for several, ``BrokenEncoding`` for broken data.
    """

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        if name not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise UnknownEncoding(f"the answer is encoded as '{name}'; only gzip and deflate, once, are read")
        self._plain = name in ("", "identity")
        self._window = zlib.MAX_WBITS | 16 if "gzip" in name else zlib.MAX_WBITS
        self._stream = zlib.decompressobj(self._window)
        self._head: bytes | None = b"" if name == "deflate" else None  # what was fed before anything came out
        self._fed = self._full = False

    def feed(self, data: bytes) -> bytes:
        """What ``data`` decodes to, at most 1 MiB of it; call ``more`` until that is empty."""
        if self._plain or not data:
            return data
        self._fed = True
        if self._head is not None:
            self._head += data
        return self._decode(data)

    def more(self) -> bytes:
        """The next piece of what was fed already."""
        if (self._stream.eof and self._stream.unused_data) or self._full or self._stream.unconsumed_tail:
            return self._decode(self._stream.unconsumed_tail)
        return b""

    def finish(self) -> None:
        """Raise ``BrokenEncoding`` where the data ended too early."""
        if self._fed and not self._stream.eof:
            raise BrokenEncoding("the compressed answer ends too early")

    def _decode(self, data: bytes) -> bytes:
        while True:
            if self._stream.eof:  # gzip may have several members, one after another
                data = (self._stream.unused_data + data).lstrip(b"\0")
                if not data:
                    self._full = False
                    return b""
                self._stream = zlib.decompressobj(self._window)
            try:
                piece = self._stream.decompress(data, _PIECE)
            except zlib.error as error:
                if self._head is None:
                    raise BrokenEncoding("the compressed answer is damaged") from error
                # "deflate" means zlib, but some servers send it bare
                data, self._head, self._window = self._head, None, -zlib.MAX_WBITS
                self._stream = zlib.decompressobj(self._window)
                continue
            if piece:
                self._head = None
            self._full = len(piece) == _PIECE
            if piece or not self._stream.eof or not self._stream.unused_data:
                return piece
            data = b""  # an empty member, and another one after it


async def bounded(chunks: AsyncIterator[bytes], encoding: str, limit: int) -> bytes:
    """The whole decoded body.

    Raises ``TooMuch`` past ``limit`` raw or decoded bytes or past ``MAX_RATIO``, and what ``Inflater`` raises.
    """
    inflater = Inflater(encoding)
    raw = decoded = 0
    body = bytearray()
    async for chunk in chunks:
        raw += len(chunk)
        if raw > limit:
            raise TooMuch(f"the answer is larger than {limit} bytes")
        piece = inflater.feed(chunk)
        while piece:
            decoded += len(piece)
            if decoded > limit:
                raise TooMuch(f"the decompressed answer is larger than {limit} bytes")
            if decoded > RATIO_FROM and decoded > MAX_RATIO * raw:
                raise TooMuch(f"the answer decompresses to more than {MAX_RATIO} times its size")
            body += piece
            piece = inflater.more()
    inflater.finish()
    return bytes(body)
