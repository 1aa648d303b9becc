"""Bounded decompression of response bodies: one layer, gzip or deflate, as they stream.

A few bytes can decompress to gigabytes, so the HTTP library does not decode: ``Inflater`` returns bounded pieces,
and ``bounded`` counts input and output bytes and stops at the limit or at an absurd ratio.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator

MAX_RATIO = 200
RATIO_FROM = 10 * 1024 * 1024
"""Below this many decoded bytes a high ratio does no harm (pages of spaces are common)."""
_PIECE = 1024 * 1024


class TooMuch(Exception):
    """The body has more bytes than allowed. The message is meant for the user."""


class BrokenEncoding(Exception):
    """The body does not decode as its header declares. The message is meant for the user."""


class UnknownEncoding(Exception):
    """The encoding is not supported. The message is meant for the user."""


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
        """Decode ``data`` and return at most 1 MiB of output; call ``more`` until it returns nothing."""
        if self._plain or not data:
            return data
        self._fed = True
        if self._head is not None:
            self._head += data
        return self._decode(data)

    def more(self) -> bytes:
        """The next piece of output of data that was fed already; empty when there is no more."""
        if (self._stream.eof and self._stream.unused_data) or self._full or self._stream.unconsumed_tail:
            return self._decode(self._stream.unconsumed_tail)
        return b""

    def finish(self) -> None:
        """Raise ``BrokenEncoding`` if the data ended too early."""
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
    """Read and decode a whole body.

    Raises ``TooMuch`` past ``limit`` raw or decoded bytes or past ``MAX_RATIO``, and the errors of ``Inflater``.
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


def unpacked(body: bytes, packing: str, limit: int) -> bytes:
    """A body decompressed whose own bytes are ``gzip``, ``zstd`` or ``bz2``.

    Raises ``TooMuch`` and ``BrokenEncoding``.
    """
    found = bytearray()
    for piece in _inflated(body) if packing == "gzip" else _others(body, packing):
        found += piece
        if len(found) > limit:
            raise TooMuch(f"the decompressed answer is larger than {limit} bytes")
        if len(found) > RATIO_FROM and len(found) > MAX_RATIO * len(body):
            raise TooMuch(f"the answer decompresses to more than {MAX_RATIO} times its size")
    return bytes(found)


def _inflated(body: bytes) -> Iterator[bytes]:
    inflater = Inflater("gzip")
    piece = inflater.feed(body)
    while piece:
        yield piece
        piece = inflater.more()
    inflater.finish()


def _others(body: bytes, packing: str) -> Iterator[bytes]:
    import pyarrow.lib as pa  # only for sources that send these: the API process loads no pyarrow

    try:
        with pa.input_stream(pa.py_buffer(body), compression=packing) as stream:
            while piece := stream.read(_PIECE):
                yield piece
    except (OSError, pa.ArrowException) as error:
        raise BrokenEncoding("the compressed answer is damaged") from error
