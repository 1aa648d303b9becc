"""Loss tally: the counts of lost values as batches pass, in whichever process executes the plan.

``LossCounter`` makes the plan and reads the counts. A tally is what travels with the plan.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import msgspec
import polars as pl

from service.values.losses import SAMPLES, SHOWN


class Marks(msgspec.Struct, frozen=True):
    """Whether a column has a flag of its own for lost values, and one for values with fewer digits."""

    lost: bool = False
    cut: bool = False


class Counts(msgspec.Struct):
    """``rows`` were seen. By column: lost and known values, and the first samples with their rows, from 1."""

    rows: int = 0
    values: dict[str, tuple[int, int]] = {}
    samples: dict[str, list[tuple[int, str]]] = {}


class Tally:
    """Counts lost values of the columns of ``marks``, whose rows have numbers."""

    def __init__(self, marks: Mapping[str, Marks]) -> None:
        self.counts = Counts()
        self._marks = marks
        self._lock = threading.Lock()

    def add(self, batch: pl.DataFrame) -> None:
        """Count a batch with packed columns; some of them may be missing."""
        with self._lock:
            self.counts.rows += batch.height
        columns = frozenset(batch.columns)
        for name, marks in self._marks.items():
            if name in columns:
                self._add(name, marks, batch.get_column(name))

    def _add(self, name: str, marks: Marks, column: pl.Series) -> None:
        fields = _fields(column)
        source, value = fields.get_column("source"), fields.get_column("value")
        missing = source.null_count()
        flags = fields.get_column("lost") if marks.lost else None
        count = value.null_count() - missing if flags is None else int(flags.sum())
        self._add_count(name, count, len(column) - missing, fields, flags)
        if marks.cut:
            cut = fields.get_column("cut")
            if value.null_count() and cut.any():  # as part of the plan, this would compute the value a second time
                cut = (cut & value.is_not_null()).fill_null(value=False)
            self._add_count(cut_of(name), int(cut.sum()), len(column) - missing, fields, cut)

    def _add_count(self, key: str, count: int, known: int, fields: pl.DataFrame, flags: pl.Series | None) -> None:
        samples = self._first(key, fields, flags) if count else []
        with self._lock:
            before = self.counts.values.get(key, (0, 0))
            self.counts.values[key] = before[0] + count, before[1] + known
            if samples:
                self.counts.samples[key] = sorted([*self.counts.samples.get(key, []), *samples])[:SAMPLES]

    def _first(self, key: str, fields: pl.DataFrame, flags: pl.Series | None) -> list[tuple[int, str]]:
        """The first lost values of a batch with their rows; none where enough are known from rows before it."""
        number, known = fields.get_column("number"), self.counts.samples.get(key, [])
        if len(known) == SAMPLES and known[-1][0] <= number[0]:
            return []
        source, value = fields.get_column("source"), fields.get_column("value")
        places = (value.is_null() & source.is_not_null() if flags is None else flags).arg_true().head(SAMPLES)
        rows, texts = number.gather(places).to_list(), source.gather(places).to_list()
        return [(row + 1, _text(text)) for row, text in zip(rows, texts, strict=True)]


def cut_of(name: str) -> str:
    """The key of the counts of values with fewer digits."""
    return f"{name} cut"


def _fields(column: pl.Series) -> pl.DataFrame:
    fields = column.struct.unnest()  # a tenth of the time of one field after another, or of a frame's unnest
    return fields.hstack(fields.get_column("both").struct.unnest()) if "both" in fields.columns else fields


def _text(value: object) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
