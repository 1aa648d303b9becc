"""Progress: what part of a run is done and how long the rest takes, from the counters of its steps.

Steps weigh what they took in earlier runs of the pipeline, in seconds. Without earlier runs the rest is estimated from
what the steps so far take, and until that is known they have fixed shares. All this is a pure function of values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.model.run import Run, Step

_SHARES = {"collectors": 35.0, "processors": 25.0, "storage": 39.0}
_LATER = {"collectors": 0.05, "processors": 0.05, "storage": 0.2}
"""The seconds of a step that has not begun, as a share of those of the steps so far, without earlier runs.

The first pass reads and parses, whichever step needs it; later ones read what it has staged, and many take no time.
"""
_UNESTIMATED = 0.1  # the most that is taken as done by fixed shares: they know nothing of this pipeline
_UNTIMED = 0.95  # the most that is taken as done of a step whose end nobody knows
_LEAST_FRACTION = 0.05  # of a step, before its end is estimated from it
_LEAST_SECONDS = 1.0  # that a run has taken, before its end is estimated without earlier runs
_LONGEST_SECONDS = 30 * 86_400.0
SMOOTHING = 5.0
"""Seconds in which two thirds of a change are followed."""
_DOUBT = 0.1  # the share of the usual time that counts as taken at the usual speed


@dataclass(frozen=True)
class Usual:
    """What a step took in earlier runs: seconds, and the rows that came out (None: unknown)."""

    seconds: float
    rows: float | None = None


@dataclass(frozen=True)
class Outline:
    """The steps of a pipeline, in order. ``usual`` has all of them, or none if there were no earlier runs.

    ``rest`` is how many seconds of earlier runs were not spent in steps.
    """

    steps: tuple[str, ...]
    usual: Mapping[str, Usual]
    rest: float = 0.0

    @classmethod
    def of(cls, steps: Sequence[str], earlier: Iterable[Run] = ()) -> Outline:
        """The outline of a run with these steps. ``earlier`` are completed runs of the pipeline."""
        alike = [run for run in earlier if run.replay_of is None and {s.step for s in run.steps} >= set(steps)]
        if not alike:
            return cls(tuple(steps), {})
        usual = {}
        for name in steps:
            found = [step for run in alike for step in run.steps if step.step == name]
            rows = [step.rows_out for step in found if step.rows_out is not None]
            usual[name] = Usual(_mean([s.duration for s in found]), _mean(rows) if rows else None)
        inside = set(steps)
        rest = [_attempt_seconds(run) - sum(s.duration for s in run.steps if s.step in inside) for run in alike]
        return cls(tuple(steps), usual, max(0.0, _mean(rest)))

    def done(self, steps: Mapping[str, Step]) -> float:
        """The part that is done, 0 to 1; more of any step is never less of the whole."""
        left, total = self._left({n: self._part(n, s) for n, s in steps.items()}), self._left({})
        return min(1.0, max(0.0, 1.0 - left / total)) if total > 0 else 0.0

    def part(self, steps: Mapping[str, Step], elapsed: float) -> float:
        """The part of the run's time that has passed, 0 to 1: ``done``, without earlier runs by ``seconds_left``."""
        if self.usual:
            return self.done(steps)
        left = self.seconds_left(steps, elapsed)
        if left is None:
            return min(_UNESTIMATED, self.done(steps))
        return elapsed / (elapsed + left) if elapsed > 0 else 0.0

    def seconds_left(self, steps: Mapping[str, Step], elapsed: float) -> float | None:
        """The seconds until the run ends, at least 0 and finite; None while that is unknown."""
        left = self._by_the_usual(steps, elapsed) if self.usual else self._by_the_speed(steps)
        if left is None or not math.isfinite(left) or left > _LONGEST_SECONDS:
            return None
        return max(0.0, left)

    def _by_the_usual(self, steps: Mapping[str, Step], elapsed: float) -> float:
        left, total = self._left({n: self._part(n, s) for n, s in steps.items()}), self._left({})
        doubt = _DOUBT * total + 1.0
        return left * (elapsed + doubt) / (total - left + doubt)

    def _by_the_speed(self, steps: Mapping[str, Step]) -> float | None:
        taken = later = side_by_side = left = 0.0
        for name in self.steps:
            step = steps.get(name)
            if step is None:
                later += _LATER.get(_kind(name), 0.0)
                continue
            whole = step.duration
            if step.ended is None:
                if step.fraction is None or step.fraction < _LEAST_FRACTION:
                    return None
                whole = step.duration / step.fraction
                if _kind(name) == "collectors":
                    side_by_side = max(side_by_side, whole - step.duration)
                else:
                    left += whole - step.duration
            taken += whole
        return side_by_side + left + later * taken if taken >= _LEAST_SECONDS else None

    def _left(self, parts: Mapping[str, float]) -> float:
        """The weight of what is not done. Collectors work side by side: the longest counts."""
        lefts = {name: self._weight(name) * (1.0 - parts.get(name, 0.0)) for name in self.steps}
        collecting = [left for name, left in lefts.items() if _kind(name) == "collectors"]
        return max(collecting, default=0.0) + sum(lefts.values()) - sum(collecting) + self.rest

    def _weight(self, name: str) -> float:
        if self.usual:
            return self.usual[name].seconds
        alike = 1 if _kind(name) == "collectors" else sum(_kind(other) == _kind(name) for other in self.steps)
        return _SHARES.get(_kind(name), 0.0) / alike

    def _part(self, name: str, step: Step) -> float:
        if step.ended is not None:
            return 1.0
        if step.fraction is not None:
            return min(1.0, max(0.0, step.fraction))
        usual = self.usual.get(name)
        if usual is None:
            return 0.0
        if usual.rows and step.rows_out is not None:
            return min(_UNTIMED, max(0.0, step.rows_out / usual.rows))
        return min(_UNTIMED, max(0.0, step.duration / usual.seconds)) if usual.seconds > 0 else 0.0


def smoothed(before: float | None, now: float, seconds: float) -> float:
    """An estimate that follows ``now`` within some seconds; ``seconds`` have passed since ``before``."""
    if before is None:
        return now
    found = before + (now - before) * (1.0 - math.exp(-max(0.0, seconds) / SMOOTHING))
    return min(max(found, min(before, now)), max(before, now))  # rounding may leave the interval


def _attempt_seconds(run: Run) -> float:
    last = run.attempts[-1] if run.attempts else None
    if last is not None and last.end_time is not None:
        return (last.end_time - last.start_time).total_seconds()
    return run.duration or 0.0


def _kind(step: str) -> str:
    return step.partition("[")[0]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
