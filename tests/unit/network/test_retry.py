"""Retry as a value: how often, how long, and what Retry-After means."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from service.kit import errors
from service.network.retry import Retry, retry_after

NOW = datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)


class Work:
    """Fails with the given errors one after another, then answers 7; remembers how long somebody slept."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.slept: list[float] = []
        self.told: list[tuple[int, float]] = []

    async def __call__(self) -> int:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return 7

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def run(self, retry: Retry) -> int:
        return asyncio.run(retry.run(self, self.sleep, lambda attempt, wait, error: self.told.append((attempt, wait))))


def test_backs_off_exponentially_and_says_so() -> None:
    work = Work(*(errors.Transient("x") for _ in range(4)))
    assert work.run(Retry(max_attempts=5, initial_delay_seconds=1, max_delay_seconds=3)) == 7
    assert [n for n, _ in work.told] == [1, 2, 3, 4]
    assert [wait for _, wait in work.told] == work.slept
    for waited, longest in zip(work.slept, (1, 2, 3, 3), strict=True):
        assert longest / 2 <= waited <= longest


def test_gives_up_with_the_last_error() -> None:
    work = Work(*(errors.Transient(str(n)) for n in range(9)))
    with pytest.raises(errors.Transient, match=r"^2$"):
        work.run(Retry(max_attempts=3, initial_delay_seconds=0))
    assert work.calls == 3


@pytest.mark.parametrize("failure", [errors.Permanent("x"), ValueError("x")])
def test_only_what_may_pass_is_tried_again(failure: Exception) -> None:
    work = Work(failure)
    with pytest.raises(type(failure)):
        work.run(Retry())
    assert (work.calls, work.slept) == (1, [])


def test_keeps_to_what_the_source_asks_unless_that_is_too_long() -> None:
    retry = Retry(max_delay_seconds=60)
    work = Work(errors.Transient("x", delay=17.0), errors.Transient("x", delay=0.0))
    assert work.run(retry) == 7
    assert work.slept == [17.0, 0.0]
    late = Work(errors.Transient("later", delay=61.0))
    with pytest.raises(errors.Transient, match="later") as caught:
        late.run(retry)
    assert caught.value.delay == 61.0
    assert late.calls == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "١٢"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Mon, 23 Nov 2026 10:00:30 GMT"}, 30.0),
        ({"retry-after": "Monday, 23-Nov-26 10:00:30 GMT"}, 30.0),
        ({"retry-after": "Mon Nov 23 10:00:30 2026"}, 30.0),
        ({"retry-after": "Mon, 23 Nov 2026 09:00:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 23 Nov 2026 10:00:30 GMT", "date": "Mon, 23 Nov 2026 10:00:10 GMT"}, 20.0),
        ({"retry-after": "Mon, 23 Nov 2026 10:00:30 GMT", "date": "nonsense"}, 30.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds
