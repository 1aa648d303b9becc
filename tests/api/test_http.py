"""HTTP as any client may use it: HEAD, compression, cross-origin requests, and proxies in front."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from backports import zstd
from litestar import Litestar
from litestar.testing import TestClient

from service.api import compression
from service.api.app import create_app
from service.api.services import Services
from service.kit import settings as configuration
from service.kit.errors import Invalid
from tests.api.doubles import Engine
from tests.api.route_list import routes

Client = TestClient[Litestar]
P = "/api/v1/pipeline/orders"
ORIGIN = {"origin": "https://app.example"}
PLAIN = {"accept-encoding": "identity"}


def changed(services: Services, **settings: Any) -> Litestar:
    new = msgspec.structs.replace(services.settings, **settings)
    return create_app(services.__class__(**{**vars(services), "settings": new}))


@pytest.fixture
def browsed(services: Services) -> Iterator[Client]:
    """A service that pages of one origin may call, and that takes three requests a minute of an address."""
    app = changed(services, cors_origins=("https://app.example",), rate_limit_per_minute=3)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_head_answers_as_get_without_the_body(orders: Client, services: Services) -> None:
    paths = [
        p.replace("{name}", "orders").replace("{number}", "2") for m, p, _ in routes(create_app(services)) if m == "GET"
    ]
    run = orders.get(f"{P}/runs").json()["items"][0]["run_id"]
    tried = [p.replace("{run_id}", run).replace("{table}", "orders") for p in paths]
    left = {"/metrics", "/api/v1/events"}  # one counts these requests, too; the other has no end
    for path in (p for p in tried if "{" not in p and p not in left):
        got, head = (orders.request(m, path, headers=PLAIN, follow_redirects=False) for m in ("GET", "HEAD"))
        assert (head.status_code, head.content) == (got.status_code, b""), path
        for name in ("content-type", "content-length", "etag", "vary", "content-disposition"):
            assert head.headers.get(name) == got.headers.get(name), (path, name)


def test_head_of_a_stream_ends_it(orders: Client, engine: Engine) -> None:
    head = orders.head(f"{P}/data?format=csv")
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", "text/csv; charset=utf-8")
    assert engine.last is not None
    assert engine.last.closed.is_set()
    endless = orders.head("/api/v1/events")
    assert (endless.status_code, endless.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


def test_head_where_there_is_no_get(client: Client) -> None:
    refused = client.head("/api/v1/query")
    assert (refused.status_code, refused.headers["allow"], refused.content) == (405, "OPTIONS, POST", b"")
    assert client.patch("/health").headers["allow"] == "GET, HEAD, OPTIONS"
    assert client.head("/api/v1/nothing").status_code == 404


@pytest.mark.parametrize(("coding", "decode"), [("gzip", gzip.decompress), ("zstd", zstd.decompress)])
def test_answers_over_1_kb_are_compressed(client: Client, coding: str, decode: Any) -> None:
    plain = client.get("/docs/openapi.json", headers=PLAIN)
    with client.stream("GET", "/docs/openapi.json", headers={"accept-encoding": coding}) as answer:
        sent = b"".join(answer.iter_raw())
    assert decode(sent) == plain.content
    assert (answer.headers["content-encoding"], int(answer.headers["content-length"])) == (coding, len(sent))
    assert answer.headers["vary"] == plain.headers["vary"] == "Authorization, Accept-Encoding"
    assert "content-encoding" not in plain.headers
    small = client.get("/health", headers={"accept-encoding": coding})
    assert ("content-encoding" in small.headers, small.headers["vary"]) == (False, "Accept-Encoding")


@pytest.mark.parametrize(("coding", "decode"), [("gzip", gzip.decompress), ("zstd", zstd.decompress)])
def test_each_part_of_a_stream_is_sent_when_it_comes(coding: str, decode: Any) -> None:
    seen: list[Any] = []

    async def app(_: Any, __: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/csv"), (b"etag", b'"v1"'), (b"vary", b"Accept")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for part in (b"a,b\r\n", b"1,2\r\n" * 50_000):
            await send({"type": "http.response.body", "body": part, "more_body": True})
            seen.append(("sent", part))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send(message: Any) -> None:
        seen.append((message["type"].rpartition(".")[2], message.get("headers") or message.get("body")))

    scope: Any = {"type": "http", "headers": [(b"accept-encoding", coding.encode())]}
    asyncio.run(compression.Compression(app)(scope, lambda: None, send))  # type: ignore[arg-type, return-value]
    assert [kind for kind, _ in seen] == ["start", "body", "sent", "body", "sent", "body"]
    assert dict(seen[0][1]) == {
        b"content-type": b"text/csv", b"etag": b'W/"v1"', b"vary": b"Accept, Accept-Encoding",
        b"content-encoding": coding.encode(),
    }  # fmt: skip
    bodies = [value for kind, value in seen if kind == "body"]
    assert decode(b"".join(bodies)) == b"a,b\r\n" + b"1,2\r\n" * 50_000
    assert bodies[0]


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", None), ("identity", None), ("gzip", "gzip"), ("x-gzip", "gzip"), ("zstd, gzip", "zstd"), ("*", "zstd"),
        ("gzip;q=1, zstd;q=0.5", "gzip"), ("gzip;q=0", None), ("gzip; q=0.2, identity", None), ("br", None),
        ("zstd;q=0, *", "gzip"), ("gzip;q=x", None), ("GZIP", "gzip"),
    ],
)  # fmt: skip
def test_accept_encoding(header: str, coding: str | None) -> None:
    assert compression.accepted(header) == coding


def test_what_is_compressed_already_is_sent_as_it_is(orders: Client, engine: Engine) -> None:
    for media in ("application/vnd.apache.parquet", "image/png", "text/event-stream"):
        engine.media_type, engine.parts = media, [b"x" * 5_000]
        answer = orders.get(f"{P}/data?format=csv", headers={"accept-encoding": "gzip"})
        assert ("content-encoding" in answer.headers, answer.content) == (False, b"x" * 5_000), media


def test_the_etag_of_a_compressed_answer_is_weak_and_still_known(orders: Client, engine: Engine) -> None:
    tag = orders.get(f"{P}/data?format=csv", headers=PLAIN).headers["etag"]
    zipped = orders.get(f"{P}/data?format=csv", headers={"accept-encoding": "gzip"})
    assert (zipped.headers["etag"], zipped.content) == (f"W/{tag}", b"first\nsecond\n")
    same = orders.get(f"{P}/data?format=csv", headers={"accept-encoding": "gzip", "if-none-match": f"W/{tag}"})
    assert (same.status_code, same.headers["etag"], same.headers["vary"]) == (304, tag, "Accept, Accept-Encoding")


def test_errors_outside_the_routes_can_be_read_by_a_page(browsed: Client) -> None:
    answers = [
        browsed.get("/nothing", headers=ORIGIN),
        browsed.get("/api/v1/pipeline?x=%00", headers=ORIGIN),
        browsed.patch("/health", headers=ORIGIN),
        browsed.get("/nothing", headers=ORIGIN),
        browsed.get("/nothing", headers=ORIGIN),
    ]
    assert [a.status_code for a in answers] == [404, 400, 405, 404, 429]
    for answer in answers:
        assert list(answer.json()["error"]) == ["code", "message", "details"]
        assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert answer.headers["vary"].split(", ")[-1] == "Origin"
    assert "access-control-allow-origin" not in browsed.get("/health", headers={"origin": "https://x"}).headers


@pytest.mark.parametrize("headers", [{"x-a": "y" * 66_000}, {f"x-{i}": "y" for i in range(65)}])
def test_requirement_45_headers_are_bounded(browsed: Client, headers: dict[str, str]) -> None:
    refused = browsed.get("/health", headers={**ORIGIN, **headers})
    assert (refused.status_code, refused.json()["error"]["code"]) == (431, "HEADERS_TOO_LARGE")
    assert refused.headers["access-control-allow-origin"] == ORIGIN["origin"]


PREFLIGHT = {**ORIGIN, "access-control-request-method": "PUT"}


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({**PREFLIGHT, "origin": "https://evil.example"}, "origin"),
        ({**PREFLIGHT, "access-control-request-method": "TRACE"}, "access-control-request-method"),
        ({**PREFLIGHT, "access-control-request-headers": "accept, x-y"}, "access-control-request-headers"),
    ],
)
def test_a_preflight_that_is_refused(browsed: Client, headers: dict[str, str], field: str) -> None:
    refused = browsed.options(f"{P}/config", headers=headers)
    assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (400, field)
    assert refused.headers["content-type"] == "application/json"
    assert ("access-control-allow-origin" in refused.headers) == (headers["origin"] == ORIGIN["origin"])


def test_a_preflight(browsed: Client) -> None:
    asked = {**PREFLIGHT, "access-control-request-headers": "authorization,range, if-none-match"}
    allowed = browsed.options(f"{P}/config", headers=asked)
    assert (allowed.status_code, allowed.content) == (204, b"")
    assert "PUT" in allowed.headers["access-control-allow-methods"]
    assert "Range" in allowed.headers["access-control-allow-headers"]
    assert allowed.headers["x-request-id"]


def test_every_origin(services: Services) -> None:
    with TestClient(changed(services, cors_origins=("*",))) as client:
        answer = client.get("/health", headers=ORIGIN)
        assert (answer.headers["access-control-allow-origin"], answer.headers["vary"]) == ("*", "Accept-Encoding")


def addresses(app: Litestar, client: str, *forwarded: str) -> str:
    """The address by which a refused login is counted and logged."""
    seen: list[str] = []

    async def ask() -> None:
        async def send(_: Any) -> None: ...

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope: Any = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": "/nothing", "raw_path": b"/nothing", "query_string": b"", "root_path": "", "client": (client, 1),
            "server": ("x", 1), "headers": [(b"x-forwarded-proto", b"https"),
                                            *((b"x-forwarded-for", f.encode()) for f in forwarded)],
        }  # fmt: skip
        await app(scope, receive, send)
        seen.extend([scope["client"][0], scope["scheme"]])

    asyncio.run(ask())
    return " ".join(seen)


@pytest.mark.parametrize(
    ("client", "forwarded", "known"),
    [
        ("10.1.2.3", ["203.0.113.7"], "203.0.113.7 https"),
        ("10.1.2.3", ["6.6.6.6, 203.0.113.7"], "203.0.113.7 https"),
        ("10.1.2.3", ["6.6.6.6, 203.0.113.7, 192.168.0.1", "10.0.0.9"], "203.0.113.7 https"),
        ("10.1.2.3", ["6.6.6.6, [2001:db8::1]:443"], "2001:db8::1 https"),
        ("10.1.2.3", ["203.0.113.7:1234"], "203.0.113.7 https"),
        ("10.1.2.3", ["6.6.6.6, unknown"], "10.1.2.3 https"),
        ("10.1.2.3", ["10.9.9.9"], "10.9.9.9 https"),
        ("10.1.2.3", [], "10.1.2.3 https"),
        ("::ffff:10.1.2.3", ["203.0.113.7"], "203.0.113.7 https"),
        ("11.1.2.3", ["203.0.113.7"], "11.1.2.3 http"),
    ],
)
def test_requirement_44_the_client_is_the_one_that_a_trusted_proxy_names(
    services: Services, client: str, forwarded: list[str], known: str
) -> None:
    app = changed(services, trusted_proxies=("10.0.0.0/8", "192.168.0.1"))
    assert addresses(app, client, *forwarded) == known


def test_requirement_44_no_proxy_is_trusted_unless_it_is_named(app: Litestar) -> None:
    assert addresses(app, "127.0.0.1", "203.0.113.7") == "127.0.0.1 http"


def test_a_trusted_proxy_is_an_address() -> None:
    loaded = configuration.load({"PENSTOCK_TRUSTED_PROXIES": "10.0.0.0/8, ::1"})
    assert loaded.trusted_proxies == ("10.0.0.0/8", "::1")
    with pytest.raises(Invalid, match="PENSTOCK_TRUSTED_PROXIES: 'proxy' is not an IP address"):
        configuration.load({"PENSTOCK_TRUSTED_PROXIES": "proxy"})
