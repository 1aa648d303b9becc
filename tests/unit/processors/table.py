"""Applying one processor to a small table, the way a run does: decoded from JSON, lazily, executed once."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.engine.dry_run_frame import DryRunFrame, Trace
from service.engine.polars_frame import PolarsFrame
from service.engine.spark.cluster import Cluster
from service.engine.spark.spark_frame import SparkFrame
from service.kit import errors
from service.model import pipeline as pipelines
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.steps.processor import Processor
from service.values.losses import LostValues
from tests import sail
from tests.registry import REGISTRY

NAN = float("nan")
INF = float("inf")


@dataclass
class Done:
    """What a processor made: rows, and what it said."""

    rows: pl.DataFrame
    ctx: ProcessContext
    losses: Sequence[LostValues] = ()

    @property
    def columns(self) -> dict[str, list[Any]]:
        return self.rows.to_dict(as_series=False)

    @property
    def warned(self) -> list[str]:
        return [w.code for w in self.ctx.report().warnings]


def decode(kind: str, config: dict[str, Any]) -> Processor:
    """The processor of a configuration. Raises ``errors.Invalid``."""
    document = {
        "name": "p",
        "collectors": [{"type": "csv", "file_path": "x.csv"}],
        "processors": [{"type": kind, "config": config}],
    }
    return pipelines.decode(document, REGISTRY).processors[0]


def invalid(kind: str, **config: Any) -> dict[str, str]:
    """The problems that validation finds: path relative to ``config`` to message."""
    with pytest.raises(errors.Invalid) as caught:
        decode(kind, config)
    return {e["field"].removeprefix("processors[0].config."): e["message"] for e in caught.value.details["errors"]}


def apply(kind: str, data: pl.DataFrame | pl.LazyFrame | dict[str, Any], **config: Any) -> Done:
    """Apply the processor, and execute. The schema foretold must be that of the rows, also by a dry run without any."""
    processor = decode(kind, config)
    frame = pl.LazyFrame(data) if isinstance(data, dict) else data.lazy()
    dry = ProcessContext("processors[0]", Path(), dry=True)
    empty = DryRunFrame.of(pl.LazyFrame(schema=frame.collect_schema()), Path(), Trace())
    with tempfile.TemporaryDirectory() as folder, of(frame, Path(folder)) as given:
        ctx = ProcessContext("processors[0]", Path(folder))
        made = processor.apply(given, ctx)
        foretold = made.schema
        target = Path(folder) / "out.parquet"
        made.write(target, compression="uncompressed", compression_level=None, row_group_size=None)
        rows = pl.read_parquet(target)
    assert rows.schema == foretold
    rehearsed = processor.apply(empty, dry).schema
    assert dry.report().dynamic_columns or rehearsed == foretold
    assert not dry.report().rejected
    return Done(rows, ctx, made.losses)


@contextlib.contextmanager
def of(frame: pl.LazyFrame, folder: Path) -> Iterator[Frame]:
    """A frame of the engine that is tested: Polars, or Spark with the rows in two parts (``tests.sail``)."""
    url = os.environ.get(sail.VARIABLE)
    if url is None:
        yield PolarsFrame(frame, folder)
        return
    rows, cluster = frame.collect(), Cluster(url, str(uuid.uuid4()), folder)
    half = rows.height // 2
    yield SparkFrame(cluster, [rows[:half].lazy(), rows[half:].lazy()], folder)
    cluster.close()


def refused(kind: str, data: pl.DataFrame | dict[str, Any], **config: Any) -> tuple[str, str]:
    """(field, message) of the error that the step raises; it names its step and begins with its field."""
    with pytest.raises(errors.Permanent) as caught:
        apply(kind, data, **config)
    assert caught.value.details["step"] == "processors[0]"
    return caught.value.details["field"].removeprefix("config."), caught.value.message
