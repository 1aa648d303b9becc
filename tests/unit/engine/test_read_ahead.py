"""While rows are written, a scan of Parquet decodes few row groups ahead; otherwise as many as Polars likes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from service.engine import read_ahead
from service.engine.polars_frame import PolarsFrame
from service.processes.forkserver import GIVEN_ENVIRONMENT
from service.steps.metric import Metric

READ = """
import os, sys
from pathlib import Path
import polars as pl
lf = pl.scan_parquet(sorted(Path(sys.argv[1]).iterdir()), glob=False)
for first in range(4):
    some = lf.select(f"c{i}" for i in range(first, 2_000, 4))
    assert some.collect(engine="streaming").shape == (4_000, 500)
print(len(os.listdir("/proc/self/task")))
"""  # threads that have nothing to do wait for ten seconds before they end

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


def test_reading_takes_few_threads(tmp_path: Path) -> None:
    """Polars reads hundreds of columns at once, each in a thread with a stack that counts as memory of the run."""
    frame = pl.DataFrame({f"c{i}": pl.int_range(i, i + 1_000, eager=True) for i in range(2_000)})
    for part in range(4):
        frame.write_parquet(tmp_path / f"{part}.parquet")
    environment = os.environ | GIVEN_ENVIRONMENT | {"POLARS_MAX_THREADS": "2", "POLARS_FILE_DEFER_CACHED_READS": "0"}
    found = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)], capture_output=True, text=True, check=True, env=environment
    )
    assert int(found.stdout) < 100, found.stderr  # 18 to 52, and 130 to 250 without a bound
