"""A source on loopback that answers what a test tells it, when the test lets it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.acceptance.served import PATIENCE


class Source:
    """A source that answers what the test tells it, or lets a request wait."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b'[{"id": 1}]'
        self.asked = threading.Semaphore(0)
        self.open = threading.Event()
        self.open.set()
        source = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                source.asked.release()
                source.open.wait(PATIENCE)
                body = source.body
                with contextlib.suppress(OSError):
                    self.send_response(source.status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/x"

    def wait_for_a_request(self) -> None:
        assert self.asked.acquire(timeout=PATIENCE)


@contextlib.contextmanager
def a_source() -> Iterator[Source]:
    source = Source()
    thread = threading.Thread(target=source.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield source
    finally:
        source.open.set()
        source.server.shutdown()
        source.server.server_close()
