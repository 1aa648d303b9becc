"""A source file as plain UTF-8: decompressed and transcoded by streaming, only where it is not that already.

What the bytes are is told by the bytes: gzip and Zstandard by their magic numbers, UTF-16 and UTF-32 by their
byte order marks. The copy lies in the collector's folder and goes with it.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

import pyarrow.lib as pa

_CHUNK = 1024 * 1024
MAX_RATIO = 200
RATIO_FROM = 256 * _CHUNK
"""Below this many decompressed bytes the ratio is nobody's concern."""
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"PAR1": "a Parquet file",
    b"\xd0\xcf\x11\xe0": "an Excel file",
    b"%PDF": "a PDF",
}
_MARKS = {  # longest first: the mark of UTF-16 LE begins that of UTF-32 LE
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Unreadable(Exception):
    """The file is not text that can be read. The message is meant for the user."""


def is_text_codec(name: str) -> bool:
    """Whether Python knows it as an encoding of text."""
    try:
        "".encode(name)
    except (LookupError, UnicodeError):
        return False
    return True


def foreign(head: bytes) -> str | None:
    """What a file is that begins so, where it is no text; None else."""
    return next((what for magic, what in _FOREIGN.items() if head.startswith(magic)), None)


def packing(head: bytes) -> str | None:
    """How a file that begins so is compressed, or None."""
    return next((name for magic, name in _PACKED.items() if head.startswith(magic)), None)


def marked(head: bytes) -> str | None:
    """The encoding that a byte order mark names, or None."""
    return next((codec for mark, codec in _MARKS.items() if head.startswith(mark)), None)


def plain(path: Path, encoding: str, folder: Path, name: str) -> Path:
    """``path`` itself where it is UTF-8 text, else a copy ``name`` in ``folder`` that is.

    Raises ``Unreadable``.
    """
    with path.open("rb") as file:
        head = file.read(8)
    what = foreign(head)
    if what is not None:
        raise Unreadable(f"this is {what}, not text")
    packed = packing(head)
    chunks = _chunks(path, packed)
    first = next(chunks, b"")
    codec = marked(first) or encoding
    if packed is None and codec.startswith("utf-8"):
        return path
    copy = folder / name
    with copy.open("wb") as out:
        for piece in _transcoded(first, chunks, codec):
            out.write(piece)
    return copy


def _chunks(path: Path, packing: str | None) -> Iterator[bytes]:
    size = path.stat().st_size
    done = 0
    try:
        with pa.input_stream(str(path), compression=packing) as stream:
            while chunk := stream.read(_CHUNK):
                done += len(chunk)
                if packing and done > RATIO_FROM and done > MAX_RATIO * size:
                    raise Unreadable(f"it decompresses to more than {MAX_RATIO} times its size")
                yield chunk
    except (OSError, pa.ArrowException) as error:
        raise Unreadable(f"it cannot be decompressed: {error}" if packing else f"it cannot be read: {error}") from None


def _transcoded(first: bytes, rest: Iterator[bytes], codec: str) -> Iterator[bytes]:
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
