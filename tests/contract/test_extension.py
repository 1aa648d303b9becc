"""A third-party package in a pipeline: it collects, processes and stores, and imports only ``service.steps``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import polars as pl

from service.engine.polars_frame import PolarsFrame
from service.model import pipeline as pipelines
from service.steps.context import CollectContext, Context, ProcessContext
from service.steps.storage import Dataset
from service.storages.parquet import ParquetStorage
from tests.registry import REGISTRY


def test_its_collector_processor_and_storage_work_together(tmp_path: Path) -> None:
    document = {
        "name": "sample",
        "collectors": [{"type": "counted", "rows": 4}],
        "processors": [
            {"type": "doubled", "config": {"column": "n"}},
            {"type": "transformer", "config": {"derive": {"m": "n + 1"}}},
        ],
        "storage": [{"type": "parquet"}, {"type": "listing", "file": "count.txt"}],
    }
    pipeline = pipelines.decode(document, REGISTRY)
    ctx = CollectContext("collectors[0]", tmp_path, frames=PolarsFrame)
    frame = asyncio.run(pipeline.collectors[0].collect(ctx))
    for index, processor in enumerate(pipeline.processors):
        frame = processor.apply(frame, ProcessContext(f"processors[{index}]", tmp_path))
    written = ParquetStorage().write(frame, tmp_path, Context("storage[0]", tmp_path))
    parts = [tmp_path / f.name for f in written.files]
    assert pl.read_parquet(parts).rows() == [(0, 1), (2, 3), (4, 5), (6, 7)]
    listing = pipeline.storage[1].load(
        Dataset("sample", 1, parts, written.rows), tmp_path, Context("storage[1]", tmp_path)
    )
    assert listing is not None
    assert (tmp_path / "count.txt").read_text() == "4"
