"""Quarantine of failed casts: rows with a value that cannot be cast are kept as they came into the cleaner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from service.files import quarantine
from service.kit import lazy
from service.processors.cleaning import types
from service.processors.settings import columns
from service.processors.validation import originals
from service.processors.validation.row_source import row_source
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.steps.metric import Metric
from service.values import dtypes

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

RULE = "cast"
_ROWS = Metric("", "rows")


def take_out(incoming: Frame, frame: Frame, settings: Mapping[str, types.Cast], ctx: ProcessContext) -> Frame:
    """``frame`` without the rows that a cast with ``on_error: quarantine`` fails on.

    They are written as they are in ``incoming``, the rows before the cleaner in the same order, with the columns that
    failed. No value is lost by that, so that ``max_lost_share`` does not bound it.
    """
    schema = frame.schema
    lost = types.lost_rows(schema, settings, ctx)
    free = columns.unused_name("_failed", schema)
    marks = {column: f"{free}_{place}" for place, column in enumerate(settings)}
    bad = pl.any_horizontal([pl.col(mark) for mark in marks.values()])
    marked = frame.rows(lambda lf: lf.with_columns(lost[c].fill_null(value=False).alias(m) for c, m in marks.items()))
    remaining = marked.rows(lambda lf: lf.filter(~bad).drop(list(marks.values())))
    if ctx.replay:  # a few rows do not represent the data: nothing is measured
        written = _write(incoming, marked, schema, settings, marks, None, ctx)
        if written:
            _warn(ctx, f"{written} rows", written)
        return remaining
    total = Metric("_", "true")
    counts = marked.measure([_ROWS, *(Metric(m, "true") for m in marks.values())])
    failed = {c: counts[Metric(m, "true")] or 0 for c, m in marks.items()}
    if any(failed.values()):
        rejected = marked.rows(lambda lf: lf.select(bad.alias("_"))).measure([total])[total] or 0
        _write(incoming, marked, schema, settings, marks, counts[_ROWS], ctx)
        named = ", ".join(f"{count} of '{column}'" for column, count in failed.items() if count)
        _warn(ctx, f"{rejected} of {counts[_ROWS]} rows", rejected, f": values that cannot be cast ({named})")
        ctx.set_row_counts(counts[_ROWS], counts[_ROWS] - rejected)
    return remaining


def _warn(ctx: ProcessContext, what: str, rows: int, why: str = "") -> None:
    ctx.warn("rows_rejected", f"{what} were taken out into quarantine{why}", rows=rows)


def _write(
    incoming: Frame,
    marked: Frame,
    schema: pl.Schema,
    settings: Mapping[str, types.Cast],
    marks: Mapping[str, str],
    rows: int | None,
    ctx: ProcessContext,
) -> int:
    """Write the rows of ``incoming`` whose number is that of a marked row; the number written."""
    number = columns.unused_name("_number", incoming.schema)
    reasons = columns.unused_name("_reasons", incoming.schema)
    listed = pl.concat_list(
        pl.when(mark).then(quarantine.reason(RULE, c, quarantine.shown(c, schema[c]), f"is not {_name(settings[c])}"))
        for c, mark in marks.items()
    ).list.drop_nulls()
    bad = pl.any_horizontal([pl.col(mark) for mark in marks.values()])
    numbered = marked.with_row_index(number)
    taken = numbered.rows(lambda lf: lf.filter(bad).select(number, listed.alias(reasons)))
    joined = incoming.with_row_index(number).join(taken, [number], how="inner")
    own = originals.visible(incoming.schema)
    restored = [
        value.alias(c) for c, value in originals.restored(joined, None if ctx.replay else pl.lit(value=True)).items()
    ]
    layout = {
        "_rules": pl.col(reasons), "_step": pl.lit(ctx.step), "_source": row_source(ctx, pl.col(number), rows),
        "_row": pl.col(number) + 1,
    }  # fmt: skip
    arranged = joined.rows(lambda lf: quarantine.arrange(lf.with_columns(restored), own, layout))
    path = ctx.folder / quarantine.file_of(ctx.step)
    written = arranged.write(path, compression="zstd", compression_level=3, row_group_size=None)
    if written:
        ctx.reject(written, path.name)
    else:
        path.unlink(missing_ok=True)
    return written


def _name(setting: types.Cast) -> str:
    return dtypes.name_of(setting.target)
