"""Category estimate: the memory that the categories of fits need in a run, from the first rows of the sources.

All other operations are divided where they do not fit. What a step is fitted with is not: it is kept whole, as values,
in the plan of the rows and with the version. The first rows show how many of them differ and how long they are; the
number in all rows is that of as many equally frequent values. Where that would be too much, and the column comes from
the sources as it is, the values are counted by a sketch: a plan refuses only what is certain.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from service.engine import value_groups
from service.engine.fit_record import Recorder, StepRecord
from service.engine.memory import RESERVE
from service.engine.polars_frame import PolarsFrame
from service.jobs import child_log, combine, fitted_size, memory, process
from service.jobs.dry_run import DryRun
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.jobs.process import Processed
from service.kit import errors
from service.kit.errors import Problem
from service.model.pipeline import Join, Pipeline
from service.model.registry import tag_of
from service.steps.frame import Frame
from service.steps.metric import Metric
from service.steps.report import StepWarning
from service.values import tagged_json
from service.values.too_large import mebibytes

ROWS = 10_000
"""Of each source."""
_COUNTED = 20_000_000
"""Rows in which values are counted, which takes some seconds."""
_SURE, _HELD = 0.75, 100 << 20
"""A sketch errs by 6.5 % (one sigma); bytes that a run holds before its first rows."""
_JSON, _JSON_BESIDE = 3, 12
"""Bytes of a category beside its text in JSON, alone and with a number."""
_ADVICE = "keep the most frequent ones by max_categories, or use the method hash"
CODE = "needs_memory"


@dataclass(frozen=True)
class Need:
    """About how many bytes the categories of a column take; ``most``: how many are allowed, if they are more."""

    step: str
    column: str
    field: str
    categories: int
    size: int
    certain: bool = False
    most: int | None = None
    kept: int = 0
    """About how many bytes of JSON they are among the parameters of the version."""

    @property
    def is_kept(self) -> bool:
        """Whether a version may keep them."""
        return self.kept <= fitted_size.MOST

    def problem(self, limit: int) -> Problem:
        """What is certain to fail in a run that may use ``limit`` bytes."""
        return Problem(self.field, self._text(limit))

    def warning(self, limit: int) -> StepWarning:
        """What will probably fail."""
        details = {"column": self.column, "field": self.field, "categories": self.categories}
        sizes = {"needed_bytes": self.size, "limit_bytes": limit}
        return StepWarning(self.step, CODE, self._text(limit), {**details, **sizes})

    def _text(self, limit: int) -> str:
        if self.most is not None:
            return f"'{self.column}' has more than {self.most} categories; {_ADVICE}"
        if not self.is_kept and (not limit or self.size <= limit - RESERVE):
            taken = (
                f"about {self.categories} categories take about {mebibytes(self.kept)} of the parameters of a version"
            )
            return f"'{self.column}': {taken}, which keeps at most {mebibytes(fitted_size.MOST)}; {_ADVICE}"
        needed = f"about {self.categories} categories need about {mebibytes(self.size)} of memory"
        return f"'{self.column}': {needed}; {_ADVICE}. A run may use {memory.limit_text(limit, 'run')}"


def needs(
    pipeline: Pipeline,
    dry: DryRun,
    sources: Sequence[PolarsFrame],
    rows: Sequence[int | None],
    grants: Grants,
    limit: int,
) -> Iterator[Need]:
    """What the fits of a run need that may use ``limit`` bytes. The sources have ``rows``.

    Steps that cannot process a few rows alone, and those after them, are left out.
    """
    if not any(_each(metric) or metric.kind == "categories" for metric in dry.trace.metrics):
        return
    job = Job(grants, child_log.logger(lambda _: None), wanted_rows=ROWS)
    known = [rows[i] or 0 for i in pipeline.data]
    joined = len(known) > 1 and isinstance(pipeline.combine, Join)
    total = max(known) if joined else sum(known)
    with contextlib.suppress(errors.StepError), job.translated("plan"):
        heads = [frame.rows(lambda lf: lf.head(ROWS)) for frame in sources]
        processed = Processed(combine.combined(pipeline, heads))
        recorder = Recorder(processed.frame.schema)
        first = _height(processed)
        for index, processor in enumerate(pipeline.processors):
            step, height = f"processors[{index}]", _height(processed)
            others = [p for p in pipeline.processors[:index] if tag_of(type(p)) != "analyzer"]
            as_read = [sources[i] for i in pipeline.data] if not (joined or others) else []
            scale, before = total / max(1, first), processed.frame
            try:
                if not processor.read_only:
                    processed = process.apply(pipeline, index, processed, job, recorder)
            finally:  # a fit may fail for what it has measured
                fitted = dry.steps[index].fitted if index < len(dry.steps) else {}
                record = recorder.recorder(step).step_record()
                yield from _of_step(step, fitted, record, before, height, round(height * scale), as_read, limit)


def _height(processed: Processed) -> int:
    count = Metric("", "rows")
    return int(processed.frame.measure([count])[count])


def _of_step(
    step: str,
    fitted: dict[str, Any],
    record: StepRecord,
    frame: Frame,
    sample: int,
    rows: int,
    sources: Sequence[PolarsFrame],
    limit: int,
) -> Iterator[Need]:
    for metric, value in _answers(record):
        named = [name for name, of in fitted.items() if isinstance(of, dict) and metric.column in of]
        field = f"{step}.config.{named[-1]}.{metric.column}" if named else f"{step}.config"
        if metric.kind == "categories" and value is None:
            most = int(str(metric.argument))
            yield Need(step, metric.column, field, most + 1, 0, certain=bool(sources), most=most)
        each = _each(metric)
        if each is None or not value:
            continue
        values = [entry[0] if metric.kind != "categories" else entry for entry in value]
        length = sum(len(v.encode()) for v in values if isinstance(v, str)) // len(values)
        size = each + value_groups.CATEGORY_WIDTH * length
        known = sample - _nulls(frame, metric.column)  # a missing value is not one that came again
        categories, certain = _in_all(len(values), known, round(rows * known / max(1, sample))), False
        if limit and categories * size > limit - RESERVE and rows <= _COUNTED:
            counted = _counted(metric.column, sources)
            categories, certain = (counted, True) if counted is not None else (categories, False)
        yield Need(
            step,
            metric.column,
            field,
            categories,
            categories * size,
            certain and _SURE * categories * size > limit - _HELD,
            kept=categories * (length + (_JSON if metric.kind == "categories" else _JSON_BESIDE)),
        )


def exceeding(found: Iterable[Need], limit: int) -> list[Need]:
    """Those that a run with ``limit`` bytes (0: unknown) has no room for."""
    return [n for n in found if n.most is not None or not n.is_kept or (limit and n.size > limit - RESERVE)]


def _each(metric: Metric) -> int | None:
    """The bytes of a category that a metric without a bound returns, None for other metrics."""
    if metric.kind == "categories" and metric.argument is None:
        return value_groups.CATEGORY
    unbounded = metric.kind == "means" or (metric.kind == "top" and int(str(metric.argument)) > value_groups.MOST)
    return value_groups.CATEGORY_BESIDE if unbounded else None


def _answers(record: StepRecord) -> Iterator[tuple[Metric, Any]]:
    seen = {msgspec.json.encode(a.metric): a for call in record.calls for a in call}
    for answer in seen.values():
        yield answer.metric, tagged_json.decode(answer.value)


def _nulls(frame: Frame, column: str) -> int:
    count = Metric(column, "nulls")
    return int(frame.measure([count])[count]) if column in frame.schema else 0


def _in_all(found: int, sample: int, rows: int) -> int:
    """How many values differ in all rows, if ``found`` of ``sample`` differ and all values are equally frequent."""
    if rows <= sample or not found:
        return found
    low, high = float(found), float(rows)
    for _ in range(64):
        middle = (low + high) / 2
        low, high = (middle, high) if middle * -math.expm1(-sample / middle) < found else (low, middle)
    return min(rows, round(high * -math.expm1(-rows / high))) if found < sample else rows


def _counted(column: str, sources: Sequence[PolarsFrame]) -> int | None:
    """About how many values of a column of the sources differ; None if it is not in them."""
    here = [frame for frame in sources if column in frame.schema]
    counts = [f.lazy.select(pl.col(column).approx_n_unique()).collect(engine="streaming").item() for f in here]
    return max(map(int, counts)) if counts else None
