"""ReplayFrame: a few records that pass through the steps of a stored version, each on its own.

``measure`` returns the values that the version was made with (``engine.fit_record``), so that row-local steps do to a
record what they did to the rows then. Operations that need other rows are *skipped*, with a note:

* ``sort`` and ``distinct`` leave the records as they are; ``per_group`` and ``with_row_index`` see each record as the
  only row, so that types and later steps are right; a single record has no duplicate and no row before it, and fills
  nothing;
* ``join`` and ``union`` keep the records; the columns of the other side are null;
* ``group``, and a ``query`` that is not a plain SELECT, lead *elsewhere*: to rows that are not records. Such a frame
  has the schema that it would have, and no rows; if a step ends there, the records stop before it (``origin``).

Every operation is executed at once: the frames are small, and after each the record of every row is known. If a
row-local step makes several rows of one record, they are traced back unless it drops others at the same time.
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
from service.values.losses import Conversion, LostValues, plain_values

_ALONE = "each record stands alone here"


@dataclass(frozen=True)
class Skipped:
    """A whole-frame operation that was skipped: its name, the columns that it would have made, and the reason."""

    operation: str
    columns: tuple[str, ...]
    reason: str


class ReplayFrame:
    """``data`` are the rows, ``places`` the index of the record of each row (uint32), in the same order."""

    def __init__(
        self,
        data: pl.DataFrame,
        places: pl.Series,
        playback: Playback,
        folder: Path,
        *,
        skipped: tuple[Skipped, ...] = (),
        origin: ReplayFrame | None = None,
    ) -> None:
        self.data = data
        self.places = places
        self.skipped = skipped
        self.origin = origin
        self._playback = playback
        self._folder = folder

    @property
    def schema(self) -> pl.Schema:
        return self.data.schema

    def _next(self, data: pl.DataFrame, *notes: Skipped, places: pl.Series | None = None) -> ReplayFrame:
        places = self.places if places is None else places
        more = (*self.skipped, *notes)
        return ReplayFrame(data, places, self._playback, self._folder, skipped=more, origin=self.origin)

    def _empty(self) -> PolarsFrame:
        return PolarsFrame(self.data.clear().lazy(), self._folder, expensive=False)

    def _elsewhere(self, frame: PolarsFrame, note: Skipped | None = None) -> ReplayFrame:
        """A frame of rows that are not records: only its schema is known."""
        notes = self.skipped if note is None else (*self.skipped, note)
        return ReplayFrame(
            frame.lazy.collect().clear(), self.places.clear(), self._playback, self._folder,
            skipped=notes, origin=self.origin or self,
        )  # fmt: skip

    def measure(self, metrics: Iterable[Metric]) -> Values:
        return self._playback.answers(metrics)

    def rows(self, step: RowLocal) -> ReplayFrame:
        if self.origin is not None:
            return self._elsewhere(self._empty().rows(step))
        return self._local(step, step)

    def convert(self, step: str, expressions: Sequence[pl.Expr | Conversion], *, only: bool = False) -> ReplayFrame:
        values = plain_values(expressions)
        return self.rows(lambda lf: lf.select(values) if only else lf.with_columns(values))

    @property
    def losses(self) -> Sequence[LostValues]:
        return ()  # of records nothing is counted: each shows its own values

    def on_error(self, explain: Explain) -> ReplayFrame:
        return self  # every operation has been executed already

    def distinct(self, keys: Sequence[str] | None = None, *, keep: Keep = "first") -> ReplayFrame:
        return self._next(self.data, Skipped("distinct", (), f"{_ALONE}, and so does its key"))

    def union(self, others: Sequence[Frame]) -> ReplayFrame:
        frame = self._empty().union([_schema_of(o, self._folder) for o in others])
        return self._with_schema(frame.schema, Skipped("union", _new(self, frame), "only the records are used"))

    def join(self, other: Frame, on: Sequence[str], *, how: JoinHow = "inner") -> ReplayFrame:
        frame = self._empty().join(_schema_of(other, self._folder), on, how=how)
        return self._with_schema(
            frame.schema,
            Skipped("join", _new(self, frame), "the rows of the other side are not stored with the version"),
        )

    def group(
        self, by: Sequence[str], aggregates: Sequence[pl.Expr], *, prepared: Sequence[pl.Expr] = ()
    ) -> ReplayFrame:
        frame = self._empty().group(by, aggregates, prepared=prepared)
        return self._elsewhere(frame, Skipped("group", (), "a group is made of many rows"))

    def per_group(self, by: Sequence[str], order_by: Sequence[str], made: Sequence[pl.Expr]) -> ReplayFrame:
        names = tuple(e.meta.output_name() for e in made)
        place = _unused(self.schema)
        alone = [e.over(place) for e in made]
        with_row_index = self.data.with_row_index(place).lazy().with_columns(alone).drop(place)
        with polars_errors.attributed(None):
            return self._next(with_row_index.collect(), Skipped("per_group", names, _ALONE))

    def scan(self, parts: Sequence[Path]) -> PolarsFrame:
        """Other data stays as it is: ``join`` uses only its columns."""
        return self._empty().scan(parts)

    def query(self, sql: str) -> ReplayFrame:
        local = query_sql.local(sql, self.schema, _unused(self.schema))
        if local is None or self.origin is not None:
            note = Skipped("query", (), "its rows are made of many rows, or it sorts them")
            return self._elsewhere(PolarsFrame(pl.LazyFrame(schema=query_sql.described(sql, self.schema).schema),
                                               self._folder, expensive=False), note)  # fmt: skip
        frame = self._local(_selected(local.text), marking=_selected(local.marked))
        return frame._next(frame.data, Skipped("sort", (), _ALONE)) if local.ordered else frame

    def with_row_index(self, name: str) -> ReplayFrame:
        first = pl.lit(0, dtype=pl.get_index_type()).alias(name)
        return self._next(self.data.select(first, pl.all()), Skipped("with_row_index", (name,), _ALONE))

    def sort(self, by: Sequence[str], *, descending: Sequence[bool]) -> ReplayFrame:
        return self._next(self.data, Skipped("sort", (), _ALONE))

    def write(
        self, target: Path, *, compression: str, compression_level: int | None, row_group_size: int | None
    ) -> int:
        """Writes nothing: records are not stored."""
        return 0

    # -- the record of each row -------------------------------------------------------------------------------

    def _local(self, step: RowLocal, marking: RowLocal) -> ReplayFrame:
        """The rows that ``step`` makes; ``marking`` is the same step and keeps one more column, if it can."""
        made = self._run_all(step)
        if made.height == self.data.height:
            return self._next(made)
        return self._next(made, places=self._places_of(step, marking, made))

    def _run_all(self, step: RowLocal) -> pl.DataFrame:
        """The step over all rows. If it fails, the error names the first record on which it fails."""
        try:
            return _run(step, self.data)
        except polars_errors.FOREIGN as error:
            first, last = 0, self.data.height
            while last - first > 1:
                middle = (first + last) // 2
                failed = _fails(step, self.data.slice(first, middle - first))
                first, last = (first, middle) if failed else (middle, last)
            known = polars_errors.translate(error, None)
            if self.data.height:
                try:
                    _run(step, self.data.slice(first, 1))
                except polars_errors.FOREIGN as own:
                    known = polars_errors.translate(own, None)
                known.details["record"] = self.places[first]
            raise known from error

    def _places_of(self, step: RowLocal, marking: RowLocal, made: pl.DataFrame) -> pl.Series:
        """The records of the rows of ``made``: from one more column, or else by trying."""
        if not made.height:
            return self.places.clear()
        name = _unused(self.schema)
        try:
            marked = _run(marking, self.data.with_columns(self.places.alias(name)))
        except polars_errors.FOREIGN:
            marked = made
        if name in marked.columns:
            found, rest = marked[name], marked.drop(name)
            if found.dtype == self.places.dtype and found.is_sorted() and rest.equals(made, null_equal=True):
                return found.alias(self.places.name)
        return self.places.gather(_traced(step, self.data, 0, made.height))

    def _with_schema(self, schema: pl.Schema, note: Skipped) -> ReplayFrame:
        """The rows with the columns of ``schema``, null if the records do not have them."""
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


def _traced(step: RowLocal, data: pl.DataFrame, start: int, height: int) -> list[int]:
    """The rows of ``data`` (counted from ``start``) that became ``height`` rows, one for each, found by halving."""
    if not height:
        return []
    if height == data.height or data.height == 1:
        return list(range(start, start + data.height)) if height == data.height else [start] * height
    middle = data.height // 2
    upper = _run(step, data.head(middle)).height
    return [
        *_traced(step, data.head(middle), start, upper),
        *_traced(step, data.slice(middle), start + middle, height - upper),
    ]


def _run(step: RowLocal, data: pl.DataFrame) -> pl.DataFrame:
    """The step over the rows. A single row is doubled: the engine's arithmetic for one value may differ by a bit."""
    if data.height != 1:
        return step(data.lazy()).collect()
    made = step(pl.concat([data, data]).lazy()).collect()
    return made.head(made.height // 2)


def _fails(step: RowLocal, data: pl.DataFrame) -> bool:
    try:
        _run(step, data)
    except polars_errors.FOREIGN:
        return True
    return False


def _schema_of(frame: Frame, folder: Path) -> PolarsFrame:
    return PolarsFrame(pl.LazyFrame(schema=frame.schema), folder, expensive=False)


def _new(frame: ReplayFrame, made: PolarsFrame) -> tuple[str, ...]:
    return tuple(n for n in made.schema if n not in frame.schema)


def _unused(schema: pl.Schema) -> str:
    name = "__record"
    while name in schema:
        name = f"_{name}"
    return name


def record_error(error: errors.StepError) -> errors.Invalid | None:
    """The error as one of the caller's records; None if no record causes it."""
    place = error.details.get("record")
    if place is None:
        return None
    step, setting = error.details.get("step"), error.details.get("field")
    details: dict[str, Any] = {"step": step, "setting": f"{step}.{setting}" if step and setting else setting}
    return errors.Invalid(f"records[{place}]: {error.message}", field=f"records[{place}]", **details)
