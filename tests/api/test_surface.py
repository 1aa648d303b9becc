"""Whatever comes in, the answer has the one error body, a request id, and is never a 500."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import structlog
from litestar import Litestar
from litestar.testing import TestClient

from service.api import request_body
from service.api.app import create_app
from service.api.services import Services
from service.kit import errors
from service.telemetry import logs
from tests.api.conftest import a_pipeline, bearer
from tests.api.doubles import Engine

Client = TestClient[Litestar]
CREATE = "/api/v1/pipeline/create"
JSON = {"content-type": "application/json"}


def check(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert list(answer.json()) == ["error"]
    assert sorted(answer.json()["error"]) == ["code", "details", "message"]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.headers["x-request-id"]) >= 8
    return dict(answer.json()["error"])


def test_routing_errors(client: Client) -> None:
    check(client.get("/nothing"), 404, "NOT_FOUND")
    check(client.get("/api/v1/pipeline/x/y/z"), 404, "NOT_FOUND")
    wrong = client.patch(CREATE)
    check(wrong, 405, "METHOD_NOT_ALLOWED")
    assert "POST" in wrong.headers["allow"]
    options = client.options(CREATE)
    assert (options.status_code, "POST" in options.headers["allow"]) == (204, True)


HOSTILE_JSON = [
    b"", b"{", b"[" * 100_000, b'{"a":' * 1000 + b"1" + b"}" * 1000, b"\xff\xfe", b'{"name": "\xff"}', b"NaN",
    b'{"name": 1e999}', b'{"name": "\\ud800"}', b'{"name": "a\\u0000b"}', b"[" * 65 + b"]" * 65, b"1 2",
]  # fmt: skip


def test_requirement_46_hostile_json(client: Client) -> None:
    for text in HOSTILE_JSON:
        for path in (CREATE, "/api/v1/query", "/api/v1/auth/token"):
            check(client.post(path, content=text[:15_000], headers=JSON), 400, "INVALID_JSON")


def test_json_that_is_no_configuration(client: Client) -> None:
    for text in (b"null", b"[]", b"1", b'"x"', b"{}", b'{"name": []}', b'{"name": {"a": 1}, "x": 1}'):
        check(client.post(CREATE, content=text, headers=JSON), 400, "VALIDATION_ERROR")
        check(client.post("/api/v1/query", content=text, headers=JSON), 400, "VALIDATION_ERROR")


def test_requirement_47_only_json_is_json(client: Client) -> None:
    for kind in ("text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data", "x"):
        check(client.post(CREATE, content=b"{}", headers={"content-type": kind}), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_an_encoding_of_the_body_that_is_not_undone_is_named(client: Client) -> None:
    for path in (CREATE, "/api/v1/query", "/api/v1/auth/token", "/api/v1/pipeline/x/apply"):
        answer = client.post(path, content=gzip.compress(b"{}"), headers={**JSON, "content-encoding": "gzip"})
        assert "Content-Encoding" in check(answer, 415, "UNSUPPORTED_MEDIA_TYPE")["message"]
    assert client.post(CREATE, content=b"{}", headers={**JSON, "content-encoding": "identity"}).status_code == 400


def test_requirement_45_bodies_are_bounded(client: Client) -> None:
    big = b" " * 20_001
    check(client.post(CREATE, content=big, headers=JSON), 413, "PAYLOAD_TOO_LARGE")
    check(client.post(CREATE, content=iter([big[:15_000], big]), headers=JSON), 413, "PAYLOAD_TOO_LARGE")
    check(client.post("/api/v1/pipeline/x/execute", content=big), 413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(
    "headers",
    [
        [("content-length", "2"), ("transfer-encoding", "chunked")],
        [("content-length", "x")],
        [("content-length", "2"), ("content-length", "3")],
        [("authorization", "Bearer x"), ("authorization", "Bearer y")],
    ],
)
def test_requirement_47_ambiguous_requests_are_refused(app: Litestar, headers: list[tuple[str, str]]) -> None:
    sent = asyncio.run(raw(app, "POST", CREATE, headers))
    assert sent[0]["status"] == 400
    assert msgspec.json.decode(sent[1]["body"])["error"]["code"] == "VALIDATION_ERROR"


@pytest.mark.parametrize("path", ["/api/v1/pipeline/a\x00b/status", "/a\nb", "/a\x7f", "/\ufffd"])
def test_requirement_47_control_characters_in_paths(app: Litestar, path: str) -> None:
    assert asyncio.run(raw(app, "GET", path, []))[0]["status"] == 400


async def _body() -> Any:
    return {"type": "http.request", "body": b"{}", "more_body": False}


async def raw(
    app: Litestar, method: str, path: str, headers: list[tuple[str, str]], receive: Callable[[], Any] = _body
) -> list[Any]:
    """What an ASGI server would pass on, without a client that tidies it up."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": ("10.0.0.1", 1),
        "server": ("127.0.0.1", 8000), "headers": [(k.encode(), v.encode()) for k, v in headers],
    }  # fmt: skip
    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("how", ["stalls", "drips"])
@pytest.mark.parametrize(("method", "path"), [("POST", CREATE), ("PUT", "/api/v1/files/a.csv")])
def test_requirement_45_a_slow_body_is_refused(
    app: Litestar, services: Services, monkeypatch: pytest.MonkeyPatch, method: str, path: str, how: str
) -> None:
    """A byte now and then does not give it more time: that is for the whole body."""
    monkeypatch.setattr(request_body, "SECONDS", 0.05)
    monkeypatch.setattr(request_body, "LEAST_RATE", 1 << 30)

    async def receive() -> Any:
        await (asyncio.Event().wait() if how == "stalls" else asyncio.sleep(0.001))
        return {"type": "http.request", "body": b" ", "more_body": True}

    headers = [*{**bearer(services, "admin"), **JSON}.items()]
    sent = asyncio.run(raw(app, method, path, headers, receive))
    assert sent[0]["status"] == 400
    assert b"did not arrive" in sent[1]["body"]
    assert list(services.layout.uploads.iterdir()) == []


def test_request_ids(client: Client) -> None:
    for sane in ("7", "abc-123", "Root=1-67891233-abcdef", "a:b/c+d.e_f@g", "x" * 128):
        assert client.get("/health", headers={"x-request-id": sane}).headers["x-request-id"] == sane
    for insane in ("a b c d e f g", "x" * 200, "{}{}{}{}"):
        assert client.get("/health", headers={"x-request-id": insane}).headers["x-request-id"].startswith("req_")


def test_bugs_say_nothing(client: Client, engine: Engine) -> None:
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    engine.failure = ZeroDivisionError("the password is hunter2")
    client.post(CREATE, json={"name": "orders", "collectors": [{"type": "csv", "file_path": "x"}]})
    client.post("/api/v1/pipeline/orders/execute")
    answer = client.get("/api/v1/pipeline/orders/data", headers={"x-request-id": "find-me-1"})
    found = check(answer, 500, "INTERNAL_ERROR")
    assert "hunter2" not in answer.text
    assert found["details"] == {}
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = [line for line in lines if line.get("request_id") == "find-me-1"]
    assert [line["event"] for line in told] == ["request.failed", "request.finished"]
    assert "ZeroDivisionError" in told[0]["exception"]
    finished = told[1]
    assert (finished["path"], finished["status"], finished["method"]) == (
        "/api/v1/pipeline/{name}/data", 500, "GET",
    )  # fmt: skip


def test_errors_from_below_keep_code_and_headers(client: Client, engine: Engine) -> None:
    engine.failure = errors.Unavailable("busy", retry_after=2.5)
    answer = client.post("/api/v1/query", json={"sql": "SELECT 1"})
    check(answer, 503, "OVERLOADED")
    assert answer.headers["retry-after"] == "3"
    engine.failure = errors.Invalid("no", code="SQL_NOT_ALLOWED", field="sql")
    check(client.post("/api/v1/query", json={"sql": "DROP"}), 400, "SQL_NOT_ALLOWED")


def test_browsers(services: Services) -> None:
    settings = msgspec.structs.replace(services.settings, cors_origins=("https://app.example",))
    app = create_app(services.__class__(**{**vars(services), "settings": settings}))
    with TestClient(app) as client:
        asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
        preflight = client.options(CREATE, headers=asked)
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        assert client.get("/api/v1/pipeline", headers=asked).headers["access-control-allow-origin"] == asked["origin"]
        client.headers.update(bearer(services, "operator"))
        client.post(CREATE, json=a_pipeline())
        client.post("/api/v1/pipeline/orders/execute")
        rows = client.get("/api/v1/pipeline/orders/data", headers={"origin": "https://app.example"})
        assert (rows.status_code, set(rows.headers["vary"].split(", "))) == (
            200,
            {"Accept", "Accept-Encoding", "Origin"},
        )
        stranger = client.get("/health", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in stranger.headers
        assert "frame-ancestors 'none'" in stranger.headers["content-security-policy"]


def test_requirement_12_health_tells_how_sql_is_confined(client: Client, services: Services) -> None:
    assert client.get("/health").json()["status"] == "healthy"
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["sandbox"]) == (200, "landlock 7")
    assert ready.json()["checks"] == {"catalog": "ok", "disk": "ok", "workers": "ok"}


@pytest.fixture(autouse=True)
def _plain_logs() -> Any:
    yield
    structlog.reset_defaults()
