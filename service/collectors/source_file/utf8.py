"""A source file as plain UTF-8: decompressed and transcoded in a stream, unless it is plain UTF-8 already.

The content decides, not the name: gzip, bzip2 and Zstandard are recognized by their magic numbers, UTF-16 and UTF-32
by their byte order marks. The copy is in the collector's folder and is removed with it.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from service.kit import lazy

if TYPE_CHECKING:
    import pyarrow.lib as pa
else:
    pa = lazy.module("pyarrow.lib")


_CHUNK = 1024 * 1024
MAX_RATIO = 200
RATIO_FROM = 256 * _CHUNK
"""The ratio is checked only above this many decompressed bytes."""
_COMPRESSIONS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    **{b"BZh%d1AY&" % level: "bz2" for level in range(1, 10)},
}
_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\xfd7zXZ": "compressed with xz",
    b"PAR1": "a Parquet file",
    b"\xd0\xcf\x11\xe0": "an Excel file",
    b"%PDF": "a PDF",
}
_BYTE_ORDER_MARKS = {  # longest first: the mark of UTF-16 LE begins that of UTF-32 LE
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Unreadable(Exception):
    """The file is not text that can be read. The message is meant for the user."""


def is_text_codec(name: str) -> bool:
    """Whether Python knows ``name`` as a text encoding."""
    try:
        "".encode(name)
    except (LookupError, UnicodeError):
        return False
    return True


def file_kind(head: bytes) -> str | None:
    """The kind of a file with this beginning if it is not text, else None."""
    return next((what for magic, what in _OTHER_FORMATS.items() if head.startswith(magic)), None)


def compression(head: bytes) -> str | None:
    """The compression of a file with this beginning, or None."""
    return next((name for magic, name in _COMPRESSIONS.items() if head.startswith(magic)), None)


def bom_encoding(head: bytes) -> str | None:
    """The encoding that a byte order mark names, or None."""
    return next((codec for mark, codec in _BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)


def as_utf8(path: Path, encoding: str, folder: Path, name: str) -> Path:
    """``path`` itself if it is UTF-8 text, else a copy ``name`` in ``folder`` that is.

    Raises ``Unreadable``.
    """
    with path.open("rb") as file:
        head = file.read(8)
    what = file_kind(head)
    if what is not None:
        raise Unreadable(f"this is {what}, not text")
    packed = compression(head)
    chunks = _chunks(path, packed)
    first = next(chunks, b"")
    codec = bom_encoding(first) or encoding
    if packed is None and codec.startswith("utf-8"):
        return path
    copy = folder / name
    with copy.open("wb") as out:
        for piece in _transcode(first, chunks, codec):
            out.write(piece)
    return copy


def _chunks(path: Path, compressed_as: str | None) -> Iterator[bytes]:
    size = path.stat().st_size
    done = 0
    try:
        with pa.input_stream(str(path), compression=compressed_as) as stream:
            while chunk := stream.read(_CHUNK):
                done += len(chunk)
                if compressed_as and done > RATIO_FROM and done > MAX_RATIO * size:
                    raise Unreadable(f"it decompresses to more than {MAX_RATIO} times its size")
                yield chunk
    except (OSError, pa.ArrowException) as error:
        raise Unreadable(
            f"it cannot be decompressed: {error}" if compressed_as else f"it cannot be read: {error}"
        ) from None


def _transcode(first: bytes, rest: Iterator[bytes], codec: str) -> Iterator[bytes]:
    if codec.startswith("utf-8"):
        yield first
        yield from rest
        return
    decoder = codecs.getincrementaldecoder(codec)("strict")
    done = 0
    try:
        yield decoder.decode(first).encode()
        done += len(first)
        for chunk in rest:
            yield decoder.decode(chunk).encode()
            done += len(chunk)
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        raise Unreadable(f"it is not valid {codec} (about byte {done}): {error}") from None
