"""The head of a text file as a separate copy, for a sample of rows from a file of any size.

The copy has whole records and is decompressed; otherwise it is unchanged, encoding included, so that the collector
reads it as it would read the file.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from service.collectors.source_file import utf8
from service.kit import lazy

if TYPE_CHECKING:
    import pyarrow.lib as pa
else:
    pa = lazy.module("pyarrow.lib")

MOST_FILES = 16
"""The most files that a sample is taken from."""
MOST_BYTES = 64 * 1024 * 1024
_CHUNK = 256 * 1024
_WIDE = ("utf-16", "utf-32")


def head(path: Path, records: int, folder: Path, *, codec: str = "utf-8", quote: str = "", comment: str = "") -> Path:
    """A copy in ``folder`` (which is made) of the first ``records`` records of ``path``, under the same name.

    A record is a line; line ends inside ``quote`` do not count, nor do lines that begin with ``comment``.
    Raises ``utf8.Unreadable``.
    """
    folder.mkdir()
    copy = folder / path.name
    with path.open("rb") as file:
        compressed_as = utf8.compression(file.read(8))
    size, left, odd = 0, records, False
    with copy.open("wb") as out:
        try:
            with pa.input_stream(str(path), compression=compressed_as) as stream:
                for line in _lines(stream, codec):
                    size += len(line)
                    out.write(line)
                    text = line.decode("latin-1")
                    if comment and not odd and text.startswith(comment):
                        continue
                    odd = odd ^ bool(quote and text.count(quote) % 2)
                    left -= not odd
                    if not left or size > MOST_BYTES:
                        break
        except (OSError, pa.ArrowException) as error:
            raise utf8.Unreadable(f"it cannot be decompressed: {error}") from None
    return copy


def _lines(stream: pa.NativeFile, codec: str) -> Iterator[bytes]:
    """The lines as bytes with their ends; CR ends lines if the beginning has no other line end."""
    first = stream.read(_CHUNK)
    wide = utf8.bom_encoding(first) or (codec if codec.startswith(_WIDE) else None)
    if wide is not None:
        decoder = codecs.getincrementaldecoder(wide)("replace")
        encoder = codecs.getincrementalencoder(wide)("replace")
        for line in _cut(lambda size: decoder.decode(stream.read(size)).encode(), decoder.decode(first).encode()):
            yield encoder.encode(line.decode())
        return
    yield from _cut(stream.read, first)


def _cut(read: Callable[[int], bytes], first: bytes) -> Iterator[bytes]:
    eol = b"\r" if b"\n" not in first and b"\r" in first else b"\n"
    rest, chunk = b"", first
    while chunk:
        *lines, rest = (rest + chunk).split(eol)
        for line in lines:
            yield line + eol
        if len(rest) > MOST_BYTES:
            break
        chunk = read(_CHUNK)
    if rest:
        yield rest
