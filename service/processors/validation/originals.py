"""Values as they were before a cast lost them, in the column ``losses.ORIGINALS`` beside the data.

The column is a struct of texts, a field for each column of which a cast may lose values, null where none was lost. It
follows its columns through cleaners, transformers and validators to the last step that writes rows into quarantine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from service.kit import lazy
from service.steps.frame import Frame
from service.steps.metric import Metric
from service.values.losses import ORIGINALS, Conversion

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")


def names(schema: pl.Schema) -> list[str]:
    """The columns of which ``ORIGINALS`` holds values."""
    return [field.name for field in schema[ORIGINALS].fields] if ORIGINALS in schema else []  # type: ignore[attr-defined]


def visible(schema: Iterable[str]) -> list[str]:
    """The columns of the data."""
    return [name for name in schema if name != ORIGINALS]


def column(schema: pl.Schema, lossy: Sequence[Conversion]) -> pl.Expr:
    """``ORIGINALS`` after these conversions: what they lose, and what was lost before."""
    known = names(schema)
    lost = {conversion.column: _lost(conversion) for conversion in lossy}
    fields = [
        pl.coalesce(*([_field(name)] if name in known else []), *([lost[name]] if name in lost else [])).alias(name)
        for name in dict.fromkeys([*known, *lost])
    ]
    return pl.struct(fields).alias(ORIGINALS)


def follow(frame: Frame, renamed: Mapping[str, str]) -> Frame:
    """The frame with columns renamed, and what belongs to them; other columns of the old names are gone."""
    own = {old: new for old, new in renamed.items() if old != ORIGINALS}
    known = names(frame.schema)
    fields = [_field(name).alias(own.get(name, name)) for name in known]

    def rename(lf: pl.LazyFrame) -> pl.LazyFrame:
        lf = lf.with_columns(pl.struct(fields).alias(ORIGINALS)) if known else lf
        return lf.rename(own)

    return frame.rows(rename)


def settle(frame: Frame, *, wanted: bool) -> Frame:
    """The frame with ``ORIGINALS`` only of the columns that it has, or without it unless it is still ``wanted``."""
    known = names(frame.schema)
    kept = [name for name in known if name in frame.schema] if wanted else []
    if kept == known:
        return frame
    if not kept:
        return frame.rows(lambda lf: lf.drop(ORIGINALS))
    return frame.rows(lambda lf: lf.with_columns(pl.struct(map(_field, kept)).alias(ORIGINALS)))


def restored(frame: Frame, rows: pl.Expr | None) -> dict[str, pl.Expr]:
    """The columns of which the ``rows`` (a condition) have lost values, as texts: as the values came.

    None measures nothing and answers every column that may have lost some.
    """
    known = [name for name in names(frame.schema) if name in frame.schema]
    if known and rows is not None:
        marks = {f"_{place}": name for place, name in enumerate(known)}
        lost = [(rows & _field(name).is_not_null()).alias(mark) for mark, name in marks.items()]
        counts = frame.rows(lambda lf: lf.select(lost)).measure([Metric(mark, "true") for mark in marks])
        known = [name for mark, name in marks.items() if counts[Metric(mark, "true")]]
    return {name: pl.coalesce(_field(name), pl.col(name).cast(pl.String)) for name in known}


def unknown(frame: Frame, untraced_by: str | None) -> tuple[str, frozenset[str] | None] | None:
    """Why missing values may be ones that an earlier step lost and that cannot be shown, and in which columns (None:
    all): values that collectors lost, and those that any step before ``untraced_by`` did. None if there are none."""
    last = _place(untraced_by) if untraced_by is not None else 0
    lost = [loss for loss in frame.losses if _place(loss.step) < last]
    if not lost:
        return None
    where = f"after {untraced_by}" if untraced_by is not None else "here"
    steps = ", ".join(dict.fromkeys(loss.step for loss in lost))
    text = f"it may have been lost in {steps}: a value that was lost there is not known {where}"
    return text, None if untraced_by is not None else frozenset(loss.column for loss in lost)


def _place(step: str) -> int:
    """The place of a processor; -1 for a collector."""
    return int(step.partition("[")[2].rstrip("]")) if step.startswith("processors") else -1


def _field(name: str) -> pl.Expr:
    return pl.col(ORIGINALS).struct.field(name)


def _lost(conversion: Conversion) -> pl.Expr:
    """The value as text where it is lost."""
    lost = conversion.lost
    if lost is None:
        lost = conversion.source.is_not_null() & conversion.value.is_null()
    return pl.when(lost).then(pl.col(conversion.column).cast(pl.String, strict=False))
