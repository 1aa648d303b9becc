"""A frame that is never executed: it answers as one without rows, and notes what it was asked."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import polars as pl
import pytest

from service.engine import estimates
from service.engine.dry_run_frame import DryRunFrame, Trace, nothing
from service.steps.metric import Kind, Metric

SCHEMA = pl.Schema({"a": pl.Int64, "s": pl.String, "b": pl.Boolean, "f": pl.Float64})
WHOLE = ("rows", "duplicates", "sample")
COLUMNS = {"top": "s", "categories": "s", "forms": "s", "lengths": "s", "means": "s", "true": "b", "nan": "f"}
ARGUMENTS = {"quantile": (0.5, 0.9), "top": 3, "histogram": 4, "means": "a", "corr": "f", "spearman": "f"}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_it_answers_what_a_frame_without_rows_answers(kind: Kind) -> None:
    metric = Metric("" if kind in WHOLE else COLUMNS.get(kind, "a"), kind, ARGUMENTS.get(kind))  # type: ignore[arg-type]
    assert nothing(metric) == estimates.answer(pl.LazyFrame(schema=SCHEMA), SCHEMA, [metric])[metric]


def planned(trace: Trace, *, expensive: bool = True) -> DryRunFrame:
    def never(frame: pl.DataFrame) -> pl.DataFrame:
        raise AssertionError("it was executed")

    lf = pl.LazyFrame({"a": [1], "s": ["x"]}).map_batches(never, schema={"a": pl.Int64, "s": pl.String})
    return DryRunFrame.of(lf, Path("/nowhere"), trace, expensive=expensive)


def test_nothing_is_executed_and_everything_noted() -> None:
    trace = Trace(explaining=True)
    frame = planned(trace)
    frame.measure([Metric("a", "mean")])
    made = frame.distinct(["a"], keep="last").sort(["s"], descending=[False]).with_row_index("n")
    made.rows(lambda lf: lf.filter(pl.col("a") > 0)).measure([])
    made.per_group(["a"], [], [pl.col("s").shift(1).alias("t")]).query("SELECT a FROM input").group(["a"], [pl.len()])
    assert made.write(Path("/nowhere"), compression="zstd", compression_level=None, row_group_size=None) == 0
    operations = ["measure", "stage", "distinct", "sort", "with_row_index", "per_group", "query", "stage", "group"]
    assert trace.operations == operations
    assert len(trace.plans) == 2
    assert list(made.schema) == ["n", "a", "s"]


def test_what_is_cheap_is_not_staged() -> None:
    trace = Trace()
    planned(trace, expensive=False).measure([Metric("a", "mean")])
    assert trace.operations == ["measure"]
    trace = Trace()
    first = planned(trace)
    joined = first.join(planned(trace), ["a"]).union([first])
    joined.measure([Metric("", "rows")])
    assert trace.operations == ["join", "union", "measure", "stage"]
    assert trace.plans == []
