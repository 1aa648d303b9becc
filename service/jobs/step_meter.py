"""A step meter: the counters of one step while it executes, and the rates that follow from them."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from service.model.progress import SMOOTHING, smoothed
from service.model.run import Phase, Step


class Rate:
    """How fast a count grows, in units a second, smoothed over some seconds; None before the second look.

    A count that falls begins anew.
    """

    def __init__(self) -> None:
        self.value: float | None = None
        self._first: float | None = None
        self._last: tuple[float, float] | None = None

    def look(self, count: float, at: float) -> float | None:
        """The rate after a look at ``count`` at the time ``at``, in seconds."""
        if self._last is None or self._first is None or count < self._last[0]:
            self._first, self._last, self.value = at, (count, at), None
        elif at > self._last[1]:
            (before, then), self._last = self._last, (count, at)
            now, seconds = (count - before) / (at - then), at - then
            average = now if self.value is None else self.value + (now - self.value) * seconds / (at - self._first)
            self.value = average if at - self._first < SMOOTHING else smoothed(self.value, now, seconds)
        return self.value


class StepMeter:
    """What a step has done so far. Counts only grow; ``fraction`` is None while nobody knows it."""

    def __init__(self, step: str, phase: Phase) -> None:
        self.step, self.phase = step, phase
        self.fraction: float | None = None
        self.rows = 0
        self.bytes_read: int | None = None
        self.bytes_total: int | None = None
        self.bytes_written: int | None = None
        self.counts_rows = self.is_counting = phase == "collecting"
        self._started, self._began = datetime.now(UTC), time.perf_counter()
        self._rows, self._bytes = Rate(), Rate()

    def advance(self, fraction: float) -> None:
        """Note how much is done; it never goes back, and is 1 only at the end."""
        self.fraction = max(self.fraction or 0.0, min(max(fraction, 0.0), 0.999))

    def look(self) -> Step:
        """The step in progress."""
        now = time.perf_counter()
        rows = self.rows if self.counts_rows else None
        total = self.bytes_written if self.bytes_read is None else self.bytes_read
        return Step(
            step=self.step, phase=self.phase, duration=round(now - self._began, 6), started=self._started,
            fraction=None if self.fraction is None else round(self.fraction, 4),
            rows_in=rows if self.phase == "processing" else None, rows_out=None if self.phase == "processing" else rows,
            bytes_read=self.bytes_read, bytes_total=self.bytes_total, bytes_written=self.bytes_written,
            rows_per_second=_rounded(self._rows.look(self.rows, now)) if self.is_counting and self.rows else None,
            bytes_per_second=_rounded(self._bytes.look(total, now)) if total is not None and self.is_counting else None,
        )  # fmt: skip

    def end(self, step: Step) -> Step:
        """The step with the meter's counts; rates are those of the whole step."""
        ended, seconds = datetime.now(UTC), step.duration
        total = self.bytes_written if self.bytes_read is None else self.bytes_read
        rows = step.rows_out if step.rows_out is not None else self.rows
        return Step(
            step=self.step, phase=self.phase, duration=seconds, started=self._started, ended=ended, fraction=1.0,
            rows_in=step.rows_in, rows_out=step.rows_out, staged=len(step.stages), stages=step.stages,
            evidence=step.evidence,
            bytes_read=self.bytes_read, bytes_total=self.bytes_total, bytes_written=self.bytes_written,
            rows_per_second=_rounded(rows / seconds) if self.counts_rows and seconds > 0 else None,
            bytes_per_second=_rounded(total / seconds) if total is not None and seconds > 0 else None,
        )  # fmt: skip


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 1)
