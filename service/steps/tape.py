"""Tape: what a run's steps asked of their frames and were answered, kept with the version.

A step that is applied again, to other rows, must not be fitted to them: it is given the answers of before, in the
order in which it asked. That is all that a plan depends on beside configuration, schema and time, so any processor
that keeps to ``Frame`` can be applied to one record, whoever wrote it. A step that gave back the frame that it was
given (it only looked) is kept as such, without its answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
import polars as pl

from service.kit import errors
from service.steps import lossless
from service.steps.metric import Metric, Values


class Answer(msgspec.Struct, frozen=True):
    """A metric, and its value in the form of ``steps.lossless``."""

    metric: Metric
    value: Any


class Played(msgspec.Struct):
    """One step: its calls of ``measure``, in order. ``looked``: it left the frame as it was."""

    calls: list[list[Answer]] = []
    looked: bool = False


class Tape(msgspec.Struct):
    """All steps of a run. ``schema`` is that of the collected data, ``now`` the time that the steps were told."""

    now: datetime
    schema: list[list[Any]]
    steps: dict[str, Played] = {}
    format: int = 1


def started(now: datetime, schema: pl.Schema) -> Tape:
    """An empty tape, for data of this schema."""
    return Tape(now, lossless.plain_schema(schema))


def encode(tape: Tape) -> bytes:
    return msgspec.json.encode(tape)


def decode(data: bytes) -> Tape:
    """Raises ``errors.Permanent`` where the bytes are no tape that this release can read."""
    try:
        return msgspec.json.decode(data, type=Tape)
    except msgspec.DecodeError as error:
        raise errors.Permanent(f"what the version keeps of its steps cannot be read: {error}") from error


class Recorder:
    """Writes down one step."""

    def __init__(self) -> None:
        self.played = Played()

    def note(self, answers: Values) -> None:
        """The answers of one call."""
        self.played.calls.append([Answer(metric, lossless.plain(value)) for metric, value in answers.items()])


class Player:
    """Answers one step as it was answered."""

    def __init__(self, step: str, played: Played) -> None:
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
        return {m: lossless.value(kept[m]) for m in wanted}
