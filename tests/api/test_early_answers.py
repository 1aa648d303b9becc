"""What the port answers before the application is there, beside what the application answers."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from service.api.early_answers import StartingApp


def asked(app: StartingApp, path: str, method: str = "GET", request_id: str | None = None) -> tuple[int, Any, bytes]:
    """Status, headers and body of an answer."""
    sent: list[dict[str, Any]] = []
    headers = [] if request_id is None else [(b"x-request-id", request_id.encode())]

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "method": method, "path": path, "headers": headers}, None, send))
    start, body = sent
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body["body"]


def test_the_same_health_as_later(client: TestClient[Any]) -> None:
    status, headers, body = asked(StartingApp(), "/health", request_id="req-1")
    later = client.get("/health", headers={"x-request-id": "req-1"})
    assert (status, msgspec.json.decode(body)) == (later.status_code, later.json()) == (200, later.json())
    assert headers == {name: later.headers[name] for name in headers}


def test_not_ready() -> None:
    status, headers, body = asked(StartingApp(), "/health/ready")
    assert (status, headers["retry-after"]) == (503, "1")
    assert msgspec.json.decode(body)["status"] == "not ready"


@pytest.mark.parametrize(("method", "path"), [("POST", "/health"), ("GET", "/api/v1/pipelines"), ("GET", "/docs")])
def test_everything_else_comes_later(method: str, path: str) -> None:
    status, headers, body = asked(StartingApp(), path, method)
    error = msgspec.json.decode(body)["error"]
    assert (status, error["code"], headers["retry-after"]) == (503, "OVERLOADED", "1")
    assert "starting" in error["message"]


def test_a_head_has_no_body() -> None:
    app = StartingApp()
    status, headers, body = asked(app, "/health", "HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", str(len(asked(app, "/health")[2])))


def test_the_application_answers_when_it_is_there() -> None:
    app = StartingApp()

    async def real(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app.app = real
    assert asked(app, "/health")[0] == 204
