"""Messages over a socket pair, each a length of four bytes followed by the bytes; both ends of the wire."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading

_LENGTH = struct.Struct("!I")
_BUFFER = 1 << 20


class Channel:
    """The end of the child; blocking. Several threads may send."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sock.setblocking(True)
        self._sending = threading.Lock()

    def send(self, message: bytes) -> None:
        """Send one message to the parent; blocks while the parent is busy, which bounds the data in flight.

        Raises ``OSError`` if the parent has ended.
        """
        with self._sending:
            self._sock.sendall(_LENGTH.pack(len(message)))
            self._sock.sendall(message)

    def receive(self) -> bytes | None:
        """The next message from the parent, or None if the parent has ended."""
        header = self._read_exactly(_LENGTH.size)
        if header is None:
            return None
        return self._read_exactly(_LENGTH.unpack(header)[0])

    def close(self) -> None:
        self._sock.close()

    def _read_exactly(self, size: int) -> bytes | None:
        parts: list[bytes] = []
        while size:
            part = self._sock.recv(min(size, _BUFFER))
            if not part:
                return None
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


class AsyncChannel:
    """The end of the parent; asyncio."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, sock: socket.socket) -> AsyncChannel:
        reader, writer = await asyncio.open_connection(sock=sock, limit=_BUFFER)
        return cls(reader, writer)

    @property
    def has_ended(self) -> bool:
        """Whether the child has closed its end or died, and all its messages were received."""
        return self._reader.at_eof()

    async def send(self, message: bytes) -> None:
        """Send one message. Raises ``ConnectionError`` if the child has ended."""
        self._writer.write(_LENGTH.pack(len(message)))
        self._writer.write(message)
        await self._writer.drain()

    async def receive(self) -> bytes | None:
        """The next message, or None when the child has closed its end or died."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def close(self) -> None:
        self._writer.close()
