"""The progress of one attempt: its steps as its worker reports them, the part that is done, and the estimated end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from service.model.pipeline import Pipeline
from service.model.progress import Outline, smoothed
from service.model.run import Run, Step

_LEARNING_SECONDS = 1.0  # a run that is over sooner needs no estimate
_MOST = 99.0  # percent; only the commit makes it 100
_MOST_UNLEARNT = 10.0  # earlier runs may show that what is done was little
_LEAST_INTERVAL, _LONGEST_INTERVAL = 0.25, 5.0  # seconds between two progress events
_EVENTS = 500  # as many progress events come evenly before they become rarer


class RunProgress:
    """What is known of one attempt. Times are in seconds since it began. ``percent`` never goes back."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.percent = 0.0
        self.learnt = False
        self._names = _steps_of(pipeline)
        self._outline = Outline.of(self._names)
        self._steps: dict[str, Step] = {}
        self._end: float | None = None
        self._updated = 0.0
        self._noted = -math.inf
        self._step = ""

    def wants_earlier_runs(self, elapsed: float) -> bool:
        """Whether the run takes long enough to compare it with earlier ones."""
        return not self.learnt and elapsed >= _LEARNING_SECONDS

    def learn(self, earlier: Sequence[Run]) -> None:
        """Weigh the steps by what they took in earlier runs of the pipeline, if they had the same ones."""
        self.learnt = True
        self._outline = Outline.of(self._names, earlier)

    @property
    def steps(self) -> list[Step]:
        """The steps that have begun, in the order in which they did."""
        return list(self._steps.values())

    def update(self, steps: Sequence[Step], elapsed: float) -> None:
        """Note the steps that have changed."""
        self._steps.update((step.step, step) for step in steps)
        most = _MOST if self.learnt else _MOST_UNLEARNT
        self.percent = max(self.percent, round(min(most, _MOST * self._outline.part(self._steps, elapsed)), 1))
        left = self._outline.seconds_left(self._steps, elapsed)
        self._end = None if left is None else smoothed(self._end, elapsed + left, elapsed - self._updated)
        self._updated = elapsed

    def estimated_end(self, elapsed: float, now: datetime) -> datetime | None:
        """When the attempt will probably end; None while that is unknown, or if it should have ended already."""
        if self._end is None or self._end <= elapsed:
            return None
        return now + timedelta(seconds=self._end - elapsed)

    def is_due(self, step: str, elapsed: float) -> bool:
        """Whether listeners should be told: of another step at once, else more and more rarely."""
        interval = min(max(_LEAST_INTERVAL, elapsed / _EVENTS), _LONGEST_INTERVAL)
        if step == self._step and elapsed - self._noted < interval:
            return False
        self._step, self._noted = step, elapsed
        return True


def _steps_of(pipeline: Pipeline) -> list[str]:
    """The steps that an attempt will report; native forms follow after its commit."""
    base = next((index for index, storage in enumerate(pipeline.storage) if not storage.deferred), 0)
    collectors = [f"collectors[{index}]" for index in range(len(pipeline.collectors))]
    processors = [f"processors[{index}]" for index in range(len(pipeline.processors))]
    return [*collectors, *processors, f"storage[{base}]"]
