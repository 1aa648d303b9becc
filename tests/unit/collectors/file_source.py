"""Collectors of files over a folder of uploads, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from service.collectors.csv import CsvCollector
from service.collectors.json import JsonCollector
from service.collectors.parquet import ParquetCollector
from service.collectors.pipeline import PipelineCollector
from service.engine.polars_frame import PolarsFrame
from service.files.allowed_files import Files
from service.kit import errors
from service.steps.collector import Collector
from service.steps.context import CollectContext
from tests.unit.network.site import context

KINDS: dict[str, type[Collector]] = {
    "csv": CsvCollector,
    "json": JsonCollector,
    "parquet": ParquetCollector,
    "pipeline": PipelineCollector,
}


def collector(kind: str, **config: Any) -> Collector:
    return msgspec.convert({"type": kind, **config}, KINDS[kind])


def surroundings(tmp_path: Path, files: Mapping[str, bytes] = {}) -> CollectContext:
    uploads, staging = tmp_path / "uploads", tmp_path / "staging"
    uploads.mkdir(exist_ok=True)
    staging.mkdir(exist_ok=True)
    for name, body in files.items():
        (uploads / name).parent.mkdir(parents=True, exist_ok=True)
        (uploads / name).write_bytes(body)
    return context(staging, files=Files((uploads,)))


def rows(ctx: CollectContext, kind: str, **config: Any) -> pl.DataFrame:
    before = ctx.report().rows
    chosen = collector(kind, **config)
    assert list(chosen.problems()) == []
    frame = asyncio.run(chosen.collect(ctx))
    assert isinstance(frame, PolarsFrame)
    found = frame.lazy.collect(engine="streaming")
    assert ctx.report().rows - before == found.height
    return found


def refusal(ctx: CollectContext, kind: str, **config: Any) -> errors.Permanent:
    with pytest.raises(errors.Permanent) as caught:
        rows(ctx, kind, **config)
    assert caught.value.details["step"] == "collectors[0]"
    return caught.value
