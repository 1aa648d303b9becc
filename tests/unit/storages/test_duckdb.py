"""The native table: loaded with little memory if that is enough, complete and in order in any case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from service.steps.context import Context
from service.steps.storage import Dataset
from service.storages import duckdb as native

ROWS = 300_000
MIB = 1024 * 1024


def loaded(tmp_path: Path, frame: pl.DataFrame, memory: int = 0, **settings: Any) -> pl.DataFrame:
    """What the native table holds, after a run that may use ``memory`` bytes loaded ``frame``."""
    part = tmp_path / "part-0.parquet"
    frame.write_parquet(part)
    ctx = Context(step="storage[0]", folder=tmp_path, memory_bytes=memory)
    written = native.DuckDBStorage(**settings).load(Dataset("my-rows", 1, [part], frame.height), tmp_path, ctx)
    assert [f.name for f in written.files] == ["my_rows.duckdb"]
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".tmp")]
    with duckdb.connect(tmp_path / "my_rows.duckdb", read_only=True) as connection:
        return pl.DataFrame(connection.sql("FROM my_rows").to_arrow_table())


@pytest.mark.parametrize("memory", [0, 256 * MIB, 4096 * MIB])
def test_rows_keep_their_order(tmp_path: Path, memory: int) -> None:
    frame = pl.DataFrame({"number": range(ROWS)}).with_columns(text=pl.col("number").hash().cast(pl.String))
    assert loaded(tmp_path, frame, memory).equals(frame)


@pytest.mark.parametrize("memory", [0, 1024 * MIB])
def test_data_that_does_not_fit_is_loaded_with_more_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    monkeypatch.setattr(native, "_LOAD_MEMORY", MIB)
    monkeypatch.setattr(native, "_LOAD_MEMORY_PER_COLUMN", 0)
    frame = pl.DataFrame({"number": range(ROWS)}).with_columns(text=pl.col("number").hash().cast(pl.String))
    frame.write_parquet(tmp_path / "alone.parquet")
    with duckdb.connect(config={"memory_limit": "1 MiB"}) as connection, pytest.raises(duckdb.OutOfMemoryException):
        connection.execute(f"CREATE TABLE alone AS FROM '{tmp_path / 'alone.parquet'}'")
    assert loaded(tmp_path, frame, memory, primary_key="number", indexes=[["text"]]).equals(frame)
