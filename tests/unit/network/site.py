"""A real HTTP server on loopback whose answers a test decides, and which remembers what it was asked."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from service.engine.polars_frame import PolarsFrame
from service.network.policy import Network
from service.steps.context import CollectContext


@dataclass(frozen=True)
class Hit:
    """One request that arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {k: v[-1] for k, v in parse_qs(urlsplit(self.target).query, keep_blank_values=True).items()}


@dataclass(frozen=True)
class Reply:
    """What to answer. ``chunks`` streams without a length until the test's iterator ends; ``reset`` then tears the
    connection down instead of closing it."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: Iterator[bytes] | None = None
    reset: bool = False

    @classmethod
    def json(cls, value: Any, **headers: str) -> Reply:
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        return cls(json.dumps(value).encode(), headers={"content-type": "application/json", **named})


Answers = Callable[[Hit], Reply]


class Site:
    """``address`` is its URL without a path; ``hits`` what it was asked."""

    def __init__(self, answers: Answers) -> None:
        self.hits: list[Hit] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536  # one packet an answer: two would wait 40 ms for each other

            def do_GET(self) -> None:
                length = int(self.headers.get("content-length", 0))
                headers = {k.lower(): v for k, v in self.headers.items()}
                hit = Hit(self.command, self.path, headers, self.rfile.read(length))
                site.hits.append(hit)
                self._send(answers(hit))

            def do_POST(self) -> None:
                self.do_GET()

            def _send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.chunks is None:
                    self.send_header("content-length", str(len(reply.body)))
                    self.end_headers()
                    self.wfile.write(reply.body)
                    return
                self.close_connection = True
                self.send_header("connection", "close")
                self.end_headers()
                try:
                    for chunk in reply.chunks:
                        self.wfile.write(chunk)
                        self.wfile.flush()
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client had enough, as it should
                if reply.reset:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()

            def log_message(self, format: str, *args: Any) -> None:
                """Silence."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that hangs up is what some tests are about."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(answers: Answers) -> Iterator[Site]:
    site = Site(answers)
    try:
        yield site
    finally:
        site.close()


def context(folder: Path, **given: Any) -> CollectContext:
    """A collector's surroundings that allow loopback."""
    given.setdefault("network", Network(allowed_private_hosts=("127.0.0.1",)))
    return CollectContext(step="collectors[0]", folder=folder, frames=PolarsFrame, **given)
