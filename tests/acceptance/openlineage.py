"""An OpenLineage service that checks what it gets against the specification (2-0-2), and remembers it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests import openlineage_schema

PATIENCE = 60.0


@dataclass
class LineageServer:
    """``answers`` are the statuses of the next requests; afterwards every valid event is accepted."""

    address: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def until(self, *types: tuple[str, str]) -> list[dict[str, Any]]:
        """The accepted events, when the last of them are of these types and jobs."""

        def come() -> bool:
            return [(e["eventType"], e["job"]["name"]) for e in self.got] == list(types)

        with self.news:
            assert self.news.wait_for(come, PATIENCE), [(e["eventType"], e["job"]["name"]) for e in self.got]
            assert self.problems == []
            return list(self.got)

    def asked(self, count: int) -> None:
        """Wait for so many requests."""
        with self.news:
            assert self.news.wait_for(lambda: len(self.requests) >= count, PATIENCE)

    def take(self, path: str, key: str | None, body: bytes) -> int:
        with self.news:
            self.requests.append((path, key))
            status = self.answers.pop(0) if self.answers else 201
            if status == 201:
                event = json.loads(body)
                self.problems += openlineage_schema.problems(event)
                self.got.append(event)
            self.news.notify_all()
            return status


@contextmanager
def lineage_server() -> Iterator[LineageServer]:
    """A server on loopback."""
    found = LineageServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(found.take(self.path, self.headers["authorization"], body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
