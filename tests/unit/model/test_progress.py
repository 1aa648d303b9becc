"""Laws of progress: bounded, never back, never a number that is none; estimates that follow the truth."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.progress import Outline, smoothed
from service.model.run import AttemptRecord, Run, Step

AT = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["collectors[0]", "collectors[1]", "processors[0]", "processors[1]", "storage[0]"]


def step(name: str, duration: float, fraction: float | None = None, *, ended: bool = False, **more: Any) -> Step:
    return Step(step=name, duration=duration, fraction=fraction, started=AT, ended=AT if ended else None, **more)


def earlier(*durations: float, rest: float = 0.0, rows: int | None = None) -> Run:
    steps = [step(n, d, 1.0, ended=True, rows_out=rows) for n, d in zip(NAMES, durations, strict=False)]
    end = AT + timedelta(seconds=sum(durations) + rest)
    attempts = [AttemptRecord(number=1, start_time=AT, end_time=end)]
    return Run(run_id="r", pipeline="p", revision=1, status="completed", steps=steps, attempts=attempts)


seconds = st.floats(0, 1e9)
fractions = st.none() | st.floats(0, 1)
states = st.builds(
    lambda d, f, e, r: (d, f, e, r), seconds, fractions, st.booleans(), st.none() | st.integers(0, 10**15)
)
progressing = st.lists(states, max_size=len(NAMES)).map(
    lambda found: {n: step(n, d, f, ended=e, rows_out=r) for n, (d, f, e, r) in zip(NAMES, found, strict=False)}
)
outlines = st.one_of(
    st.just(Outline.of(NAMES)),
    st.lists(seconds, min_size=5, max_size=5).flatmap(
        lambda durations: st.builds(
            lambda rest, rows: Outline.of(NAMES, [earlier(*durations, rest=rest, rows=rows)]),
            st.floats(0, 1e6), st.none() | st.integers(0, 10**12),
        )
    ),
)  # fmt: skip


@given(outlines, progressing, seconds)
def test_what_is_done_and_what_is_left_are_numbers(outline: Outline, steps: dict[str, Step], elapsed: float) -> None:
    assert 0 <= outline.done(steps) <= 1
    assert 0 <= outline.part(steps, elapsed) <= 1
    left = outline.seconds_left(steps, elapsed)
    assert left is None or (math.isfinite(left) and 0 <= left <= 30 * 86_400)


@given(outlines, progressing, st.sampled_from(NAMES), st.floats(0, 1), seconds)
def test_more_of_a_step_is_never_less_of_the_run(
    outline: Outline, steps: dict[str, Step], name: str, more: float, later: float
) -> None:
    before = outline.done(steps)
    known = steps.get(name, step(name, 0.0))
    further = msgspec.structs.replace(known, duration=known.duration + later, rows_out=(known.rows_out or 0) + 1)
    if known.fraction is not None:
        further = msgspec.structs.replace(further, fraction=max(known.fraction, more))
    if known.ended is None and (known.fraction is not None or known.rows_out is not None or not outline.usual):
        assert outline.done({**steps, name: further}) >= before - 1e-9
    assert outline.done({**steps, name: msgspec.structs.replace(known, ended=AT)}) >= before - 1e-9


@given(outlines, seconds)
def test_all_steps_ended_leave_nothing_but_the_rest(outline: Outline, elapsed: float) -> None:
    steps = {name: step(name, 1.0, 1.0, ended=True) for name in NAMES}
    whole = outline.done(steps)
    assert whole <= 1
    if not outline.rest:
        assert whole == pytest.approx(1) or not any(usual.seconds for usual in outline.usual.values())


@given(st.none() | st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.floats(-10, 1e9))
def test_smoothing_stays_between_old_and_new(before: float | None, now: float, passed: float) -> None:
    found = smoothed(before, now, passed)
    low, high = (now, now) if before is None else (min(before, now), max(before, now))
    assert low - 1e-6 * abs(low) <= found <= high + 1e-6 * abs(high)


def test_a_run_like_the_last_one_is_estimated_exactly() -> None:
    outline = Outline.of(NAMES, [earlier(4, 10, 20, 6, 30, rest=2)])
    steps = {
        NAMES[0]: step(NAMES[0], 4, 1.0, ended=True), NAMES[1]: step(NAMES[1], 10, 1.0, ended=True),
        NAMES[2]: step(NAMES[2], 10, 0.5),
    }  # fmt: skip
    assert outline.seconds_left(steps, 20) == pytest.approx(10 + 6 + 30 + 0, abs=2.1)
    slow = {name: msgspec.structs.replace(s, duration=2 * s.duration) for name, s in steps.items()}
    left = outline.seconds_left(slow, 40)
    assert left is not None
    assert left == pytest.approx(2 * 48, rel=0.2)
    assert outline.done(slow) == outline.done(steps)


def test_the_time_of_a_step_without_a_fraction_comes_from_its_rows_or_its_seconds() -> None:
    outline = Outline.of(NAMES[:1], [earlier(10, rows=1000)])
    assert outline.done({NAMES[0]: step(NAMES[0], 9, rows_out=250)}) == pytest.approx(0.25)
    assert outline.done({NAMES[0]: step(NAMES[0], 9, rows_out=5000)}) == pytest.approx(0.95)
    without = Outline.of(NAMES[:1], [earlier(10)])
    assert without.done({NAMES[0]: step(NAMES[0], 4)}) == pytest.approx(0.4)
    assert Outline.of(NAMES[:1]).done({NAMES[0]: step(NAMES[0], 4, rows_out=250)}) == 0


def test_without_earlier_runs_the_speed_so_far_counts() -> None:
    outline = Outline.of([NAMES[0], NAMES[4]])
    collecting = {NAMES[0]: step(NAMES[0], 35, 0.5)}
    assert outline.seconds_left(collecting, 35) == pytest.approx(35 + 70 * 0.2)
    assert outline.part(collecting, 35) == pytest.approx(35 / (70 * 1.2))
    assert outline.seconds_left({NAMES[0]: step(NAMES[0], 35)}, 35) is None
    assert outline.part({NAMES[0]: step(NAMES[0], 35)}, 35) == 0
    assert outline.seconds_left({NAMES[0]: step(NAMES[0], 0.1, 0.5)}, 0.1) is None
    assert outline.part({NAMES[0]: step(NAMES[0], 0.1, ended=True)}, 0.1) == pytest.approx(0.1)
    assert outline.seconds_left({}, 10) is None


@pytest.mark.parametrize(
    ("took", "reads"),
    [
        ([0.1, 0.0, 7.7, 0.0, 1.5], "a file that the first pass parses, for an analyzer"),
        ([60.0, 0.1, 1.0, 0.0, 2.0], "pages of an API"),
        ([0.1, 0.0, 0.0, 0.0, 20.0], "a file in the pass of the storage"),
        ([5.0, 20.0, 9.0, 4.0, 6.0], "a database, for steps that need all rows"),
    ],
)
def test_the_end_of_a_first_run_is_not_far_from_the_truth(took: list[float], reads: str) -> None:
    """In the second half of its time: between two thirds of the truth and one and a half of it."""
    outline = Outline.of(NAMES)
    total, elapsed, steps, found = sum(took), 0.0, dict[str, Step](), []
    for name, whole in zip(NAMES, took, strict=True):
        for tenth in range(1, 11):
            steps[name] = step(name, whole * tenth / 10, tenth / 10, ended=tenth == 10)
            now = elapsed + whole * tenth / 10
            left = outline.seconds_left(steps, now)
            if now >= total / 2 and left is not None:
                found.append((now + left) / total)
                assert outline.part(steps, now) == pytest.approx(now / (now + left))
        elapsed += whole
    assert (min(found) > 2 / 3, max(found) < 3 / 2) == (True, True), (reads, min(found), max(found))
    assert found[-1] == pytest.approx(1)


def test_runs_with_other_steps_and_replays_are_no_measure() -> None:
    other = earlier(1, 2)
    replay = msgspec.structs.replace(earlier(1, 2, 3, 4, 5), replay_of=3)
    assert not Outline.of(NAMES, [other, replay]).usual
