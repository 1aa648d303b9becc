"""Tape: what a run's steps asked of their frames and were answered, kept with the version.

A step that is applied again, to other rows, must not be fitted to them: it is given the answers of before, in the
order in which it asked. That is all that a plan depends on beside configuration, schema and time, so any processor
that keeps to ``Frame`` can be applied to one record, whoever wrote it. A step that gave back the frame that it was
given (it only looked) is kept as such, without its answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import polars as pl

from service.kit import errors
from service.steps.metric import Metric, Values
from service.values import tagged_json


class MetricAnswer(msgspec.Struct, frozen=True):
    """A metric, and its value in the form of ``values.tagged_json``."""

    metric: Metric
    value: Any


class StepRecord(msgspec.Struct):
    """One step: its calls of ``measure``, in order. ``unchanged``: it left the frame as it was."""

    calls: list[list[MetricAnswer]] = []
    unchanged: bool = msgspec.field(default=False, name="looked")  # the name in the files of earlier versions


class FitRecord(msgspec.Struct):
    """All steps of a run. ``schema`` is that of the collected data, ``now`` the time that the steps were told."""

    now: datetime
    schema: list[list[Any]]
    steps: dict[str, StepRecord] = {}
    format: int = 1


def encode(tape: FitRecord) -> bytes:
    return msgspec.json.encode(tape)


def decode(data: bytes) -> FitRecord:
    """Raises ``errors.Permanent`` where the bytes are no tape that this release can read."""
    try:
        return msgspec.json.decode(data, type=FitRecord)
    except msgspec.DecodeError as error:
        raise errors.Permanent(f"what the version keeps of its steps cannot be read: {error}") from error


class StepRecorder:
    """Writes down one step. ``unchanged``: it left the frame as it was."""

    def __init__(self) -> None:
        self.unchanged = False
        self._calls: list[Values] = []

    def note(self, answers: Values) -> None:
        """The answers of one call."""
        self._calls.append(answers)

    def played(self) -> StepRecord:
        """The step as it is kept."""
        if self.unchanged:
            return StepRecord(unchanged=True)
        return StepRecord(
            [[MetricAnswer(m, tagged_json.encode(v)) for m, v in answers.items()] for answers in self._calls]
        )


class Recorder:
    """A tape while it is made, over data of ``schema``. ``now`` is the time that the steps are told.

    ``before`` is a tape that is gone on with: its schema and time stay, and its steps until they are recorded anew.
    """

    def __init__(self, schema: pl.Schema, before: FitRecord | None = None) -> None:
        self.now = datetime.now(UTC) if before is None else before.now
        self._schema = schema
        self._before = before
        self._recorders: dict[str, StepRecorder] = {}

    def recorder(self, step: str) -> StepRecorder:
        """Whom the step's frames tell of their answers."""
        return self._recorders.setdefault(step, StepRecorder())

    def kept(self) -> FitRecord:
        """The tape as it is kept."""
        steps = {step: recorder.played() for step, recorder in self._recorders.items()}
        before = self._before or FitRecord(self.now, tagged_json.encode_schema(self._schema))
        return msgspec.structs.replace(before, steps={**before.steps, **steps})

    def played(self, step: str) -> StepRecord | None:
        """What the step was answered on the tape that is gone on with, if it is there."""
        return self._before.steps.get(step) if self._before is not None else None


class Playback:
    """Answers one step as it was answered."""

    def __init__(self, step: str, played: StepRecord) -> None:
        self._step = step
        self._calls = iter(played.calls)

    def answers(self, metrics: Iterable[Metric]) -> Values:
        """The answers of the next call. Raises ``errors.Permanent`` where other questions were asked then."""
        kept = {a.metric: a.value for a in next(self._calls, [])}
        wanted = list(dict.fromkeys(metrics))
        for metric in wanted:
            if metric not in kept:
                asked = f"{metric.kind} of '{metric.column}'" if metric.column else metric.kind
                raise errors.Permanent(
                    f"the step asks for {asked}, which it did not ask for when the version was made: it has changed "
                    "since; execute the pipeline again", step=self._step,
                )  # fmt: skip
        return {m: tagged_json.decode(kept[m]) for m in wanted}
