"""ReplayFrame: the frame with which a step of a stored version describes what it does to a record that stands alone.

It has columns and no rows: each operation is noted (``operations``), to be done to records later and any number of
times (``engine.row_operations``). ``measure`` returns the values that the version was made with
(``engine.fit_record``), so that row-local steps do to a record what they did to the rows then. Operations that need
other rows are *skipped*, with a note:

* ``sort`` and ``distinct`` leave the records as they are; ``per_group`` and ``with_row_index`` see each record as the
  only row, so that types and later steps are right; a single record has no duplicate and no row before it, and fills
  nothing;
* ``join`` and ``union`` keep the records; the columns of the other side are null;
* ``group``, and a ``query`` that is not a plain SELECT, lead *elsewhere*: to rows that are not records. Such a frame
  has the schema that it would have; if a step ends there, the records stop before it (``origin``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from service.engine import query_sql
from service.engine.fit_record import Playback
from service.engine.polars_frame import PolarsFrame
from service.engine.row_operations import Operation, unused_name
from service.steps.frame import Explain, Frame, JoinHow, Keep, RowLocal
from service.steps.metric import Metric, Values
from service.values import polars_errors
from service.values.losses import Conversion, LostValues, plain_values

_ALONE = "each record stands alone here"


@dataclass(frozen=True)
class Skipped:
    """A whole-frame operation that was skipped: its name, the columns that it would have made, and the reason."""

    operation: str
    columns: tuple[str, ...]
    reason: str


class ReplayFrame:
    """The columns ``schema`` of records, and the ``operations`` that make them of those that a step begins with."""

    def __init__(
        self,
        schema: pl.Schema,
        playback: Playback,
        folder: Path,
        *,
        operations: tuple[Operation, ...] = (),
        skipped: tuple[Skipped, ...] = (),
        origin: ReplayFrame | None = None,
    ) -> None:
        self.schema = schema
        self.operations = operations
        self.skipped = skipped
        self.origin = origin
        self._playback = playback
        self._folder = folder

    def _next(self, step: RowLocal, *notes: Skipped, marking: RowLocal | None = None) -> ReplayFrame:
        """The frame after one more operation."""
        with polars_errors.attributed(None):
            schema = step(pl.LazyFrame(schema=self.schema)).collect_schema()
        return ReplayFrame(
            schema, self._playback, self._folder, operations=(*self.operations, Operation(step, marking)),
            skipped=(*self.skipped, *notes), origin=self.origin,
        )  # fmt: skip

    def _same(self, note: Skipped) -> ReplayFrame:
        """The same records, and a note."""
        return ReplayFrame(
            self.schema, self._playback, self._folder, operations=self.operations, skipped=(*self.skipped, note),
            origin=self.origin,
        )  # fmt: skip

    def _elsewhere(self, schema: pl.Schema, note: Skipped | None = None) -> ReplayFrame:
        """A frame of rows that are not records: only its schema is known."""
        notes = self.skipped if note is None else (*self.skipped, note)
        return ReplayFrame(schema, self._playback, self._folder, skipped=notes, origin=self.origin or self)

    def _empty(self) -> PolarsFrame:
        return _empty(self, self._folder)

    def measure(self, metrics: Iterable[Metric], *, steady: bool = False) -> Values:
        return self._playback.answers(metrics)

    def rows(self, step: RowLocal) -> ReplayFrame:
        if self.origin is not None:
            return self._elsewhere(self._empty().rows(step).schema)
        return self._next(step)

    def convert(self, step: str, expressions: Sequence[pl.Expr | Conversion], *, only: bool = False) -> ReplayFrame:
        values = plain_values(expressions)
        return self.rows(lambda lf: lf.select(values) if only else lf.with_columns(values))

    @property
    def losses(self) -> Sequence[LostValues]:
        return ()  # of records nothing is counted: each shows its own values

    def on_error(self, explain: Explain) -> ReplayFrame:
        return self  # the error of a record is that of its operation

    def distinct(self, keys: Sequence[str] | None = None, *, keep: Keep = "first") -> ReplayFrame:
        return self._same(Skipped("distinct", (), f"{_ALONE}, and so does its key"))

    def union(self, others: Sequence[Frame]) -> ReplayFrame:
        frame = self._empty().union([_empty(o, self._folder) for o in others])
        return self._widened(frame.schema, Skipped("union", self._new(frame), "only the records are used"))

    def join(self, other: Frame, on: Sequence[str], *, how: JoinHow = "inner") -> ReplayFrame:
        frame = self._empty().join(_empty(other, self._folder), on, how=how)
        return self._widened(
            frame.schema,
            Skipped("join", self._new(frame), "the rows of the other side are not stored with the version"),
        )

    def group(
        self, by: Sequence[str], aggregates: Sequence[pl.Expr], *, prepared: Sequence[pl.Expr] = ()
    ) -> ReplayFrame:
        frame = self._empty().group(by, aggregates, prepared=prepared)
        return self._elsewhere(frame.schema, Skipped("group", (), "a group is made of many rows"))

    def per_group(self, by: Sequence[str], order_by: Sequence[str], made: Sequence[pl.Expr]) -> ReplayFrame:
        names = tuple(e.meta.output_name() for e in made)
        place = unused_name(self.schema)
        alone = [e.over(place) for e in made]
        return self._next(
            lambda lf: lf.with_row_index(place).with_columns(alone).drop(place), Skipped("per_group", names, _ALONE)
        )

    def scan(self, parts: Sequence[Path]) -> PolarsFrame:
        """Other data stays as it is: ``join`` uses only its columns."""
        return self._empty().scan(parts)

    def query(self, sql: str) -> ReplayFrame:
        local = query_sql.local(sql, self.schema, unused_name(self.schema))
        if local is None or self.origin is not None:
            note = Skipped("query", (), "its rows are made of many rows, or it sorts them")
            return self._elsewhere(query_sql.described(sql, self.schema).schema, note)
        notes = [Skipped("sort", (), _ALONE)] if local.ordered else []
        return self._next(_selected(local.text), *notes, marking=_selected(local.marked))

    def with_row_index(self, name: str) -> ReplayFrame:
        first = pl.lit(0, dtype=pl.get_index_type()).alias(name)
        return self._next(lambda lf: lf.select(first, pl.all()), Skipped("with_row_index", (name,), _ALONE))

    def sort(self, by: Sequence[str], *, descending: Sequence[bool]) -> ReplayFrame:
        return self._same(Skipped("sort", (), _ALONE))

    def write(
        self, target: Path, *, compression: str, compression_level: int | None, row_group_size: int | None
    ) -> int:
        """Writes nothing: records are not stored."""
        return 0

    def _new(self, frame: PolarsFrame) -> tuple[str, ...]:
        return tuple(n for n in frame.schema if n not in self.schema)

    def _widened(self, schema: pl.Schema, note: Skipped) -> ReplayFrame:
        """The records with the columns of ``schema``, null if they do not have them."""
        columns = [pl.col(n).cast(t) if n in self.schema else pl.lit(None, dtype=t).alias(n) for n, t in schema.items()]
        return self._next(lambda lf: lf.select(columns), note)


def _selected(sql: str) -> RowLocal:
    """A SELECT over one row at a time as a step."""

    def step(lf: pl.LazyFrame) -> pl.LazyFrame:
        rows = lf.collect()
        try:
            return query_sql.over_rows(query_sql.described(sql, rows.schema), rows).lazy()
        except ValueError as error:
            raise polars_errors.placed(str(error), None) from None

    return step


def _empty(frame: Frame, folder: Path) -> PolarsFrame:
    return PolarsFrame(pl.LazyFrame(schema=frame.schema), folder, expensive=False)
