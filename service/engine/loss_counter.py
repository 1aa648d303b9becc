"""Loss counter: counts lost values while a plan is executed, without a pass or an aggregate of its own.

Each new column travels through one node of the plan together with its source and the number of its row, as a struct.
The node compares null counts, which the engine has anyway, and reads single values only where some are lost. It lets
no filter pass, so that all rows are counted.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import polars as pl

from service.engine import plan_columns
from service.kit import errors
from service.values.losses import SAMPLES, SHOWN, Conversion, Cut, LostValues


class LossCounter:
    """Counts for the conversions of one step. ``start`` and ``finish`` enclose an execution that computes all rows.

    Only the first complete execution counts; a plan may be executed in part before, and again later.
    """

    def __init__(self, step: str, conversions: Sequence[Conversion], schema: pl.Schema) -> None:
        self.losses: tuple[LostValues, ...] = ()
        self._step = step
        self._conversions = {c.name: c for c in conversions}
        self._number = plan_columns.unused_name("number", schema)
        self._active = self._done = False
        self._lock = threading.Lock()
        self._counts: dict[str, list[int]] = {}
        self._samples: dict[str, list[tuple[int, str]]] = {}

    def apply(self, lf: pl.LazyFrame, expressions: Sequence[pl.Expr | Conversion], *, only: bool) -> pl.LazyFrame:
        """``lf`` with the expressions as new columns, or with only them, and the node that counts."""
        number = pl.col(self._number)
        made = [_struct(e, number) if isinstance(e, Conversion) else e for e in expressions]
        numbered = lf.with_row_index(self._number)
        packed = numbered.select(made) if only else numbered.with_columns(made).drop(self._number)
        counted = packed.map_batches(
            self._count, predicate_pushdown=False, slice_pushdown=False, projection_pushdown=True, streamable=True
        )
        return counted.with_columns(_value(c).alias(c.name) for c in self._conversions.values())

    def start(self) -> None:
        """Count from zero, unless all rows were counted before."""
        self._counts, self._samples = {}, {}
        self._active = not self._done

    def finish(self) -> None:
        """Keep the counts as ``losses``. Raises ``errors.Permanent`` where a share is exceeded."""
        if not self._active:
            return
        self._active, self._done = False, True
        every = self._conversions.values()
        found = [(c, self._lost(c, c.name)) for c in every if self._counts.get(c.name, [0])[0]]
        cuts = [self._cut(c, c.cut) for c in every if c.cut is not None and self._counts.get(_cut_of(c.name), [0])[0]]
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
        loss = self._lost(replace(conversion, outcome=cut.outcome, hint=None), _cut_of(conversion.name))
        return msgspec.structs.replace(loss, setting=f"{conversion.setting}.{cut.unit}")

    def _lost(self, conversion: Conversion, key: str) -> LostValues:
        count, known = self._counts[key]
        samples = sorted(self._samples.get(key, []))[:SAMPLES]
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
            columns = frozenset(batch.columns)
            for name, conversion in self._conversions.items():
                if name in columns:
                    self._add(name, conversion, batch.get_column(name))
        return batch

    def _add(self, name: str, conversion: Conversion, column: pl.Series) -> None:
        fields = _fields(column)
        source, value = fields.get_column("source"), fields.get_column("value")
        missing = source.null_count()
        flags = fields.get_column("lost") if conversion.lost is not None else None
        count = value.null_count() - missing if flags is None else int(flags.sum())
        self._add_count(name, count, len(column) - missing, fields, flags)
        if conversion.cut is not None:
            cut = fields.get_column("cut")
            if value.null_count() and cut.any():  # as part of the plan, this would compute the value a second time
                cut = (cut & value.is_not_null()).fill_null(value=False)
            self._add_count(_cut_of(name), int(cut.sum()), len(column) - missing, fields, cut)

    def _add_count(self, key: str, count: int, known: int, fields: pl.DataFrame, flags: pl.Series | None) -> None:
        samples = self._first(key, fields, flags) if count else []
        with self._lock:
            counts = self._counts.setdefault(key, [0, 0])
            counts[0] += count
            counts[1] += known
            if samples:
                self._samples[key] = sorted([*self._samples.get(key, []), *samples])[:SAMPLES]

    def _first(self, name: str, fields: pl.DataFrame, flags: pl.Series | None) -> list[tuple[int, str]]:
        """The first lost values of a batch with their rows; none where enough are known from rows before it."""
        number, known = fields.get_column("number"), self._samples.get(name, [])
        if len(known) == SAMPLES and known[-1][0] <= number[0]:
            return []
        source, value = fields.get_column("source"), fields.get_column("value")
        places = (value.is_null() & source.is_not_null() if flags is None else flags).arg_true().head(SAMPLES)
        rows, texts = number.gather(places).to_list(), source.gather(places).to_list()
        return [(row + 1, _text(text)) for row, text in zip(rows, texts, strict=True)]


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


def _fields(column: pl.Series) -> pl.DataFrame:
    fields = column.struct.unnest()  # a tenth of the time of one field after another, or of a frame's unnest
    return fields.hstack(fields.get_column("both").struct.unnest()) if "both" in fields.columns else fields


def _cut_of(name: str) -> str:
    return f"{name} cut"


def _text(value: object) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
