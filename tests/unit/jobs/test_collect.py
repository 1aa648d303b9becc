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
from service.jobs.messages import Grants
from service.jobs.process import Processed
from tests.registry import a_pipeline


def collected(folder: Path, source: dict[str, Any], *processors: dict[str, Any]) -> pl.DataFrame:
    pipeline = a_pipeline(collectors=[source], processors=list(processors))
    (folder / "run").mkdir()
    job = Job(
        Grants(folder=str(folder / "run"), memory_bytes=0, file_roots=(str(folder),)), structlog.get_logger("test")
    )
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
