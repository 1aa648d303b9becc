"""Arrow's stream format as the messages that Flight carries: a header and a body each, relayed as they are.

Only a message that is larger than clients take by default is read, and sent as several with fewer rows.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow.ipc as ipc
from pyarrow import lib

MOST_BYTES = 3 << 20
"""The size of a body from which on it is split. gRPC's clients take messages of 4 MiB unless told otherwise."""
# pyarrow ships no types.
_new_stream: Any = ipc.new_stream
_open_stream: Any = ipc.open_stream
_MARK = b"\xff\xff\xff\xff"
_PREFIX = struct.Struct("<4si")
_END = _PREFIX.pack(_MARK, 0)
_SCHEMA, _DICTIONARY, _RECORD_BATCH = -1, 2, 3


class Piece(NamedTuple):
    """One message of a stream: the schema, a dictionary or a batch of rows."""

    header: bytes
    body: bytes

    @property
    def framed(self) -> bytes:
        """The message as it stands in a stream."""
        return b"".join((_PREFIX.pack(_MARK, len(self.header)), self.header, self.body))


class Cut(Exception):
    """The stream ended before its end mark."""


async def pieces(parts: AsyncIterator[bytes]) -> AsyncIterator[Piece]:
    """The messages of a stream that arrives in parts of any size. Raises ``Cut``."""
    source = _Source(parts)
    context: dict[int, Piece] = {}  # the schema, and the newest of each dictionary
    while True:
        mark, size = _PREFIX.unpack(await source.read(_PREFIX.size))
        if mark != _MARK:
            raise Cut("the answer is not a stream of Arrow")
        if size == 0:
            async for _ in parts:  # the end of the answer, without which its connection is not used again
                pass
            return
        header = await source.read(size)
        message = _Table.root(header)
        piece = Piece(header, await source.read(message.number(3, "<q")))
        kind = message.number(1, "<B")
        if kind != _RECORD_BATCH:
            context[message.table(2).number(0, "<q") if kind == _DICTIONARY else _SCHEMA] = piece
        elif len(piece.body) > MOST_BYTES:
            for smaller in _split(context.values(), piece):
                yield smaller
            continue
        yield piece


def of_table(table: lib.Table) -> Iterator[Piece]:
    """The messages of a table."""
    sink = lib.BufferOutputStream()
    with _new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    for message in lib.MessageReader.open_stream(sink.getvalue()):
        yield Piece(message.metadata.to_pybytes(), message.body.to_pybytes() if message.body is not None else b"")


def table(found: Iterable[Piece]) -> lib.Table:
    """The rows of messages. Raises ``lib.ArrowInvalid``."""
    content = b"".join([*(piece.framed for piece in found), _END])
    return _open_stream(content).read_all()


def is_compressed(piece: Piece) -> bool:
    """Whether the body of a message has to be decompressed. Raises ``struct.error`` for bytes that are not a header."""
    message = _Table.root(piece.header)
    kind = message.number(1, "<B")
    if kind not in (_DICTIONARY, _RECORD_BATCH):
        return False
    batch = message.table(2) if kind == _RECORD_BATCH else message.table(2).table(1)
    return batch.has(3)


def _split(context: Iterable[Piece], piece: Piece) -> Iterator[Piece]:
    """The rows of a batch as batches that are small enough; a single row stays whole."""
    waiting = table([*context, piece]).to_batches()
    while waiting:
        batch = waiting.pop(0)
        if batch.nbytes > MOST_BYTES and batch.num_rows > 1:
            half = batch.num_rows // 2
            waiting[:0] = [batch.slice(0, half), batch.slice(half)]
        else:
            message = lib.read_message(batch.serialize())
            yield Piece(message.metadata.to_pybytes(), message.body.to_pybytes())


class _Table(NamedTuple):
    """A Flatbuffers table in a header, such as Arrow's ``Message``, whose fields are numbered."""

    content: bytes
    start: int

    @classmethod
    def root(cls, content: bytes) -> _Table:
        return cls(content, struct.unpack_from("<I", content, 0)[0])

    def number(self, place: int, form: str) -> int:
        """The number in a field; 0 if it is not there."""
        found = self._find(place)
        return int(struct.unpack_from(form, self.content, found)[0]) if found else 0

    def has(self, place: int) -> bool:
        """Whether a field is there."""
        return self._find(place) > 0

    def table(self, place: int) -> _Table:
        """The table in a field that is there."""
        found = self._find(place)
        return _Table(self.content, found + struct.unpack_from("<I", self.content, found)[0])

    def _find(self, place: int) -> int:
        names = self.start - struct.unpack_from("<i", self.content, self.start)[0]
        (size,) = struct.unpack_from("<H", self.content, names)
        entry = 4 + 2 * place
        (offset,) = struct.unpack_from("<H", self.content, names + entry) if entry < size else (0,)
        return self.start + int(offset) if offset else 0


class _Source:
    """Bytes that arrive in parts, read in other sizes."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self._parts = parts
        self._left = b""

    async def read(self, size: int) -> bytes:
        if len(self._left) < size:
            found = [self._left]
            missing = size - len(self._left)
            while missing > 0:
                part = await anext(self._parts, None)
                if part is None:
                    raise Cut("the answer ended early")
                found.append(part)
                missing -= len(part)
            self._left = b"".join(found)
        taken, self._left = self._left[:size], self._left[size:]
        return taken
