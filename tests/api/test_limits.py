"""Limits: requests by user or address, log-ins by account and address; what a caller is told about them."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.app import create_app
from service.api.log_in_backoff import Backoff
from service.api.rate_limit import Allowance, RateLimiter, network
from service.api.services import Services
from service.api.shared_limits import Part, PartLimiter
from service.kit import errors
from service.kit.clock import FixedClock
from service.kit.settings import Settings
from tests.api.conftest import PASSWORD, bearer

Client = TestClient[Any]
TOKEN = "/api/v1/auth/token"
WRONG = {"username": "nobody", "password": "not the password"}


def limited(services: Services, **settings: object) -> Litestar:
    return create_app(dataclasses.replace(services, settings=msgspec.structs.replace(services.settings, **settings)))


def told(client: Client, path: str, **headers: str) -> tuple[int, str, str, str, str | None]:
    answer = client.get(path, headers=headers)
    names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
    limit, left, reset = (answer.headers[name] for name in names)
    return answer.status_code, limit, left, reset, answer.headers.get("retry-after")


def test_requirement_44_everything_is_counted_and_nobody_chooses_the_key(services: Services, clock: FixedClock) -> None:
    with TestClient(limited(services, rate_limit_per_minute=5)) as client:
        paths = ["/nothing", "/api/v1/pipeline/create", "/api/v1/pipeline", "/docs", "/nothing"]  # 404, 405, 401, 200
        codes = [client.get(p, headers={"x-forwarded-for": f"10.0.0.{i}"}).status_code for i, p in enumerate(paths)]
        assert codes == [404, 405, 401, 200, 404]
        refused = client.get("/nothing", headers={"x-forwarded-for": "10.9.9.9", "forwarded": "for=10.9.9.9"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "RATE_LIMITED")
        assert refused.headers["retry-after"] == "12"
        assert client.get("/health").status_code == 200
        assert client.get("/api/v1/auth/me", headers=bearer(services, "viewer")).status_code == 200
        clock.advance(12)
        assert client.get("/nothing").status_code == 404


def test_answers_tell_what_is_left(services: Services, clock: FixedClock) -> None:
    with TestClient(limited(services, rate_limit_per_minute=3)) as client:
        assert told(client, "/nothing") == (404, "3", "2", "20", None)
        assert told(client, "/docs") == (200, "3", "1", "40", None)
        assert told(client, "/nothing") == (404, "3", "0", "60", None)
        assert told(client, "/docs") == (429, "3", "0", "20", "20")
        assert told(client, "/docs", **bearer(services, "viewer")) == (200, "3", "2", "20", None)
        assert "ratelimit-limit" not in client.get("/health").headers  # it is not counted
        clock.advance(60)
        assert told(client, "/docs") == (200, "3", "2", "20", None)


def test_a_page_of_another_origin_may_read_what_is_left(services: Services) -> None:
    with TestClient(limited(services, cors_origins=("*",))) as client:
        shown = client.get("/docs", headers={"origin": "https://app.example"}).headers["access-control-expose-headers"]
        assert {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"} <= set(shown.split(", "))


def test_a_caller_may_have_a_limit_of_its_own() -> None:
    clock = FixedClock()
    limiter = RateLimiter(600, clock)

    async def take(key: str, per_minute: int | None = None) -> Allowance:
        return await limiter.take(key, per_minute)

    assert asyncio.run(take("key a", 2)) == Allowance(2, 1, 30.0)
    assert asyncio.run(take("key a", 2)) == Allowance(2, 0, 60.0)
    assert asyncio.run(take("key a", 2)) == Allowance(2, 0, 60.0, wait=30.0)
    assert asyncio.run(take("user a")).left == 599
    clock.advance(30)
    assert asyncio.run(take("key a", 2)).wait == 0
    assert asyncio.run(take("key a", 60)).left == 0  # a new limit gives nothing that is not there yet


def test_another_limiter_takes_its_place(services: Services) -> None:
    """The seam that a store of several processes fills."""
    asked: list[str] = []

    class Closed:
        def __init__(self, per_minute: int, _: object) -> None:
            self.most = per_minute

        async def take(self, key: str, per_minute: int | None = None) -> Allowance:
            asked.append(key)
            return Allowance(self.most, 0, 60.0, wait=7.0)

    with TestClient(create_app(dataclasses.replace(services, limiter=Closed))) as client:
        assert told(client, "/docs") == (429, "6000", "0", "7", "7")
        assert asked == ["address testclient"]


def test_each_of_several_processes_allows_its_part(clock: FixedClock) -> None:
    processes: list[int] = [4]

    def count() -> int:
        if not processes:
            raise errors.Unavailable("away")
        return processes[0]

    async def go() -> None:
        part = Part(count, clock)
        limiter = PartLimiter(600, clock, part)
        assert (await limiter.take("a")).most == 600  # nobody is counted yet
        await counted(part)
        assert [(await limiter.take("a")).most, (await limiter.take("key", 2)).most] == [150, 1]
        processes.clear()
        clock.advance(6)
        assert (await limiter.take("a")).most == 150
        await counted(part)
        assert (await limiter.take("a")).most == 150  # what was counted last
        processes.append(1)
        clock.advance(6)
        await limiter.take("a")
        await counted(part)
        assert (await limiter.take("a")).most == 600

    async def counted(part: Part) -> None:
        assert part.looking is not None
        await part.looking

    asyncio.run(go())


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"), ("2001:db8::1", "2001:db8::/64"), ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"), ("::ffff:192.0.2.7", "192.0.2.7"), ("unknown", "unknown"),
    ],
)  # fmt: skip
def test_an_ipv6_client_is_counted_by_its_network(address: str, counted: str) -> None:
    assert network(address) == counted


def log_in(client: Client, username: str, password: str = PASSWORD) -> int:
    return client.post(TOKEN, json={"username": username, "password": password}).status_code


def test_requirement_41_log_ins_are_throttled_apart_from_everything_else(
    anonymous: Client, services: Services, clock: FixedClock
) -> None:
    codes = [anonymous.post(TOKEN, json=WRONG).status_code for _ in range(11)]
    assert codes == [401] * 10 + [429]
    refused = anonymous.post(TOKEN, json=WRONG)
    assert refused.json()["error"]["code"] == "RATE_LIMITED"
    names = ("retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
    assert [refused.headers[name] for name in names] == ["6", "10", "0", "6"]
    assert anonymous.get("/api/v1/auth/me", headers=bearer(services, "viewer")).status_code == 200
    assert log_in(anonymous, "operator") == 200
    clock.advance(6)
    assert anonymous.post(TOKEN, json=WRONG).status_code == 401


def test_requirement_41_who_fails_again_and_again_waits_longer(anonymous: Client, clock: FixedClock) -> None:
    for _ in range(10):
        assert log_in(anonymous, "operator", "wrong") == 401
    for delay in (6, 12, 24, 48):
        clock.advance(delay - 1)
        refused = anonymous.post(TOKEN, json={"username": "operator", "password": PASSWORD})  # even the right one
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        clock.advance(1)
        assert log_in(anonymous, "operator", "wrong") == 401
    assert log_in(anonymous, "viewer") == 200  # another account from the same address
    clock.advance(96)
    assert log_in(anonymous, "operator") == 200
    assert log_in(anonymous, "operator", "wrong") == 401  # success has forgotten the failures
    assert log_in(anonymous, "operator") == 200


class TestFromElsewhere:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(trusted_proxies=("0.0.0.0/0",))

    def test_requirement_41_nobody_locks_an_account_out(self, services: Services) -> None:
        """A stranger's failures count for the stranger's address, not for the account."""

        async def through_proxy(scope: object, receive: object, send: object) -> None:
            if isinstance(scope, dict) and scope["type"] == "http":
                scope["client"] = ("10.0.0.1", 1)
            await app(scope, receive, send)  # type: ignore[arg-type]

        app = create_app(services)
        body = {"username": "operator", "password": "wrong"}
        with TestClient(through_proxy) as client:
            stranger, owner = {"x-forwarded-for": "198.51.100.1"}, {"x-forwarded-for": "198.51.100.2"}
            codes = [client.post(TOKEN, json=body, headers=stranger).status_code for _ in range(12)]
            assert codes == [401] * 10 + [429] * 2
            assert client.post(TOKEN, json={**body, "password": PASSWORD}, headers=owner).status_code == 200


def test_the_wait_is_bounded_and_old_failures_are_forgotten() -> None:
    clock = FixedClock()
    backoff = Backoff(3, 6.0, clock)
    for _ in range(2000):
        backoff.failed("a")
    with pytest.raises(errors.Throttled) as caught:
        backoff.check("a")
    assert caught.value.retry_after == 900
    clock.advance(900)
    backoff.check("a")
    backoff.failed("a")
    clock.advance(1801)
    for _ in range(2):
        backoff.failed("a")
        backoff.check("a")


def test_the_memory_for_failures_is_bounded() -> None:
    backoff = Backoff(1, 6.0, FixedClock())
    for number in range(30_000):
        backoff.failed(f"name {number}")
    assert len(backoff._failures) == 20_000
