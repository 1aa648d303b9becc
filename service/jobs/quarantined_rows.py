"""QuarantinedRows: a frame over the few bad rows of a replay, which do not represent the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import polars as pl

from service.engine import query_sql
from service.engine.fit_record import Playback
from service.engine.polars_frame import PolarsFrame
from service.kit import errors
from service.steps.frame import Keep
from service.steps.metric import Metric, Values


class QuarantinedRows(PolarsFrame):
    """Quarantined rows. With ``measurable`` the step may measure them; else ``playback`` gives it earlier values.

    Without either, ``measure`` raises ``errors.Permanent`` (NEEDS_ALL_ROWS), as do operations over all rows.
    ``compared`` says that the step compared these rows, and no others, with each other.
    """

    measurable = False
    playback: Playback | None = None

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._compared: list[bool] = []  # shared with the frames made from this one

    @property
    def compared(self) -> bool:
        return bool(self._compared)

    def measure(self, metrics: Iterable[Metric], *, steady: bool = False) -> Values:
        wanted = list(metrics)
        if self.measurable or not wanted:
            return super().measure(wanted)
        if self.playback is None:
            self._refuse()
        try:
            return self.playback.answers(wanted)
        except errors.Permanent:
            self._refuse()

    def group(
        self, by: Sequence[str], aggregates: Sequence[pl.Expr], *, prepared: Sequence[pl.Expr] = ()
    ) -> PolarsFrame:
        return super().group(by, aggregates, prepared=prepared) if self.measurable else self._refuse()

    def distinct(self, keys: Sequence[str] | None = None, *, keep: Keep = "first") -> PolarsFrame:
        self._compared.append(True)
        return super().distinct(keys, keep=keep)

    def per_group(self, by: Sequence[str], order_by: Sequence[str], made: Sequence[pl.Expr]) -> PolarsFrame:
        self._compared.append(True)
        return super().per_group(by, order_by, made) if self.measurable else self._refuse()

    def query(self, sql: str) -> PolarsFrame:
        plain = query_sql.local(sql, self.schema, "_")
        return self._refuse() if plain is None else super().query(plain.text)

    def for_step(self, *, measurable: bool, playback: Playback | None = None) -> QuarantinedRows:
        """The same rows for the next step, which may or may not measure them."""
        frame = self._next(self.lazy, expensive=False)
        frame.measurable, frame.playback, frame._compared = measurable, playback, []
        return frame

    def _next(self, lf: pl.LazyFrame, *, expensive: bool, others: Sequence[PolarsFrame] = ()) -> QuarantinedRows:
        frame = super()._next(lf, expensive=expensive, others=others)
        assert isinstance(frame, QuarantinedRows)
        frame.measurable, frame.playback, frame._compared = self.measurable, self.playback, self._compared
        return frame

    def _refuse(self) -> NoReturn:
        raise errors.Permanent(
            "this step was changed or computes from all rows of the data, and a replay has only those in quarantine; "
            "execute the pipeline, which processes all rows with the changed step, or undo the change and replay again",
            code="NEEDS_ALL_ROWS",
        )
