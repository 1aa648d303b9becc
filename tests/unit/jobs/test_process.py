"""Processing: one pass over the source where the plan allows; else it is staged once, and the steps say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.engine.counters import Counters
from service.engine.polars_frame import PolarsFrame
from service.jobs import process
from service.jobs.process import Processed
from service.model.run import Step
from service.steps.frame import Frame
from service.steps.report import ProcessReport
from tests.registry import a_pipeline
from tests.unit.jobs.walking import cleaner, job_in, transformer

CAST = cleaner(cast={"price": "float64"}, filter="quantity > 0", fill_na={"city": "?"})
MEDIAN = cleaner(fill_na={"price": {"strategy": "median"}})
LOOK = {"type": "analyzer", "config": {}}
SCALE = transformer(normalize={"price": "standard"}, encode={"city": "onehot"})
KEYS = cleaner(drop_duplicates=["city"])


@pytest.mark.parametrize(
    ("steps", "staged"),
    [
        ([CAST], [0]),
        ([CAST, transformer(derive={"total": "price * quantity"}), KEYS], [0, 0, 0]),
        ([CAST, MEDIAN], [0, 1]),
        ([CAST, MEDIAN, LOOK, SCALE], [0, 1, 0, 0]),
        ([SCALE], [1]),
        ([LOOK, KEYS, SCALE], [1, 0, 1]),  # what comes of a whole-frame step is made once, too
    ],
)
def test_the_source_is_read_once(tmp_path: Path, steps: list[dict[str, Any]], staged: list[int]) -> None:
    source = tmp_path / "orders.csv"
    source.write_text("price,city,quantity\n1.5,x,1\n2.5,y,2\n,x,3\n")
    job = job_in(str(tmp_path))

    def remove_source(_: int, frame: Frame, __: ProcessReport) -> None:
        """Remove the source once it was staged: a step that reads it again would fail."""
        if isinstance(frame, PolarsFrame) and frame.staged:
            source.unlink(missing_ok=True)

    counters = Counters()
    counters.expected = 3
    start = Processed(PolarsFrame(pl.scan_csv(source), tmp_path, progress=counters))
    frame = process.process(a_pipeline(processors=steps), start, job, remove_source)[0].frame
    assert [(s.step, s.staged) for s in job.journal.steps] == [(f"processors[{i}]", n) for i, n in enumerate(staged)]
    assert frame.write(tmp_path / "o.parquet", compression="zstd", compression_level=1, row_group_size=None) > 0


RULE = {"type": "validator", "config": {"rules": [{"column": "price", "check": "not_null"}], "on_fail": "drop"}}


@pytest.mark.parametrize(
    ("steps", "counts"),
    [
        ([CAST], [(3, 2)]),
        ([CAST, CAST], [(3, None), (None, 2)]),  # one pass: nobody counts between the two
        ([CAST, LOOK, CAST], [(3, 2), (2, 2), (2, 2)]),
        ([CAST, RULE, KEYS], [(3, 2), (2, 1), (1, 1)]),
        ([RULE, KEYS], [(3, 2), (2, 2)]),
    ],
)
def test_steps_say_how_many_rows_there_are_where_that_is_free(
    tmp_path: Path, steps: list[dict[str, Any]], counts: list[tuple[int | None, int | None]]
) -> None:
    source = pl.LazyFrame({"price": [1.5, 2.5, None], "city": ["x", "y", "x"], "quantity": [1, 0, 3]})
    job = job_in(str(tmp_path))
    processed, _ = process.process(a_pipeline(processors=steps), Processed(PolarsFrame(source, tmp_path)), job)
    rows = processed.frame.write(tmp_path / "o.parquet", compression="zstd", compression_level=1, row_group_size=None)
    counted = process.with_row_counts([*job.journal.steps, Step(step="storage[0]", duration=0.0)], 3, rows)
    storage = (rows, None)
    assert [(s.rows_in, s.rows_out) for s in counted] == [*counts, storage]


def test_a_row_s_source_is_known_while_the_collected_rows_are_unchanged() -> None:
    sources = [{"type": "csv", "id": name, "file_path": "x.csv"} for name in ("first", "second")]
    steps = [CAST, LOOK, transformer(sort=["price"]), LOOK]

    def known(**more: Any) -> list[tuple[tuple[str, int], ...]]:
        pipeline = a_pipeline(collectors=sources, processors=steps, **more)
        return [process._sources(pipeline, index, {"second": 3, "first": 2}) for index in range(len(steps))]

    there = (("first", 2), ("second", 3))
    assert known() == [there, there, there, ()]
    assert known(combine={"how": "join", "on": ["id"]}) == [()] * 4
