"""Columns of numbers that are text because of some other value say so, whichever reader the file needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.unit.collectors.csv_source import read


def warned(ctx: Any) -> dict[str, str]:
    return {w.details["column"]: w.message for w in ctx.report().warnings if w.code == "mixed_types"}


@pytest.mark.parametrize("strictly", [False, True])
@pytest.mark.parametrize(
    ("values", "other"),
    [
        (["1", "2", "x"], "numbers, and 'x'"),
        (["x", "1.5", "", "-2e3"], "numbers, and 'x'"),
        (["true", "FALSE", "maybe"], "true and false, and 'maybe'"),
        ([*map(str, range(3000)), "n/a"], "numbers, and 'n/a'"),
        (["1", "2", "y" * 100], f"numbers, and '{'y' * 80}'"),
        (["1", "a", "b"], None),
        (["00501", "10001", "94105"], None),  # all are numbers, and text because of their zeros
        (["00501", "00502", "x"], None),
        (["1", "2", ""], None),
        (["a", "b"], None),
        (["2024-01-01", "soon"], None),
    ],
)
def test_numbers_beside_other_values(values: list[str], other: str | None, strictly: bool, tmp_path: Path) -> None:
    lines = ["v,w", *(f"{value},x" for value in values)]
    extra: dict[str, Any] = {}
    if strictly:
        lines[2:2] = ["1,2,3,4"]
        extra["on_malformed"] = "skip"
    rows, ctx = read(tmp_path, "\n".join([*lines, ""]), **extra)
    assert rows.height == len(values)
    if other is None:
        assert warned(ctx) == {}
    else:
        assert warned(ctx)["v"].startswith(f"the values of 'v' differ in kind: {other} (")
        assert warned(ctx)["v"].endswith("they are kept as text")
        assert rows["v"].dtype == pl.String
    for settled in ({"schema": {"v": "string"}}, {"columns": ["w"]}, {"infer_rows": 0}):
        _, ctx = read(tmp_path, "\n".join([*lines, ""]), **extra, **settled)
        assert warned(ctx) == {}


def test_a_file_of_numbers_beside_a_file_of_text(tmp_path: Path) -> None:
    files = {"a.csv": b"v\n1\n2\n", "b.csv": b"v\n" + b"text\n" * 9}
    _, ctx = read(tmp_path, files, file_path="*.csv")
    assert list(warned(ctx)) == ["v"]
    _, ctx = read(tmp_path, "v\n1,5\n2\nx\n", separator=";", decimal_comma=True)
    assert list(warned(ctx)) == ["v"]
