"""Clients of different kinds at once, in a process of their own: ``python -m benchmarks.mixed_load FILE``.

The file has the address, the seconds and the clients as JSON: each sends its requests in turn, with a pause after each
answer, over one kept connection. A client with ``rate`` reads so many bytes a second. Prints, by kind, how often each
status was answered, the seconds of each answer, and how many connections broke.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_PIECE = 1 << 18
_SMALL_BUFFER = 4096


@dataclass
class Seen:
    """What the clients of one kind saw."""

    statuses: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    broken: int = 0

    def add(self, status: int, body: bytes, seconds: float) -> None:
        self.statuses[str(status)] += 1
        self.seconds.append(round(seconds, 5))
        if status >= 400 and body:  # a slow reader may not come to read why
            self.codes[str(json.loads(body)["error"]["code"]) if body.startswith(b'{"error"') else "?"] += 1


async def _body(reader: asyncio.StreamReader, head: bytes, take: Callable[[int], Awaitable[bytes]]) -> bytes:
    """The whole body, of which the beginning is kept."""
    kept = b""

    async def drained(left: int) -> None:
        nonlocal kept
        while left:
            part = await take(min(left, _PIECE))
            if not part:
                raise ConnectionError
            left -= len(part)
            kept = (kept + part)[:4096]

    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None)
    if length is not None:
        await drained(length)
        return kept
    while (size := int(await reader.readline() or b"", 16)) > 0:
        await drained(size)
        await reader.readexactly(2)
    await reader.readline()
    return kept


async def _once(address: tuple[str, int], client: dict[str, Any], number: int, seen: Seen, end: float) -> int:
    """Ask over one connection until the end or until it breaks; answers the number of the next request."""
    raw = socket.socket()
    raw.setblocking(False)
    rate = client.get("rate")
    if rate:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
    await asyncio.get_running_loop().sock_connect(raw, address)
    reader, writer = await asyncio.open_connection(sock=raw, limit=_SMALL_BUFFER if rate else _PIECE)

    async def take(most: int) -> bytes:
        if rate:
            await asyncio.sleep(1)
            if time.perf_counter() >= end:
                raise TimeoutError
            return await reader.read(min(most, rate))
        return await reader.read(most)

    try:
        while time.perf_counter() < end:
            requests = client["requests"]
            began = time.perf_counter()
            writer.write(requests[number % len(requests)].encode())
            number += 1
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            try:
                body = await _body(reader, head, take)
            except TimeoutError:  # a slow reader at the end of the load
                seen.add(status, b"", time.perf_counter() - began)
                return number
            seen.add(status, body, time.perf_counter() - began)
            await asyncio.sleep(client["pause"])
    finally:
        writer.close()
    return number


async def _client(address: tuple[str, int], client: dict[str, Any], start: int, seen: Seen, end: float) -> None:
    number = start
    await asyncio.sleep(start % 17 / 17)  # not all at once
    while time.perf_counter() < end:
        try:
            number = await _once(address, client, number, seen, end)
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            seen.broken += 1
            await asyncio.sleep(0.2)


async def _load(order: dict[str, Any]) -> dict[str, Any]:
    split = urlsplit(order["address"])
    address = (split.hostname or "", split.port or 80)
    seen: dict[str, Seen] = {client["kind"]: Seen() for client in order["clients"]}
    end = time.perf_counter() + order["seconds"]
    work = [_client(address, c, n * 7, seen[c["kind"]], end) for n, c in enumerate(order["clients"])]
    async with asyncio.timeout(order["seconds"] + 60):
        await asyncio.gather(*work)
    return {kind: vars(found) for kind, found in seen.items()}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_load(json.loads(Path(sys.argv[1]).read_text())))))
