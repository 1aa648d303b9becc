"""Row operations: what the steps of a stored version do to records, and which record each row came from.

A step over records is a list of operations, each a row-local step of a Polars plan (``engine.replay_frame`` makes the
list). Many operations are one plan if no row is taken out on the way, as with most records. Else each is executed by
itself: the rows that it takes out are known then, and the record on which it fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from service.engine import plan_columns
from service.kit import errors
from service.steps.frame import RowLocal
from service.values import polars_errors


@dataclass(frozen=True)
class Operation:
    """A row-local ``step``; ``marking`` is the same step and keeps one more column, if it can (None: as ``step``)."""

    step: RowLocal
    marking: RowLocal | None = None


@dataclass(frozen=True)
class Rows:
    """Rows, and the index of the record of each of them (uint32), in the same order."""

    data: pl.DataFrame
    places: pl.Series

    @classmethod
    def of(cls, records: pl.DataFrame) -> Rows:
        """The rows of records that went through no operation yet."""
        return cls(records, pl.Series("place", range(records.height), dtype=pl.UInt32()))


def at_once(operations: Sequence[Operation], rows: Rows) -> Rows | None:
    """All operations in one plan; None if it fails or rows are taken out.

    No operation may make several rows of one: the places are those of before if there are as many rows as before.
    """
    try:
        made = _run(_plan(operations), rows.data)
    except MemoryError:
        raise
    except polars_errors.FOREIGN:
        return None
    return Rows(made, rows.places) if made.height == rows.data.height else None


def one_by_one(operations: Sequence[Operation], rows: Rows) -> Rows:
    """Each operation by itself.

    If an operation makes several rows of one record, they are traced back unless it drops others at the same time.
    Raises ``errors.StepError`` whose details have ``record`` if an operation fails on one.
    """
    for operation in operations:
        made = _run_all(operation.step, rows)
        places = rows.places if made.height == rows.data.height else _places_of(operation, rows, made)
        rows = Rows(made, places)
    return rows


def halved(operations: Sequence[Operation], rows: Rows) -> Rows:
    """As ``one_by_one``, with as many operations in one plan as ``at_once`` can do. Raises as ``one_by_one``."""
    if len(operations) < 2:
        return one_by_one(operations, rows)
    done = at_once(operations, rows)
    if done is not None:
        return done
    middle = len(operations) // 2
    return halved(operations[middle:], halved(operations[:middle], rows))


def record_error(error: errors.StepError) -> errors.Invalid | None:
    """The error as one of the caller's records; None if no record causes it."""
    place = error.details.get("record")
    if place is None:
        return None
    step, setting = error.details.get("step"), error.details.get("field")
    details: dict[str, Any] = {"step": step, "setting": f"{step}.{setting}" if step and setting else setting}
    return errors.Invalid(f"records[{place}]: {error.message}", field=f"records[{place}]", **details)


def unused_name(schema: pl.Schema) -> str:
    """A name that no column has."""
    return plan_columns.unused_name("__record", schema)


def _plan(operations: Sequence[Operation]) -> RowLocal:
    def step(lf: pl.LazyFrame) -> pl.LazyFrame:
        for operation in operations:
            lf = operation.step(lf)
        return lf

    return step


def _run(step: RowLocal, data: pl.DataFrame) -> pl.DataFrame:
    """The step over the rows. A single row is doubled: the engine's arithmetic for one value may differ by a bit."""
    if data.height != 1:
        return step(data.lazy()).collect()
    made = step(pl.concat([data, data]).lazy()).collect()
    return made.head(made.height // 2)


def _run_all(step: RowLocal, rows: Rows) -> pl.DataFrame:
    """The step over all rows. If it fails, the error names the first record on which it fails."""
    data = rows.data
    try:
        return _run(step, data)
    except polars_errors.FOREIGN as error:
        first, last = 0, data.height
        while last - first > 1:
            middle = (first + last) // 2
            failed = _fails(step, data.slice(first, middle - first))
            first, last = (first, middle) if failed else (middle, last)
        known = polars_errors.translate(error, None)
        if data.height:
            try:
                _run(step, data.slice(first, 1))
            except polars_errors.FOREIGN as own:
                known = polars_errors.translate(own, None)
            known.details["record"] = rows.places[first]
        raise known from error


def _fails(step: RowLocal, data: pl.DataFrame) -> bool:
    try:
        _run(step, data)
    except polars_errors.FOREIGN:
        return True
    return False


def _places_of(operation: Operation, rows: Rows, made: pl.DataFrame) -> pl.Series:
    """The records of the rows of ``made``: from one more column, or else by trying."""
    if not made.height:
        return rows.places.clear()
    name = unused_name(rows.data.schema)
    try:
        marked = _run(operation.marking or operation.step, rows.data.with_columns(rows.places.alias(name)))
    except polars_errors.FOREIGN:
        marked = made
    if name in marked.columns:
        found, rest = marked[name], marked.drop(name)
        if found.dtype == rows.places.dtype and found.is_sorted() and rest.equals(made, null_equal=True):
            return found.alias(rows.places.name)
    return rows.places.gather(_traced(operation.step, rows.data, 0, made.height))


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
