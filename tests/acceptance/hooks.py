"""A receiver of webhooks that answers what the test wants, and remembers what it got."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE = 60.0


@dataclass
class Receiver:
    """``answers`` are the statuses of the next requests; afterwards every request is accepted. Where a
    redirect leads, a GET is answered with 200, as by a page of a web site."""

    address: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[tuple[bytes, str | None]] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def until(self, count: int) -> list[tuple[bytes, str | None]]:
        """The bodies and signatures of the first ``count`` requests."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.got) >= count, PATIENCE), f"{len(self.got)} of {count} came"
            return self.got[:count]

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body, _ in self.got]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on loopback."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with receiver.news:
                receiver.got.append((body, self.headers["penstock-signature"]))
                status = receiver.answers.pop(0) if receiver.answers else 200
                receiver.news.notify_all()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", "/elsewhere")
            self.send_header("content-length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.address = f"http://127.0.0.1:{server.server_port}/hook?token=abcdefgh"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
