"""Native forms of small versions are made with them; one that cannot be made is left to a later load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import structlog

from service.jobs import native
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from service.model.registry import Registry
from service.steps.storage import Dataset


def pipeline(*storage: dict[str, Any]) -> Pipeline:
    document = {"name": "p", "collectors": [{"type": "csv", "file_path": "p.csv"}], "storage": list(storage)}
    return pipelines.decode(document, Registry.load())


def job(folder: Path) -> Job:
    return Job(Grants(folder=str(folder), memory_bytes=1 << 30), structlog.get_logger())


def dataset(folder: Path, rows: int = 3) -> Dataset:
    part = folder / "part-00000.parquet"
    pl.DataFrame({"a": range(rows)}).write_parquet(part)
    return Dataset("p", 1, [part], rows)


def test_every_form_is_made_and_reported_as_a_step(tmp_path: Path) -> None:
    work = job(tmp_path)
    loaded = native.load(pipeline({"type": "parquet"}, {"type": "duckdb"}), dataset(tmp_path), work)
    assert [(one.step, one.written.type, one.written.rows) for one in loaded] == [("storage[1]", "duckdb", 3)]
    assert [step.step for step in work.journal.steps] == ["storage[1]"]
    assert (tmp_path / "p.duckdb").stat().st_size == loaded[0].written.files[0].bytes


def test_a_form_that_fails_is_left_for_later(tmp_path: Path) -> None:
    work = job(tmp_path)
    wrong = pipeline({"type": "parquet"}, {"type": "duckdb", "primary_key": "b"})
    assert native.load(wrong, dataset(tmp_path), work) == []
    assert [path.name for path in tmp_path.iterdir()] == ["part-00000.parquet"]
    assert not work.journal.steps


@pytest.mark.parametrize(("columns", "small"), [(3, True), (100_000, True), (1_000_000, False)])
def test_small_is_small_in_rows_and_columns(tmp_path: Path, columns: int, small: bool) -> None:
    assert native.is_small(dataset(tmp_path, 10), columns) is small


def test_small_is_small_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_MOST_BYTES", 10)
    assert not native.is_small(dataset(tmp_path), 1)
