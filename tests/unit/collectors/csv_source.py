"""Running the csv collector on files written for a test."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from service.collectors.csv import CsvCollector
from service.engine.polars_frame import PolarsFrame
from service.files.allowed_files import Files
from service.steps.context import CollectContext
from tests.unit.network.site import context

FILE = "data.csv"
REFUSED = "refused"


def collector(**config: Any) -> CsvCollector:
    return msgspec.convert({"type": "csv", "file_path": FILE, **config}, CsvCollector)


def surroundings(tmp_path: Path) -> CollectContext:
    uploads, staging = tmp_path / "uploads", tmp_path / "staging"
    uploads.mkdir(exist_ok=True)
    staging.mkdir(exist_ok=True)
    return context(staging, files=Files((uploads,)))


def read(tmp_path: Path, body: bytes | str | dict[str, bytes], **config: Any) -> tuple[pl.DataFrame, CollectContext]:
    """The rows of one file (or several), and what was said; the counted rows are checked on the way."""
    ctx = surroundings(tmp_path)
    files = body if isinstance(body, dict) else {FILE: body.encode() if isinstance(body, str) else body}
    for name, content in files.items():
        (tmp_path / "uploads" / name).write_bytes(content)
    settings = collector(**config)
    assert list(settings.problems()) == []
    frame = asyncio.run(settings.collect(ctx))
    assert isinstance(frame, PolarsFrame)
    rows = frame.lazy.collect(engine="streaming")
    assert ctx.report().rows == len(rows)
    return rows, ctx
