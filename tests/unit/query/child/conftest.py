"""A warehouse of two datasets, and workers over it that are ended with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from service.query.child import traces
from tests.unit.query.child.asking import Api


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "warehouse" / "orders" / "v000001"
    folder.mkdir(parents=True)
    (tmp_path / "spill").mkdir()
    frame = pl.DataFrame({"id": [1, 2], "v": ["a", "b"]})
    frame.write_parquet(folder / "part-0.parquet")
    with duckdb.connect(str(folder / "orders.duckdb")) as native:
        native.execute(f"CREATE TABLE orders AS FROM '{folder / 'part-0.parquet'}'")
    frame.with_columns(v=pl.lit("other")).write_parquet(tmp_path / "warehouse" / "other.parquet")
    monkeypatch.setattr(traces, "_data_bytes", lambda: 0)  # of this process, in which other threads work
    monkeypatch.chdir(tmp_path)  # put back after the worker's own chdir
    return tmp_path / "warehouse"


@pytest.fixture
def started(warehouse: Path) -> Iterator[Callable[..., Api]]:
    made: list[Api] = []

    def start(**setup: Any) -> Api:
        made.append(Api(warehouse, warehouse.parent / "spill", **setup))
        return made[-1]

    yield start
    for api in made:
        api.close()
