"""A file of many columns is read in larger batches, with the same rows and the same errors."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.collectors.csv_file import wide_batches
from service.collectors.csv_file.checked_columns import CheckedColumn, checked
from service.collectors.csv_file.scan import CsvFile, CsvReader
from service.engine.polars_frame import PolarsFrame
from service.kit import errors
from tests.unit.collectors.csv_source import FILE, collector, read, surroundings

COLUMNS, ROWS = 600, 40


def body(**changed: str) -> str:
    """A CSV file; ``changed`` are cells by column and row, such as ``c7_3``."""
    head = ",".join(f"c{c}" for c in range(COLUMNS))
    rows = [
        [changed.get(f"c{c}_{r}", f"{c}.{r % 10}" if c % 2 else f"t{r}") for c in range(COLUMNS)] for r in range(ROWS)
    ]
    return "\n".join([head, *(",".join(row) for row in rows)]) + "\n"


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide_batches, "_CELLS", 7 * COLUMNS)


@pytest.mark.parametrize("config", [{}, {"columns": ["c3", "c2"]}, {"schema": {"c1": "decimal(8,2)"}}], ids=str)
def test_the_rows_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]) -> None:
    found, _ = read(tmp_path, body(), **config)
    monkeypatch.setattr(wide_batches, "_WIDE", COLUMNS)
    wanted, _ = read(tmp_path, body(), **config)
    assert found.equals(wanted, null_equal=True)
    assert found.height == ROWS


@pytest.mark.parametrize("name", ["rejected value", "torn row"])
def test_errors_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text = body() + ("x" * 9 + "\n" if name == "torn row" else "")
    config = {"schema": {"c2": "int64"}} if name == "rejected value" else {}
    messages = []
    for wide in (wide_batches._WIDE, COLUMNS):
        monkeypatch.setattr(wide_batches, "_WIDE", wide)
        with pytest.raises((errors.Permanent, pl.exceptions.PolarsError)) as caught:
            read(tmp_path, text, **config)
        messages.append(re.sub(r": t\d+ ", ": t ", str(caught.value).split("\n")[0]))  # batches are read side by side
    assert messages[0] == messages[1]


def test_what_is_not_wanted_is_not_read(tmp_path: Path) -> None:
    ctx = surroundings(tmp_path)
    (tmp_path / "uploads" / FILE).write_text(body())
    frame = asyncio.run(collector().collect(ctx))
    assert isinstance(frame, PolarsFrame)
    lf = frame.lazy
    assert lf.select("c5").head(9).collect(engine="streaming")["c5"].to_list() == [5 + r / 10 for r in range(9)]
    kept = lf.filter(pl.col("c5") > 5.8).select("c4", "c5").collect(engine="streaming")
    assert kept["c4"].to_list() == [f"t{r}" for r in range(ROWS) if r % 10 == 9]


def test_texts_are_not_in_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine holds what is on its way between nodes: values, and no texts to compare them with."""
    monkeypatch.setattr(wide_batches, "_WIDE", 250)
    compared: list[int] = []

    def counting(lf: pl.LazyFrame, columns: Sequence[CheckedColumn]) -> pl.LazyFrame:
        compared.append(len(columns))
        return checked(lf, columns)

    monkeypatch.setattr(wide_batches, "checked", counting)
    ctx = surroundings(tmp_path)
    (tmp_path / "uploads" / FILE).write_text(body())
    frame = asyncio.run(collector().collect(ctx))
    assert isinstance(frame, PolarsFrame)
    plan = frame.lazy.show_graph(engine="streaming", plan_stage="physical", raw_output=True)
    assert plan is not None
    assert "map" not in plan
    assert not compared, "nothing was read yet"
    assert frame.lazy.collect(engine="streaming").height == ROWS
    assert max(compared) <= 250


def test_the_sample_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run holds the reader, which explains errors, to its end."""
    kept: list[CsvFile] = []
    monkeypatch.setattr(CsvReader, "finish", lambda self, sources, types: kept.extend(sources))
    read(tmp_path, body())
    assert [(len(k.sample), len(k.sample.columns), k.survey.sample) for k in kept] == [(0, COLUMNS, b"")]
