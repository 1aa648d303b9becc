"""While rows are written, a scan of Parquet decodes few row groups ahead; otherwise as many as Polars likes."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from service.engine import read_ahead
from service.engine.polars_frame import PolarsFrame
from service.steps.metric import Metric

NAME = "POLARS_ROW_GROUP_PREFETCH_SIZE"


@pytest.mark.parametrize("before", [None, "7"])
def test_what_was_set_before_holds_again(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    monkeypatch.delenv(NAME, raising=False)
    if before is not None:
        monkeypatch.setenv(NAME, before)
    with read_ahead.short():
        assert os.environ[NAME] == str(max(1, pl.thread_pool_size() // 2))
    assert os.environ.get(NAME) == before


def test_a_frame_is_written_and_staged_with_a_short_read_ahead(tmp_path: Path) -> None:
    seen: list[str | None] = []

    def look(batch: pl.DataFrame) -> pl.DataFrame:
        seen.append(os.environ.get(NAME))
        return batch

    source = pl.DataFrame({"a": range(10)}).lazy().map_batches(look, schema={"a": pl.Int64}, streamable=True)
    rows = PolarsFrame(source, tmp_path).write(
        tmp_path / "part", compression="zstd", compression_level=1, row_group_size=None
    )
    assert rows == 10
    PolarsFrame(source, tmp_path).measure([Metric("a", "max")])  # stages
    assert len(seen) >= 2
    assert {*seen} == {str(max(1, pl.thread_pool_size() // 2))}
