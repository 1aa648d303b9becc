"""RecordingFrame: any frame, with every value of ``measure`` recorded; it changes nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from service.engine.fit_record import StepRecorder
from service.steps.frame import Explain, Frame, JoinHow, Keep, RowLocal
from service.steps.metric import Metric, Values
from service.values.losses import Conversion, LostValues


class RecordingFrame:
    """``frame`` as a step gets it. Frames made from it use the same recorder."""

    def __init__(self, frame: Frame, recorder: StepRecorder) -> None:
        self.frame = frame
        self._recorder = recorder

    def _of(self, frame: Frame) -> RecordingFrame:
        return RecordingFrame(frame, self._recorder)

    @property
    def schema(self) -> pl.Schema:
        return self.frame.schema

    def measure(self, metrics: Iterable[Metric], *, steady: bool = False) -> Values:
        answers = self.frame.measure(metrics, steady=steady)
        self._recorder.note(answers)
        return answers

    def rows(self, step: RowLocal) -> RecordingFrame:
        return self._of(self.frame.rows(step))

    def convert(self, step: str, expressions: Sequence[pl.Expr | Conversion], *, only: bool = False) -> RecordingFrame:
        return self._of(self.frame.convert(step, expressions, only=only))

    @property
    def losses(self) -> Sequence[LostValues]:
        return self.frame.losses

    def on_error(self, explain: Explain) -> RecordingFrame:
        return self._of(self.frame.on_error(explain))

    def distinct(self, keys: Sequence[str] | None = None, *, keep: Keep = "first") -> RecordingFrame:
        return self._of(self.frame.distinct(keys, keep=keep))

    def union(self, others: Sequence[Frame]) -> RecordingFrame:
        return self._of(self.frame.union([bare(o) for o in others]))

    def join(self, other: Frame, on: Sequence[str], *, how: JoinHow = "inner") -> RecordingFrame:
        return self._of(self.frame.join(bare(other), on, how=how))

    def group(
        self, by: Sequence[str], aggregates: Sequence[pl.Expr], *, prepared: Sequence[pl.Expr] = ()
    ) -> RecordingFrame:
        return self._of(self.frame.group(by, aggregates, prepared=prepared))

    def per_group(self, by: Sequence[str], order_by: Sequence[str], made: Sequence[pl.Expr]) -> RecordingFrame:
        return self._of(self.frame.per_group(by, order_by, made))

    def scan(self, parts: Sequence[Path]) -> RecordingFrame:
        return RecordingFrame(self.frame.scan(parts), StepRecorder())

    def query(self, sql: str) -> RecordingFrame:
        return self._of(self.frame.query(sql))

    def with_row_index(self, name: str) -> RecordingFrame:
        return self._of(self.frame.with_row_index(name))

    def sort(self, by: Sequence[str], *, descending: Sequence[bool]) -> RecordingFrame:
        return self._of(self.frame.sort(by, descending=descending))

    def write(
        self, target: Path, *, compression: str, compression_level: int | None, row_group_size: int | None
    ) -> int:
        return self.frame.write(
            target, compression=compression, compression_level=compression_level, row_group_size=row_group_size
        )


def bare(frame: Frame) -> Frame:
    """The frame without a recorder."""
    return frame.frame if isinstance(frame, RecordingFrame) else frame
