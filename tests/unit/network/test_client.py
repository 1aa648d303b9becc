"""The guarded client against real servers on loopback: what it follows, bounds, retries and never says."""

from __future__ import annotations

import asyncio
import base64
import gzip
import inspect
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from service.kit import errors
from service.network import error_table, request
from service.network.client import Client
from service.network.policy import Network
from service.network.request import Request, Response
from service.network.retry import Retry
from service.steps.context import CollectContext
from tests.unit.network.site import Hit, Reply, Site, context, serving

TOKEN = "s3cret token/+"


def ctx_for(folder: Path, **given: Any) -> CollectContext:
    return context(folder, secrets={"TOKEN": TOKEN, "LONG": "line\n"}, **given)


async def no_sleep(seconds: float) -> None:
    return None


def fetch(
    ctx: CollectContext, url: str, *, attempts: int = 1, timeout: float = 5, slept: Any = no_sleep, **ask: Any
) -> Response:
    async def go() -> Response:
        retry = Retry(max_attempts=attempts, initial_delay_seconds=0.01)
        async with Client(ctx, timeout_seconds=timeout, retry=retry, field="endpoint", sleep=slept) as client:
            return await client.fetch(Request(url, **ask))

    return asyncio.run(go())


def refused(
    ctx: CollectContext, url: str, family: type[errors.StepError] = errors.Permanent, **more: Any
) -> errors.StepError:
    with pytest.raises(family) as caught:
        fetch(ctx, url, **more)
    assert caught.value.details["step"] == "collectors[0]"
    assert caught.value.details["field"] == "endpoint"
    return caught.value


def everything() -> Iterator[type[Exception]]:
    yield httpx.InvalidURL
    for value in vars(httpcore).values():
        if inspect.isclass(value) and issubclass(value, Exception):
            yield value


FOREIGN: list[type[Exception]] = sorted(set(everything()), key=lambda k: (k.__module__, k.__name__))


@pytest.mark.parametrize("kind", FOREIGN)
def test_every_foreign_error_has_a_meaning(kind: type[Exception]) -> None:
    assert any(above in error_table.FOREIGN for above in kind.__mro__)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/b", "file:///etc/passwd", "//a/b", "a.csv", "http://", "https://user:pw@a/b", "http://user@a/",
        "http://a:99999/", "gopher://x", "http://[::1", "s3://bucket/key", "http://xn--/", "http://a:0/",
        "http://a b/", "http://a\u2603/",
    ],
)  # fmt: skip
def test_requirement_31_only_plain_http_addresses_are_fetched(url: str, tmp_path: Path) -> None:
    assert request.fault(url) is not None
    said = refused(ctx_for(tmp_path), url).message
    assert "pw" not in said


def test_requirement_31_private_addresses_are_refused_and_proxies_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda hit: Reply(b"ok")) as site:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, site.address)
        ctx = context(tmp_path, network=Network())
        for url in (site.address, f"http://localhost:{site.port}", f"http://127.1:{site.port}", "http://2130706433:99"):
            assert "refused" in refused(ctx, url).message
        for url in ("http://169.254.169.254/latest/meta-data", f"http://0.0.0.0:{site.port}/", "http://[::]:8080/"):
            refused(context(tmp_path, network=Network(allowed_private_hosts=("0.0.0.0/0", "::/0"))), url)
        refused(context(tmp_path, network=Network()), "http://192.168.3.4:22/")
        assert site.hits == []


def redirecting(target: str, status: int = 302) -> Reply:
    return Reply(b"x" * 10, status, {"location": target})


@pytest.fixture
def other() -> Iterator[Site]:
    with serving(lambda hit: Reply(b"other")) as site:
        yield site


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_what_the_user_gave_goes_to_no_other_origin(status: int, other: Site, tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        return redirecting("/b", status) if hit.path == "/a" else redirecting(other.address + "/c", status)

    with serving(answer) as site:
        headers = {"Authorization": f"Bearer {TOKEN}", "X-Own": "1"}
        ask: dict[str, Any] = {"headers": headers, "auth_params": (("key", TOKEN),)}
        got = fetch(ctx_for(tmp_path), site.address + "/a", params=(("q", "1"),), **ask)
    assert (got.body, got.url) == (b"other", other.address + "/c")
    first, second = site.hits
    assert first.query == {"q": "1", "key": TOKEN}
    assert second.query == {"key": TOKEN}
    assert first.headers["authorization"] == second.headers["authorization"] == f"Bearer {TOKEN}"
    (hit,) = other.hits
    assert TOKEN not in str(hit)
    assert "authorization" not in hit.headers
    assert "x-own" not in hit.headers
    assert hit.query == {}


def test_a_link_to_another_origin_gets_nothing_either(other: Site, tmp_path: Path) -> None:
    ask: dict[str, Any] = {"headers": {"Authorization": "Bearer x"}, "home": "https://api.example.com/v1"}
    fetch(ctx_for(tmp_path), other.address, **ask)
    assert "authorization" not in other.hits[0].headers
    said = refused(ctx_for(tmp_path), other.address, method="POST", content=b"{}", **ask).message
    assert "another origin does not get the body" in said
    with serving(lambda hit: Reply(status=401)) as strict:
        said = refused(ctx_for(tmp_path), strict.address, **ask).message
    assert said.endswith("'auth' and 'headers' are sent to https://api.example.com only")


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "http://169.254.169.254/", "http://u:p@127.0.0.1/", "ftp://a/", "http://10.1.1.1:22/"],
)
def test_requirement_28_redirects_are_checked_like_any_address(target: str, tmp_path: Path) -> None:
    with serving(lambda hit: redirecting(target)) as site:
        assert (
            "refused" in refused(ctx_for(tmp_path), site.address).message
            or "not allowed" in refused(ctx_for(tmp_path), site.address).message
        )


def test_redirects_end_somewhere(tmp_path: Path) -> None:
    with serving(lambda hit: redirecting("/again")) as site:
        assert "more than 3 redirects" in refused(ctx_for(tmp_path), site.address).message
        assert len(site.hits) == 4


@pytest.mark.parametrize(("status", "method"), [(302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
def test_a_post_is_redirected_as_the_standard_says(status: int, method: str, tmp_path: Path) -> None:
    with serving(lambda hit: redirecting("/b", status) if hit.path == "/a" else Reply(b"ok")) as site:
        fetch(ctx_for(tmp_path), site.address + "/a", method="POST", content=b"{}")
    assert (site.hits[1].method, site.hits[1].body) == (method, b"{}" if method == "POST" else b"")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_statuses_that_may_pass_are_tried_again(status: int, tmp_path: Path) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    with serving(
        lambda hit: Reply(b"ok") if len(site.hits) > 2 else Reply(b"no", status, {"Retry-After": "7"})
    ) as site:
        assert fetch(ctx_for(tmp_path), site.address, attempts=3, slept=sleep).body == b"ok"
        assert slept[::2] == [7.0, 7.0]  # and what is left of it until anybody may ask the host again
        site.hits.clear()
        error = refused(ctx_for(tmp_path), site.address, errors.Transient, attempts=2)
        assert (error.details["status"], error.details["delay"]) == (status, 7.0)


@pytest.mark.parametrize("status", [304, 400, 401, 403, 404, 410, 501])
def test_other_statuses_are_final(status: int, tmp_path: Path) -> None:
    body = b"" if status == 304 else b"<p>why\n not</p>"
    with serving(lambda hit: Reply(body, status)) as site:
        error = refused(ctx_for(tmp_path), site.address, attempts=3)
        assert len(site.hits) == 1
    assert str(status) in error.message
    assert ("check 'auth'" in error.message) == (status in (401, 403))


def test_an_error_answer_in_an_unknown_encoding_keeps_its_status(tmp_path: Path) -> None:
    with serving(lambda hit: Reply(b"\x00\x01", 503, {"content-encoding": "br"})) as site:
        assert refused(ctx_for(tmp_path), site.address, errors.Transient).details["status"] == 503


def torn() -> Reply:
    return Reply(headers={"content-length": "1000"}, chunks=iter([b"half"]))


def test_a_body_that_breaks_off_is_tried_again_and_never_taken_for_whole(tmp_path: Path) -> None:
    whole = gzip.compress(b"rows" * 1000)
    answers = [torn(), Reply(chunks=iter([whole[:-9]]), headers={"content-encoding": "gzip"}), Reply(b"ok")]
    with serving(lambda hit: answers.pop(0)) as site:
        assert fetch(ctx_for(tmp_path), site.address, attempts=3).body == b"ok"
    with serving(lambda hit: torn()) as site:
        refused(ctx_for(tmp_path), site.address, errors.Transient, attempts=2)
        assert len(site.hits) == 2


def test_requirement_32_the_limit_holds_while_streaming(tmp_path: Path) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield bytes(65536)

    with serving(lambda hit: Reply(chunks=endless())) as site:
        small = ctx_for(tmp_path, network=Network(("127.0.0.1",), max_response_bytes=300_000))
        assert "larger than 300000 bytes" in refused(small, site.address, attempts=3).message
        assert "larger than 1000 bytes" in refused(small, site.address, max_bytes=1000).message
        assert len(site.hits) == 2
    assert sent < 50_000_000  # what loopback buffers, and no more


@pytest.mark.parametrize(
    ("encoding", "body"), [("gzip", gzip.compress(bytes(200_000_000), 9)), ("gzip, gzip", b"x"), ("br", b"x")]
)
def test_requirement_32_bombs_and_layers_are_refused(encoding: str, body: bytes, tmp_path: Path) -> None:
    with serving(lambda hit: Reply(body, headers={"content-encoding": encoding})) as site:
        refused(ctx_for(tmp_path), site.address, attempts=3)
        assert len(site.hits) == 1
        assert site.hits[0].headers["accept-encoding"] == "gzip, deflate"


def test_requirement_32_one_deadline_for_a_whole_attempt(tmp_path: Path) -> None:
    enough = threading.Event()

    def drip() -> Iterator[bytes]:
        while not enough.wait(0.02):
            yield b"."

    with serving(lambda hit: Reply(chunks=drip())) as site:
        error = refused(ctx_for(tmp_path), site.address, errors.Transient, timeout=0.3)
        enough.set()
    assert "timeout_seconds" in error.message


def test_a_request_that_was_broken_off_does_not_block_the_next(tmp_path: Path) -> None:
    async def go(site: Site) -> None:
        for turns in range(30):  # wherever it was when it was broken off
            async with Client(ctx_for(tmp_path), timeout_seconds=3, retry=Retry(max_attempts=1), field="f") as client:
                for more in (0, 3):
                    task = asyncio.create_task(client.fetch(Request(site.address)))
                    for _ in range(turns + more):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                    assert (await client.fetch(Request(site.address))).status == 200

    with serving(lambda hit: Reply(bytes(100_000))) as site:
        asyncio.run(go(site))


def test_nobody_there(tmp_path: Path) -> None:
    with serving(lambda hit: Reply(b"")) as site:
        address = site.address
    refused(ctx_for(tmp_path), address, errors.Transient)


@pytest.mark.parametrize(
    "headers",
    [{"X-Key": TOKEN + "\n"}, {"Authorization": "Bearer line\n"}, {"X-Key": "ü" + TOKEN}, {"X-Key": f"\0{TOKEN}"}],
)
def test_a_secret_that_is_no_header_is_not_shown(headers: dict[str, str], tmp_path: Path) -> None:
    with serving(lambda hit: Reply(b"ok")) as site:
        said = refused(ctx_for(tmp_path), site.address, headers=headers).message
    assert "s3cret" not in said
    assert "Bearer" not in said
    assert site.hits == []


def test_a_server_that_repeats_what_it_was_told_gives_nothing_away(tmp_path: Path) -> None:
    basic = base64.b64encode(f"me:{TOKEN}".encode()).decode()
    with serving(lambda hit: Reply(f"no: {hit.headers['authorization']} {hit.target}".encode(), 401)) as site:
        ctx = ctx_for(tmp_path)
        ask: dict[str, Any] = {"headers": {"authorization": f"Basic {basic}"}, "auth_params": (("key", TOKEN),)}
        said = refused(ctx, f"{site.address}/{TOKEN}/x?y={TOKEN}", **ask).message
    for form in (basic, TOKEN, "s3cret"):
        assert form not in said
    assert "/***/x" in said


def test_the_libraries_below_do_not_log_addresses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(lambda hit: Reply(b"ok")) as site:
        fetch(ctx_for(tmp_path), site.address + "/?key=hidden-key")
    assert "hidden-key" not in caplog.text


def test_cookies_are_not_kept_and_connections_are(tmp_path: Path) -> None:
    async def go(site: Site) -> None:
        async with Client(ctx_for(tmp_path), timeout_seconds=5, retry=Retry(), field="endpoint") as client:
            for _ in range(3):
                await client.fetch(Request(site.address))

    with serving(lambda hit: Reply(b"ok", headers={"set-cookie": "a=1"})) as site:
        asyncio.run(go(site))
        assert len(site.hits) == 3
        assert all("cookie" not in hit.headers for hit in site.hits)


def test_the_next_link_is_made_absolute(tmp_path: Path) -> None:
    link = '</p?page=1>; rel="prev", </p?page=3>; rel="next"'
    with serving(lambda hit: Reply(b"ok", headers={"Link": link})) as site:
        assert fetch(ctx_for(tmp_path), site.address + "/a/b").links.get("next") == site.address + "/p?page=3"
    with serving(lambda hit: Reply(b"ok")) as site:
        assert fetch(ctx_for(tmp_path), site.address).links.get("next") is None
