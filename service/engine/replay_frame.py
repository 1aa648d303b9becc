"""ReplayedFrame: a few records that go the way of a stored version, each as if it stood alone.

``measure`` gives the answers that the version was made with (``engine.fit_record``), so that row-local steps do to a
record what they did to the rows then. What needs other rows cannot be done and is *skipped*, with a note of it:

* ``sort`` and ``distinct`` leave the records as they are; ``per_group`` and ``with_row_index`` see each record as the
  only row, so that types and later steps are right; a single record has no duplicate and no row before it, and fills
  nothing;
* ``join`` and ``union`` keep the records; what columns come with the other side are missing;
* ``group``, and a ``query`` that is no plain SELECT, lead *elsewhere*: to rows that are no records. Such a frame has
  the schema that it would have, and no rows; where a step ends there, the records go no further (``origin``).

Every operation is executed at once: the frames are small, and after each it is known which record each row came from.
A row-local step that makes several rows of one record is followed where it does not drop others at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from service.engine import query_sql
from service.engine.fit_record import Playback
from service.engine.polars_frame import PolarsFrame
from service.kit import errors
from service.steps.frame import Explain, Frame, JoinHow, Keep, RowLocal
from service.steps.metric import Metric, Values
from service.values import polars_errors

_ALONE = "each record stands alone here"


@dataclass(frozen=True)
class Skipped:
    """A whole-frame operation that was not done: its name, the columns that it would have made, and why."""

    operation: str
    columns: tuple[str, ...]
    reason: str


class ReplayedFrame:
    """``data`` are the rows, ``places`` the record that each came from (uint32), in the same order."""

    def __init__(
        self,
        data: pl.DataFrame,
        places: pl.Series,
        player: Playback,
        folder: Path,
        *,
        skipped: tuple[Skipped, ...] = (),
        origin: ReplayedFrame | None = None,
    ) -> None:
        self.data = data
        self.places = places
        self.skipped = skipped
        self.origin = origin
        self._player = player
        self._folder = folder

    @property
    def schema(self) -> pl.Schema:
        return self.data.schema

    def _next(self, data: pl.DataFrame, *notes: Skipped, places: pl.Series | None = None) -> ReplayedFrame:
        there = self.places if places is None else places
        more = (*self.skipped, *notes)
        return ReplayedFrame(data, there, self._player, self._folder, skipped=more, origin=self.origin)

    def _empty(self) -> PolarsFrame:
        return PolarsFrame(self.data.clear().lazy(), self._folder, expensive=False)

    def _elsewhere(self, frame: PolarsFrame, note: Skipped | None = None) -> ReplayedFrame:
        """Rows that are no records: only their schema is known."""
        notes = self.skipped if note is None else (*self.skipped, note)
        return ReplayedFrame(
            frame.lazy.collect().clear(), self.places.clear(), self._player, self._folder,
            skipped=notes, origin=self.origin or self,
        )  # fmt: skip

    def measure(self, metrics: Iterable[Metric]) -> Values:
        return self._player.answers(metrics)

    def rows(self, step: RowLocal) -> ReplayedFrame:
        if self.origin is not None:
            return self._elsewhere(self._empty().rows(step))
        return self._local(step, step)

    def on_error(self, explain: Explain) -> ReplayedFrame:
        return self  # what fails has failed already

    def distinct(self, keys: Sequence[str] | None = None, *, keep: Keep = "first") -> ReplayedFrame:
        return self._next(self.data, Skipped("distinct", (), f"{_ALONE}, and so does its key"))

    def union(self, others: Sequence[Frame]) -> ReplayedFrame:
        frame = self._empty().union([_schema_of(o, self._folder) for o in others])
        return self._fitted(frame.schema, Skipped("union", _new(self, frame), "only the records are looked at"))

    def join(self, other: Frame, on: Sequence[str], *, how: JoinHow = "inner") -> ReplayedFrame:
        frame = self._empty().join(_schema_of(other, self._folder), on, how=how)
        return self._fitted(frame.schema, Skipped("join", _new(self, frame), "the other side is not kept"))

    def group(
        self, by: Sequence[str], aggregates: Sequence[pl.Expr], *, prepared: Sequence[pl.Expr] = ()
    ) -> ReplayedFrame:
        frame = self._empty().group(by, aggregates, prepared=prepared)
        return self._elsewhere(frame, Skipped("group", (), "a group is made of many rows"))

    def per_group(self, by: Sequence[str], order_by: Sequence[str], made: Sequence[pl.Expr]) -> ReplayedFrame:
        names = tuple(e.meta.output_name() for e in made)
        place = _unused(self.schema)
        alone = [e.over(place) for e in made]
        with_row_index = self.data.with_row_index(place).lazy().with_columns(alone).drop(place)
        with polars_errors.attributed(None):
            return self._next(with_row_index.collect(), Skipped("per_group", names, _ALONE))

    def scan(self, parts: Sequence[Path]) -> PolarsFrame:
        """Other data is looked at as it is: ``join`` takes no more of it than its columns."""
        return self._empty().scan(parts)

    def query(self, sql: str) -> ReplayedFrame:
        local = query_sql.local(sql, self.schema, _unused(self.schema))
        if local is None or self.origin is not None:
            note = Skipped("query", (), "its rows are made of many rows, or in an order of their own")
            return self._elsewhere(PolarsFrame(pl.LazyFrame(schema=query_sql.described(sql, self.schema).schema),
                                               self._folder, expensive=False), note)  # fmt: skip
        frame = self._local(_selected(local.text), marking=_selected(local.marked))
        return frame._next(frame.data, Skipped("sort", (), _ALONE)) if local.ordered else frame

    def with_row_index(self, name: str) -> ReplayedFrame:
        first = pl.lit(0, dtype=pl.get_index_type()).alias(name)
        return self._next(self.data.select(first, pl.all()), Skipped("with_row_index", (name,), _ALONE))

    def sort(self, by: Sequence[str], *, descending: Sequence[bool]) -> ReplayedFrame:
        return self._next(self.data, Skipped("sort", (), _ALONE))

    def write(
        self, target: Path, *, compression: str, compression_level: int | None, row_group_size: int | None
    ) -> int:
        """Nothing is written: nothing is stored of records that are only looked at."""
        return 0

    # -- which record a row came from ---------------------------------------------------------------------------

    def _local(self, step: RowLocal, marking: RowLocal) -> ReplayedFrame:
        """The rows that ``step`` makes; ``marking`` is the same and keeps a column more, where it can."""
        made = self._applied(step)
        if made.height == self.data.height:
            return self._next(made)
        return self._next(made, places=self._kept(step, marking, made))

    def _applied(self, step: RowLocal) -> pl.DataFrame:
        """The step over all rows. Where it fails, the error names the first record that it fails on."""
        try:
            return _done(step, self.data)
        except polars_errors.FOREIGN as error:
            first, last = 0, self.data.height
            while last - first > 1:
                middle = (first + last) // 2
                failed = _fails(step, self.data.slice(first, middle - first))
                first, last = (first, middle) if failed else (middle, last)
            known = polars_errors.translate(error, None)
            if self.data.height:
                try:
                    _done(step, self.data.slice(first, 1))
                except polars_errors.FOREIGN as own:
                    known = polars_errors.translate(own, None)
                known.details["record"] = self.places[first]
            raise known from error

    def _kept(self, step: RowLocal, marking: RowLocal, made: pl.DataFrame) -> pl.Series:
        """The records that the rows of ``made`` came from: by a column more, or else by trying."""
        if not made.height:
            return self.places.clear()
        name = _unused(self.schema)
        try:
            marked = _done(marking, self.data.with_columns(self.places.alias(name)))
        except polars_errors.FOREIGN:
            marked = made
        if name in marked.columns:
            found, rest = marked[name], marked.drop(name)
            if found.dtype == self.places.dtype and found.is_sorted() and rest.equals(made, null_equal=True):
                return found.alias(self.places.name)
        return self.places.gather(_followed(step, self.data, 0, made.height))

    def _fitted(self, schema: pl.Schema, note: Skipped) -> ReplayedFrame:
        """The rows with the columns of ``schema``, missing where they came from somewhere else."""
        columns = [pl.col(n).cast(t) if n in self.schema else pl.lit(None, dtype=t).alias(n) for n, t in schema.items()]
        return self._next(self.data.select(columns), note)


def _selected(sql: str) -> RowLocal:
    """A SELECT over one row at a time as a step."""

    def step(lf: pl.LazyFrame) -> pl.LazyFrame:
        rows = lf.collect()
        try:
            return query_sql.over_rows(query_sql.described(sql, rows.schema), rows).lazy()
        except ValueError as error:
            raise polars_errors.placed(str(error), None) from None

    return step


def _followed(step: RowLocal, data: pl.DataFrame, start: int, height: int) -> list[int]:
    """The rows (from ``start``) that the ``height`` rows made of ``data`` came from, found by halving."""
    if not height:
        return []
    if height == data.height or data.height == 1:
        return list(range(start, start + data.height)) if height == data.height else [start] * height
    middle = data.height // 2
    upper = _done(step, data.head(middle)).height
    return [
        *_followed(step, data.head(middle), start, upper),
        *_followed(step, data.slice(middle), start + middle, height - upper),
    ]


def _done(step: RowLocal, data: pl.DataFrame) -> pl.DataFrame:
    """The step over the rows. One row goes twice: the engine's arithmetic for a single value may differ by a bit."""
    if data.height != 1:
        return step(data.lazy()).collect()
    made = step(pl.concat([data, data]).lazy()).collect()
    return made.head(made.height // 2)


def _fails(step: RowLocal, data: pl.DataFrame) -> bool:
    try:
        _done(step, data)
    except polars_errors.FOREIGN:
        return True
    return False


def _schema_of(frame: Frame, folder: Path) -> PolarsFrame:
    return PolarsFrame(pl.LazyFrame(schema=frame.schema), folder, expensive=False)


def _new(frame: ReplayedFrame, made: PolarsFrame) -> tuple[str, ...]:
    return tuple(n for n in made.schema if n not in frame.schema)


def _unused(schema: pl.Schema) -> str:
    name = "__record"
    while name in schema:
        name = f"_{name}"
    return name


def refused(error: errors.StepError) -> errors.Invalid | None:
    """The error as the caller's, where it lies in one of the records; None where it does not."""
    place = error.details.get("record")
    if place is None:
        return None
    step, setting = error.details.get("step"), error.details.get("field")
    details: dict[str, Any] = {"step": step, "setting": f"{step}.{setting}" if step and setting else setting}
    return errors.Invalid(f"records[{place}]: {error.message}", field=f"records[{place}]", **details)
