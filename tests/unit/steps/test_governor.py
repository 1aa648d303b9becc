"""The pace towards a host, on a clock that tests move."""

from __future__ import annotations

import pytest

from service.steps.governor import Governor, exhausted


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_requests_keep_their_distance() -> None:
    clock = Clock()
    governor = Governor(clock)
    assert [governor.reserve(0.5) for _ in range(3)] == [0.0, 0.5, 1.0]
    clock.now += 10
    assert governor.reserve(0.5) == 0.0
    assert Governor(clock).reserve(0.0) == 0.0


def test_a_pause_holds_for_everybody_and_is_never_shortened() -> None:
    clock = Clock()
    governor = Governor(clock)
    governor.pause(5)
    governor.pause(1)
    assert governor.reserve(0.0) == 5.0
    clock.now += 5
    assert governor.reserve(0.0) == 0.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "30"}, 30.0),
        ({"ratelimit-remaining": "1", "ratelimit-reset": "30"}, None),
        ({"ratelimit-remaining": "0"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000060"}, 60.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1699999990"}, 0.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1e999"}, None),
        ({"ratelimit": '"default";r=0;t=12'}, 12.0),
        ({"ratelimit": '"default";r=5;t=12'}, None),
    ],
)
def test_an_exhausted_limit_says_when_it_is_renewed(headers: dict[str, str], seconds: float | None) -> None:
    assert exhausted(headers, now=1_700_000_000) == seconds
