"""Many clients of an HTTP service at once, each with one kept connection, in a process of their own."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import measure


async def _client(host: str, port: int, requests: list[bytes], start: int, end: float, answers: list[int]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    number = start
    while time.perf_counter() < end:
        writer.write(requests[number % len(requests)])
        number += 1
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None)
        if length is not None:
            await reader.readexactly(length)
        else:  # chunks
            while (size := int(await reader.readline(), 16)) > 0:
                await reader.readexactly(size + 2)
            await reader.readline()
        answers.append(int(lines[0].split(b" ")[1]))
    writer.close()


# Each client begins at another place of the requests, so that none repeats what another has just asked.
async def _load(address: str, requests: list[bytes], clients: int, seconds: float) -> dict[str, float]:
    split = urlsplit(address)
    answers: list[int] = []
    began = time.perf_counter()
    work = [
        _client(split.hostname or "", split.port or 80, requests, start, began + seconds, answers)
        for start in [n * len(requests) // clients for n in range(clients)]
    ]
    await asyncio.gather(*work)
    took = time.perf_counter() - began
    return {"rate": len(answers) / took, "count": len(answers), "refused": sum(status >= 400 for status in answers)}


def request(address: str, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> str:
    """One HTTP request as text."""
    named = {"Host": urlsplit(address).netloc, **headers, "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(lines) + "\r\n\r\n" + body.decode()


def under(address: str, requests: list[str], clients: int, seconds: float) -> dict[str, float]:
    """Answers a second (``rate``), their ``count`` and how many were ``refused``, of a load of so many clients."""
    order = {"address": address, "requests": requests, "clients": clients, "seconds": seconds}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:  # too long for an argument
        json.dump(order, file)
        file.flush()
        answer: dict[str, float] = measure.said("benchmarks.load", [file.name])
    return answer


if __name__ == "__main__":
    order = json.loads(Path(sys.argv[1]).read_text())
    print(
        json.dumps(
            asyncio.run(
                _load(order["address"], [r.encode() for r in order["requests"]], order["clients"], order["seconds"])
            )
        )
    )
