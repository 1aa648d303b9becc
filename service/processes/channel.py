"""Whole messages over a socket pair: a length of four bytes, then the bytes. Both ends of the same wire."""

from __future__ import annotations

import asyncio
import socket
import struct

_LENGTH = struct.Struct("!I")
_BUFFER = 1 << 20


class Channel:
    """The child's end; blocking."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sock.setblocking(True)

    def send(self, message: bytes) -> None:
        """Hand one message to the parent; blocks while it is busy, which bounds what is in flight.

        Raises ``OSError`` when the parent is gone.
        """
        self._sock.sendall(_LENGTH.pack(len(message)))
        self._sock.sendall(message)

    def receive(self) -> bytes | None:
        """The next message from the parent, or None when it is gone."""
        header = self._exactly(_LENGTH.size)
        if header is None:
            return None
        return self._exactly(_LENGTH.unpack(header)[0])

    def close(self) -> None:
        self._sock.close()

    def _exactly(self, size: int) -> bytes | None:
        parts: list[bytes] = []
        while size:
            part = self._sock.recv(min(size, _BUFFER))
            if not part:
                return None
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


class AsyncChannel:
    """The parent's end; asyncio."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, sock: socket.socket) -> AsyncChannel:
        reader, writer = await asyncio.open_connection(sock=sock, limit=_BUFFER)
        return cls(reader, writer)

    async def send(self, message: bytes) -> None:
        """Raises ``ConnectionError`` when the child is gone."""
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
