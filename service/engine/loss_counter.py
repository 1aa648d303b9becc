"""Loss counter: counts lost values while a plan is executed, without a pass or an aggregate of its own.

Each new column travels through one node of the plan together with its source and the number of its row, as a struct.
The node compares null counts, which the engine has anyway, and reads single values only where some are lost. It lets
no filter pass, so that all rows are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import polars as pl

from service.engine import plan_columns
from service.engine.loss_tally import Counts, Marks, Tally, cut_of
from service.kit import errors
from service.values.losses import SAMPLES, Conversion, Cut, LostValues


class LossCounter:
    """Counts for the conversions of one step. ``start`` and ``finish`` enclose an execution that computes all rows.

    Only the first complete execution counts; a plan may be executed in part before, and again later.
    """

    def __init__(self, step: str, conversions: Sequence[Conversion], schema: pl.Schema) -> None:
        self.losses: tuple[LostValues, ...] = ()
        self._step = step
        self._conversions = {c.name: c for c in conversions}
        self._number = plan_columns.unused_name("number", schema)
        self.marks = {c.name: Marks(c.lost is not None, c.cut is not None) for c in conversions}
        self._active = self._done = False
        self._tally = Tally(self.marks)

    def apply(
        self,
        lf: pl.LazyFrame,
        expressions: Sequence[pl.Expr | Conversion],
        *,
        only: bool,
        count: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
    ) -> pl.LazyFrame:
        """``lf`` with the expressions as new columns, or with only them, and the node that counts.

        ``count`` is that node where another process executes the plan; ``absorb`` takes what it counted.
        """
        number = pl.col(self._number)
        made = [_struct(e, number) if isinstance(e, Conversion) else e for e in expressions]
        numbered = lf.with_row_index(self._number)
        packed = numbered.select(made) if only else numbered.with_columns(made).drop(self._number)
        counted = packed.map_batches(
            count or self._count,
            predicate_pushdown=False,
            slice_pushdown=False,
            projection_pushdown=True,
            streamable=True,
        )
        return counted.with_columns(_value(c).alias(c.name) for c in self._conversions.values())

    def start(self) -> None:
        """Count from zero, unless all rows were counted before."""
        self._tally = Tally(self.marks)
        self._active = not self._done

    def absorb(self, parts: Sequence[Counts]) -> None:
        """Take the counts of all parts of the rows, in order, instead of counting."""
        counts = self._tally.counts = Counts()
        for part in parts:
            for key, (count, known) in part.values.items():
                before = counts.values.get(key, (0, 0))
                counts.values[key] = before[0] + count, before[1] + known
            for key, samples in part.samples.items():
                moved = [(row + counts.rows, text) for row, text in samples]
                counts.samples[key] = sorted([*counts.samples.get(key, []), *moved])[:SAMPLES]
            counts.rows += part.rows

    def finish(self) -> None:
        """Keep the counts as ``losses``. Raises ``errors.Permanent`` where a share is exceeded."""
        if not self._active:
            return
        self._active, self._done = False, True
        every, counts = self._conversions.values(), self._tally.counts.values
        found = [(c, self._lost(c, c.name)) for c in every if counts.get(c.name, (0,))[0]]
        cuts = [self._cut(c, c.cut) for c in every if c.cut is not None and counts.get(cut_of(c.name), (0,))[0]]
        self.losses = (*(loss for _, loss in found), *cuts)
        for conversion, loss in found:
            if conversion.most is not None and loss.share > conversion.most:
                raise errors.Permanent(
                    f"{loss.message}. This is more than max_lost_share ({conversion.most:g}) allows; mend the "
                    "setting or the values, or set max_lost_share: 1 to accept missing values",
                    step=self._step, field=self._field(loss), column=loss.column,
                    count=loss.count, share=loss.share, samples=loss.samples,
                )  # fmt: skip

    def _field(self, loss: LostValues) -> str:
        """The setting that lost too much, relative to the step; only processors have theirs under config."""
        config = "config." if self._step.startswith("processors") else ""
        return f"{config}{loss.setting}.{loss.column}"

    def _cut(self, conversion: Conversion, cut: Cut) -> LostValues:
        loss = self._lost(replace(conversion, outcome=cut.outcome, hint=None), cut_of(conversion.name))
        return msgspec.structs.replace(loss, setting=f"{conversion.setting}.{cut.unit}")

    def _lost(self, conversion: Conversion, key: str) -> LostValues:
        count, known = self._tally.counts.values[key]
        samples = self._tally.counts.samples.get(key, [])
        shown = ", ".join(f"'{text}' (row {row})" for row, text in samples)
        values = "value" if known == 1 else "values"
        place = f"{conversion.setting}.{conversion.column}"
        message = (
            f"{place}: {count} of {known} {values} ({count / max(known, 1):.1%}) {conversion.outcome}, first {shown}"
        )
        texts = [text for _, text in samples]
        hint = conversion.hint(texts) if conversion.hint is not None else None
        message += f"; {hint}" if hint else ""
        return LostValues(
            self._step, conversion.setting, conversion.column, count, known, texts, [row for row, _ in samples], message
        )

    def _count(self, batch: pl.DataFrame) -> pl.DataFrame:
        if self._active:
            self._tally.add(batch)
        return batch


def _struct(conversion: Conversion, number: pl.Expr) -> pl.Expr:
    fields, cut = [conversion.source.alias("source"), number.alias("number")], conversion.cut
    if conversion.lost is not None:
        fields.append(conversion.lost.fill_null(value=False).alias("lost"))
    if cut is not None and cut.both is not None:
        fields.append(cut.both.alias("both"))
    else:
        fields += [conversion.value.alias("value"), *([] if cut is None else [cut.where.alias("cut")])]
    return pl.struct(fields).alias(conversion.name)


def _value(conversion: Conversion) -> pl.Expr:
    """The new column of the struct that travelled."""
    packed = pl.col(conversion.name).struct
    if conversion.cut is not None and conversion.cut.both is not None:
        packed = packed.field("both").struct
    return packed.field("value")
