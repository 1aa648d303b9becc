"""One download over HTTP: ``python -m benchmarks.contestants.download ADDRESS PATH AUTHORIZATION``.

The bytes are counted and dropped. Prints seconds to the first byte of the body and to the last, and the bytes, as JSON.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from urllib.parse import urlsplit

_PIECE = 1 << 20


def main(address: str, path: str, authorization: str) -> dict[str, float]:
    split = urlsplit(address)
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {split.netloc}\r\nAuthorization: {authorization}\r\n"
        "Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
    )
    place, size, end, first = memoryview(bytearray(_PIECE)), 0, b"", 0.0
    with socket.create_connection((split.hostname or "", split.port or 80)) as connection:
        began = time.perf_counter()
        connection.sendall(request.encode())
        head = connection.recv(_PIECE)
        while b"\r\n\r\n" not in head:
            head += connection.recv(_PIECE)
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(head.decode(errors="replace")[:500])
        size = len(head.partition(b"\r\n\r\n")[2])
        first = time.perf_counter() - began if size else 0.0
        while got := connection.recv_into(place):
            first = first or time.perf_counter() - began
            size, end = size + got, bytes(place[max(got - 5, 0) : got])
        seconds = time.perf_counter() - began
    if b"chunked" in head.lower() and end != b"0\r\n\r\n":
        raise SystemExit("the answer was broken off")
    return {"seconds": seconds, "first": first, "bytes": size}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
