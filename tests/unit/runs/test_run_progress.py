"""The progress of an attempt: never back, never 100 before the end, with events that become rarer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.model import pipeline as pipelines
from service.model.registry import Registry
from service.model.run import AttemptRecord, Run, Step
from service.runs.run_progress import RunProgress

AT = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["collectors[0]", "processors[0]", "storage[0]"]
PIPELINE = pipelines.decode(
    {
        "name": "p", "collectors": [{"type": "csv", "file_path": "a.csv"}],
        "processors": [{"type": "cleaner", "config": {"drop_na": True}}],
    },
    Registry.load(),
)  # fmt: skip


def step(name: str, duration: float, fraction: float | None, *, ended: bool = False) -> Step:
    return Step(step=name, duration=duration, fraction=fraction, started=AT, ended=AT if ended else None)


def earlier(*durations: float) -> Run:
    steps = [step(n, d, 1.0, ended=True) for n, d in zip(NAMES, durations, strict=True)]
    attempt = AttemptRecord(number=1, start_time=AT, end_time=AT + timedelta(seconds=sum(durations)))
    return Run(run_id="r", pipeline="p", revision=1, status="completed", steps=steps, attempts=[attempt])


moments = st.lists(
    st.tuples(st.sampled_from(NAMES), st.floats(0, 1e6), st.none() | st.floats(0, 1), st.floats(0, 1e4)), max_size=30
)


@given(moments, st.none() | st.integers(0, 30))
def test_percent_never_goes_back_and_the_end_is_not_in_the_past(
    seen: list[tuple[str, float, float | None, float]], learn_at: int | None
) -> None:
    progress, elapsed, before = RunProgress(PIPELINE), 0.0, 0.0
    for number, (name, duration, fraction, passed) in enumerate(seen):
        if number == learn_at:
            progress.learn([earlier(3, 40, 5)])
        elapsed += passed
        progress.update([step(name, duration, fraction)], elapsed)
        assert before <= progress.percent <= 99
        before = progress.percent
        end = progress.estimated_end(elapsed, AT)
        assert end is None or AT <= end <= AT + timedelta(days=31)


def test_a_run_like_the_last_one_goes_on_evenly_and_ends_when_that_did() -> None:
    progress = RunProgress(PIPELINE)
    progress.learn([earlier(10, 80, 10)])
    found, elapsed = [], 0.0
    for name, duration in zip(NAMES, (10.0, 80.0, 10.0), strict=True):
        for tenth in range(11):
            at = elapsed + duration * tenth / 10
            progress.update([step(name, duration * tenth / 10, tenth / 10, ended=tenth == 10)], at)
            found.append((at, progress.percent))
            end = progress.estimated_end(at, AT)
            assert end is None or abs((end - AT).total_seconds() - (100 - at)) < 5
        elapsed += duration
    assert all(abs(percent - at * 0.99) < 1 for at, percent in found)


def test_events_become_rarer_but_a_new_step_is_told_at_once() -> None:
    progress = RunProgress(PIPELINE)
    told = [at / 10 for at in range(864_000) if progress.is_due("collectors[0]", at / 10)]
    assert len([at for at in told if at < 10]) > 30
    assert len(told) < 20_000
    assert progress.is_due("processors[0]", 86_400.05)
    assert not progress.is_due("processors[0]", 86_400.06)


def test_an_estimate_that_has_passed_is_unknown() -> None:
    progress = RunProgress(PIPELINE)
    progress.learn([earlier(1, 1, 1)])
    progress.update([step("collectors[0]", 0.5, 0.5)], 0.5)
    assert progress.estimated_end(0.5, AT) is not None
    assert progress.estimated_end(1000.0, AT) is None
