"""Messages over a socket pair, each a length of four bytes followed by the bytes; both ends of the wire."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import deque

_LENGTH = struct.Struct("!I")
_BUFFER = 1 << 20
_SMALL = 64 << 10  # bytes that are copied behind their length rather than sent in a call of their own


class Channel:
    """The end of the child; blocking. Several threads may send."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sock.setblocking(True)
        self._sending = threading.Lock()
        self._ahead = b""  # what was received beyond the last message

    def send(self, message: bytes) -> None:
        """Send one message to the parent; blocks while the parent is busy, which bounds the data in flight.

        Raises ``OSError`` if the parent has ended.
        """
        with self._sending:
            for part in _parts(message):
                self._sock.sendall(part)

    def receive(self) -> bytes | None:
        """The next message from the parent, or None if the parent has ended."""
        header = self._read_exactly(_LENGTH.size)
        if header is None:
            return None
        return self._read_exactly(_LENGTH.unpack(header)[0])

    def close(self) -> None:
        self._sock.close()

    def _read_exactly(self, size: int) -> bytes | None:
        if len(self._ahead) >= size:
            found, self._ahead = self._ahead[:size], self._ahead[size:]
            return found
        parts, left, self._ahead = [self._ahead], size - len(self._ahead), b""
        while left > 0:
            part = self._sock.recv(min(max(left, _SMALL), _BUFFER))
            if not part:
                return None
            if len(part) > left:
                part, self._ahead = part[:left], part[left:]
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


class AsyncChannel(asyncio.Protocol):
    """The end of the parent; asyncio. One task at a time receives.

    Messages are cut out as bytes arrive, without a stream between, since a query is one message each way. While a
    MiB of messages waits to be received, the socket is not read.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._held = 0  # bytes in ``_parts``
        self._needed = _LENGTH.size  # bytes until the next message, or its header, is complete
        self._messages: deque[bytes] = deque()
        self._waiting = 0  # bytes in ``_messages``
        self._ended = False
        self._paused = False
        self._arrival: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    @classmethod
    async def over(cls, sock: socket.socket) -> AsyncChannel:
        _, channel = await asyncio.get_running_loop().create_connection(cls, sock=sock)
        return channel

    @property
    def has_ended(self) -> bool:
        """Whether the child has closed its end or died, and all its messages were received."""
        return self._ended and not self._messages

    async def send(self, message: bytes) -> None:
        """Send one message. Raises ``ConnectionError`` if the child has ended."""
        if self._ended or self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the child has ended")
        for part in _parts(message):
            self._transport.write(part)
        while self._room is not None:
            await asyncio.shield(self._room)
            if self._ended:
                raise ConnectionResetError("the child has ended")

    async def receive(self) -> bytes | None:
        """The next message, or None when the child has closed its end or died."""
        while not self._messages:
            if self._ended:
                return None
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival
        message = self._messages.popleft()
        self._waiting -= len(message)
        if self._paused and self._waiting < _BUFFER and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return message

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The event loop calls this and what follows (``asyncio.Protocol``)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._held += len(data)
        if self._held < self._needed:
            return
        arrived, at = b"".join(self._parts), 0
        while True:
            start = at + _LENGTH.size
            self._needed = _LENGTH.size
            if start <= len(arrived):
                self._needed += _LENGTH.unpack_from(arrived, at)[0]
            end = at + self._needed
            if end > len(arrived):
                break
            self._messages.append(arrived[start:end])
            self._waiting += end - start
            at = end
        rest = arrived[at:]
        self._parts, self._held = [rest], len(rest)
        if self._waiting >= _BUFFER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._end()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


def _parts(message: bytes) -> tuple[bytes, ...]:
    """What is sent of a message, in as few calls as it can be without a copy of much."""
    header = _LENGTH.pack(len(message))
    return (header + message,) if len(message) < _SMALL else (header, message)
