"""Laws of rates, and what a meter says of its step."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.jobs.step_meter import Rate, StepMeter
from service.model.run import Step


@given(st.lists(st.tuples(st.floats(0, 1e12), st.floats(0, 1e5)), max_size=30))
def test_a_rate_is_a_number_within_what_was_seen(looks: list[tuple[float, float]]) -> None:
    rate, at = Rate(), 0.0
    seen: list[float] = []
    last: tuple[float, float] | None = None
    for count, passed in looks:
        at += passed
        if last is not None and count >= last[0] and at > last[1]:
            seen.append((count - last[0]) / (at - last[1]))
        if last is None or count < last[0] or at > last[1]:
            last = count, at
        value = rate.look(count, at)
        assert value is None or (math.isfinite(value) and 0 <= value <= max(seen) * (1 + 1e-9))


def test_a_steady_count_has_its_rate_from_the_second_look() -> None:
    rate = Rate()
    assert rate.look(0, 10) is None
    assert [rate.look(100 * n, 10 + n) for n in range(1, 30)] == [pytest.approx(100)] * 29


def test_a_rate_follows_a_change_within_seconds() -> None:
    rate = Rate()
    for n in range(20):
        rate.look(100 * n, n)
    found = [rate.look(1900 + 300 * n, 19 + n) or 0 for n in range(1, 20)]
    assert found == sorted(found)
    assert found[0] < 200 < found[6]
    assert found[-1] == pytest.approx(300, rel=0.05)


@given(st.lists(st.floats(allow_nan=False), max_size=20))
def test_a_fraction_never_goes_back_and_is_1_only_at_the_end(parts: list[float]) -> None:
    meter = StepMeter("collectors[0]", "collecting")
    before = 0.0
    for part in parts:
        meter.advance(part)
        found = meter.look().fraction
        assert found is not None
        assert before <= found < 1
        before = found
    assert meter.end(Step(step="collectors[0]", duration=2.0)).fraction == 1.0


def test_the_end_of_a_collector() -> None:
    meter = StepMeter("collectors[0]", "collecting")
    assert meter.look().fraction is None
    meter.rows, meter.bytes_read, meter.bytes_total = 300, 2000, 4000
    seen = meter.look()
    assert (seen.rows_out, seen.bytes_read, seen.bytes_total, seen.ended) == (300, 2000, 4000, None)
    ended = meter.end(Step(step="collectors[0]", duration=2.0, rows_out=500, evidence={"pages": 3}))
    assert (ended.rows_per_second, ended.bytes_per_second, ended.evidence) == (250, 1000, {"pages": 3})
    assert ended.started is not None
    assert ended.ended is not None
    assert ended.started <= ended.ended
