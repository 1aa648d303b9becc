"""The keys of an issuer: fetched once for many, kept through an outage, followed through a rotation, bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from service.kit import errors
from service.kit.clock import FixedClock
from service.kit.issuer_tokens import KeySet
from service.network import issuer_keys
from service.network.issuer_keys import FRESH_SECONDS, PAUSE_SECONDS, IssuerKeys
from tests.issuer import Issuer, issuing, key_set, public, rsa_key

OTHER = key_set(public(rsa_key("two"), "k2"))


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as running:
        yield running


def with_keys(issuer: Issuer, clock: FixedClock, work: Callable[[IssuerKeys], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work(IssuerKeys(issuer.url, clock)))


async def settled(keys: IssuerKeys) -> None:
    """Wait for a look that no request waits for."""
    task = keys._fetching
    assert task is not None
    await task


def test_many_callers_cause_one_look(issuer: Issuer, clock: FixedClock) -> None:
    async def work(keys: IssuerKeys) -> None:
        found = await asyncio.gather(*(keys.current() for _ in range(20)), *(keys.newer() for _ in range(20)))
        assert len({id(known) for known in found}) == 1
        assert len(issuer.hits) == 2
        clock.advance(FRESH_SECONDS)
        assert await keys.current() is found[0]
        assert len(issuer.hits) == 2

    with_keys(issuer, clock, work)


def test_a_missing_key_is_looked_for_once_in_a_while(issuer: Issuer, clock: FixedClock) -> None:
    async def work(keys: IssuerKeys) -> None:
        before = await keys.current()
        issuer.keys = OTHER
        for _ in range(50):  # tokens that name keys of nobody
            assert await keys.newer() is before
        assert len(issuer.hits) == 2
        clock.advance(PAUSE_SECONDS)
        found = await asyncio.gather(*(keys.newer() for _ in range(50)))
        assert {known.document for known in found} == {OTHER}
        assert len(issuer.hits) == 4

    with_keys(issuer, clock, work)


def test_old_keys_are_looked_up_again_while_they_are_used(issuer: Issuer, clock: FixedClock) -> None:
    async def work(keys: IssuerKeys) -> None:
        before = await keys.current()
        before.verified[b"a token"] = Any  # type: ignore[assignment]
        clock.advance(FRESH_SECONDS + 1)
        assert await keys.current() is before
        await settled(keys)
        assert await keys.current() is before  # the same keys: what they verified is still known
        issuer.keys = OTHER
        clock.advance(FRESH_SECONDS + 1)
        assert await keys.current() is before
        await settled(keys)
        after = await keys.current()
        assert (after.document, len(after.verified)) == (OTHER, 0)

    with_keys(issuer, clock, work)


def test_an_outage(issuer: Issuer, clock: FixedClock) -> None:
    async def work(keys: IssuerKeys) -> None:
        issuer.status = 500
        for _ in range(3):
            with pytest.raises(errors.Unavailable) as down:
                await keys.current()
        assert (down.value.error_code, down.value.retry_after, len(issuer.hits)) == ("ISSUER_UNAVAILABLE", 10, 1)
        issuer.status = 200
        clock.advance(PAUSE_SECONDS)
        known = await keys.current()
        issuer.status = 503
        for _ in range(3):
            clock.advance(FRESH_SECONDS + 1)
            assert await keys.current() is known
            await settled(keys)
            clock.advance(PAUSE_SECONDS)
            assert await keys.newer() is known

    with_keys(issuer, clock, work)


def test_a_caller_that_gives_up_takes_nothing_from_the_others(issuer: Issuer, clock: FixedClock) -> None:
    async def work(keys: IssuerKeys) -> None:
        issuer.gate.clear()
        first, second = asyncio.create_task(keys.current()), asyncio.create_task(keys.current())
        await asyncio.sleep(0)  # both wait for the one look
        first.cancel()
        issuer.gate.set()
        assert isinstance(await second, KeySet)
        assert len(issuer.hits) == 2

    with_keys(issuer, clock, work)


def broken(issuer: Issuer, how: str) -> None:
    honest = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"}
    described: dict[str, Any] = {
        "another issuer": {**honest, "issuer": "https://other.test"}, "no key set": {"issuer": issuer.url},
        "a file": {**honest, "jwks_uri": "file:///etc/passwd"}, "a list": [],
        "no URL": {**honest, "jwks_uri": "http://["},
        "a number": {**honest, "jwks_uri": 7}, "nobody there": {**honest, "jwks_uri": "http://127.0.0.1:1/"},
    }  # fmt: skip
    keys = {
        "no keys": key_set(),
        "symmetric keys": key_set({"kty": "oct", "k": "AAAA", "kid": "k1"}),
        "no JSON": b"<html>",
    }
    headers = {"compressed": {"content-encoding": "gzip"}, "wrong length": {"content-length": "99999999"}}
    if how in described:
        issuer.described = json.dumps(described[how]).encode()
    elif how == "too much":
        issuer.described = b" " * (issuer_keys.MOST_BYTES + 1)
    elif how == "deep":
        issuer.described = b"[" * 100_000
    elif how in keys:
        issuer.keys = keys[how]
    elif how == "redirect":
        issuer.status, issuer.headers = 302, {"location": "/elsewhere"}
    else:
        issuer.headers = headers[how]


@pytest.mark.parametrize(
    "how",
    ["another issuer", "no key set", "a file", "a list", "no URL", "a number", "nobody there", "too much", "deep",
     "no keys", "symmetric keys", "no JSON", "redirect", "compressed", "wrong length"],
)  # fmt: skip
def test_what_an_issuer_may_answer(issuer: Issuer, clock: FixedClock, how: str) -> None:
    async def work(keys: IssuerKeys) -> None:
        broken(issuer, how)
        with pytest.raises(errors.Unavailable):
            await keys.current()

    with_keys(issuer, clock, work)


def test_an_issuer_that_stands_still(issuer: Issuer, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(keys: IssuerKeys) -> None:
        monkeypatch.setattr(issuer_keys, "SECONDS", 0.05)
        issuer.gate.clear()
        with pytest.raises(errors.Unavailable):
            await keys.current()

    with_keys(issuer, clock, work)
