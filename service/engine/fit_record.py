"""Fit record: the metrics that a run's steps asked for, with their values, kept with the version.

A step that is applied again, to other rows, must not be fitted to them: it gets the earlier values, in the order in
which it asked. Apart from configuration, schema and time a plan depends on nothing else, so any processor that keeps
to ``Frame`` can be applied to one record, whoever wrote it. A step that returned the frame that it got (it only read)
is kept as unchanged, without its values.
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
    """A metric and its value in the form of ``values.tagged_json``."""

    metric: Metric
    value: Any


class StepRecord(msgspec.Struct):
    """One step: its calls of ``measure``, in order. ``unchanged``: it returned the frame that it got."""

    calls: list[list[MetricAnswer]] = []
    unchanged: bool = msgspec.field(default=False, name="looked")  # the name in the files of earlier versions


class FitRecord(msgspec.Struct):
    """All steps of a run. ``schema`` is that of the collected data, ``now`` the time that the steps got."""

    now: datetime
    schema: list[list[Any]]
    steps: dict[str, StepRecord] = {}
    format: int = 1


def encode(record: FitRecord) -> bytes:
    """The record as JSON, for the version's folder."""
    return msgspec.json.encode(record)


def decode(data: bytes) -> FitRecord:
    """Raises ``errors.Permanent`` if the bytes are not a record that this release can read."""
    try:
        return msgspec.json.decode(data, type=FitRecord)
    except msgspec.DecodeError as error:
        raise errors.Permanent(f"the fit record of the version cannot be read: {error}") from error


class StepRecorder:
    """Records one step. ``unchanged``: it returned the frame that it got."""

    def __init__(self) -> None:
        self.unchanged = False
        self._calls: list[Values] = []

    def note(self, values: Values) -> None:
        """Record the values of one call of ``measure``."""
        self._calls.append(values)

    def step_record(self) -> StepRecord:
        """The record of the step."""
        if self.unchanged:
            return StepRecord(unchanged=True)
        return StepRecord(
            [[MetricAnswer(m, tagged_json.encode(v)) for m, v in values.items()] for values in self._calls]
        )


class Recorder:
    """Records a run over data of ``schema``. ``now`` is the time that all its steps get.

    With ``before`` it continues an earlier record: its schema and time stay, and so do its steps until they are
    recorded again.
    """

    def __init__(self, schema: pl.Schema, before: FitRecord | None = None) -> None:
        self.now = datetime.now(UTC) if before is None else before.now
        self._schema = schema
        self._before = before
        self._recorders: dict[str, StepRecorder] = {}

    def recorder(self, step: str) -> StepRecorder:
        """The recorder that this step's frames report to."""
        return self._recorders.setdefault(step, StepRecorder())

    def fit_record(self) -> FitRecord:
        """The record of all steps up to now."""
        steps = {step: recorder.step_record() for step, recorder in self._recorders.items()}
        before = self._before or FitRecord(self.now, tagged_json.encode_schema(self._schema))
        return msgspec.structs.replace(before, steps={**before.steps, **steps})

    def earlier(self, step: str) -> StepRecord | None:
        """The step in the record that this one continues, if it is there."""
        return self._before.steps.get(step) if self._before is not None else None


class Playback:
    """Gives one step the values that it got when it was recorded."""

    def __init__(self, step: str, record: StepRecord) -> None:
        self._step = step
        self._calls = iter(record.calls)

    def answers(self, metrics: Iterable[Metric]) -> Values:
        """The values of the next call with these metrics; calls that a replay leaves out are passed over.

        Raises ``errors.Permanent`` if the step asked for other metrics then.
        """
        wanted = list(dict.fromkeys(metrics))
        recorded: dict[Metric, Any] = {}
        for call in self._calls:
            recorded = {_key(a.metric): a.value for a in call}
            if all(_key(metric) in recorded for metric in wanted):
                break
        for metric in wanted:
            if _key(metric) not in recorded:
                name = f"{metric.kind} of '{metric.column}'" if metric.column else metric.kind
                raise errors.Permanent(
                    f"the step asks for {name}, which it did not ask for when the version was made: it has changed "
                    "since; execute the pipeline again", step=self._step,
                )  # fmt: skip
        return {m: tagged_json.decode(recorded[_key(m)]) for m in wanted}


def _key(metric: Metric) -> Metric:
    """What a recorded answer is found by: records of earlier releases have all categories, without a bound."""
    return msgspec.structs.replace(metric, argument=None) if metric.kind == "categories" else metric
