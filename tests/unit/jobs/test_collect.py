"""What collectors deliver, before it is processed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import structlog

from service.jobs import collect, process
from service.jobs.job import Job
from service.jobs.journal import Journal
from service.jobs.messages import Grants
from service.jobs.process import Processed
from service.model.run import Step
from tests.registry import a_pipeline


def job_in(folder: Path) -> Job:
    (folder / "run").mkdir()
    grants = Grants(folder=str(folder / "run"), memory_bytes=0, file_roots=(str(folder),))
    return Job(grants, structlog.get_logger("test"))


def collected(folder: Path, source: dict[str, Any], *processors: dict[str, Any]) -> pl.DataFrame:
    pipeline = a_pipeline(collectors=[source], processors=list(processors))
    job = job_in(folder)
    collection = asyncio.run(collect.collect(pipeline, job))
    process.process(pipeline, Processed(collection.frame), job)[0].frame.write(
        folder / "done.parquet", compression="uncompressed", compression_level=None, row_group_size=None
    )
    return pl.read_parquet(folder / "done.parquet")


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_a_column_without_a_name_gets_one_by_its_place(kind: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1], "": [2], "column_2": [3]})
    if kind == "parquet":
        frame.write_parquet(tmp_path / "x.parquet")
    else:
        frame.write_ndjson(tmp_path / "x.json")
    found = collected(tmp_path, {"type": kind, "file_path": f"x.{kind}"}, {"type": "analyzer", "config": {}})
    assert found.columns == ["a", "column_2_", "column_2"]
    assert found.row(0) == (1, 2, 3)


@pytest.mark.parametrize("steps", [[], [{"type": "analyzer", "config": {}}]])
def test_the_rows_of_a_join_are_counted_before_a_step_takes_some_out(
    steps: list[dict[str, Any]], tmp_path: Path
) -> None:
    pl.DataFrame({"k": [1, 1, 2, 3], "a": [1, 1, 1, 2]}).write_parquet(tmp_path / "left.parquet")
    pl.DataFrame({"k": [1, 2, 2], "b": [1, 1, 1]}).write_parquet(tmp_path / "right.parquet")
    pipeline = a_pipeline(
        collectors=[{"type": "parquet", "file_path": f"{side}.parquet"} for side in ("left", "right")],
        combine={"how": "join", "type": "left", "on": ["k"]},
        processors=[*steps, {"type": "cleaner", "config": {"drop_duplicates": ["k"], "filter": "a = 1"}}],
    )
    job = job_in(tmp_path)
    collection = asyncio.run(collect.collect(pipeline, job))
    frame = process.process(pipeline, Processed(collection.frame), job)[0].frame
    stored = frame.write(
        tmp_path / "done.parquet", compression="uncompressed", compression_level=None, row_group_size=None
    )
    assert (collection.processed_rows(), stored) == (5, 2)


def test_collectors_stand_in_the_order_of_the_configuration() -> None:
    journal = Journal()
    for step in ("collectors[2]", "collectors[10]", "collectors[0]", "combine", "processors[1]", "processors[0]"):
        journal.add(Step(step=step, duration=0.1))
    steps = [step.step for step in journal.steps]
    assert steps == ["collectors[0]", "collectors[2]", "collectors[10]", "combine", "processors[1]", "processors[0]"]
