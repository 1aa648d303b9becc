"""Text to types: what fits comes through, what does not is null."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from service.values import dtypes, parse

BERLIN = ZoneInfo("Europe/Berlin")


def read(text: str | None, kind: str, **how: Any) -> Any:
    frame = pl.DataFrame({"c": [text]}, schema={"c": pl.String})
    column = parse.tolerantly(pl.col("c"), dtypes.parse(kind), **how).alias("c")
    return frame.lazy().with_columns(column).collect(engine="streaming")["c"][0]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("7", "int64", 7),
        ("-128", "int8", -128),
        ("1.5", "float64", 1.5),
        ("1e3", "float64", 1000.0),
        ("12.30", "decimal(10,2)", Decimal("12.30")),
        ("x", "string", "x"),
        ("", "string", ""),
        ("Yes", "boolean", True),
        ("0", "boolean", False),
        ("2026-11-23", "date", date(2026, 11, 23)),
        ("10:20:30.5", "time", time(10, 20, 30, 500_000)),
        ("10:20", "time", time(10, 20)),
        ("2026-11-23", "datetime", datetime(2026, 11, 23)),
        ("2026-11-23T10:20", "datetime", datetime(2026, 11, 23, 10, 20)),
        ("2026-11-23 10:20:30", "datetime", datetime(2026, 11, 23, 10, 20, 30)),
        ("2026-11-23T10:20:30+02:00", "datetime", datetime(2026, 11, 23, 8, 20, 30)),
        ("2026-11-23T10:20:30Z", "datetime[UTC]", datetime(2026, 11, 23, 10, 20, 30, tzinfo=UTC)),
        ("2026-11-23T10:20:30", "datetime[Europe/Berlin]", datetime(2026, 11, 23, 10, 20, 30, tzinfo=BERLIN)),
        ("b", "enum(a,b)", "b"),
        ("b", "categorical", "b"),
    ],
)
def test_what_fits(text: str, kind: str, value: Any) -> None:
    assert read(text, kind) == value
    assert read(None, kind) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x", "int64"), ("1.5", "int64"), ("300", "int8"), ("", "float64"), ("1,5", "float64"), ("maybe", "boolean"),
        ("2026-13-01", "date"), ("23.11.2026", "date"), ("25:00", "time"), ("tomorrow", "datetime"), ("c", "enum(a,b)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_null(text: str, kind: str) -> None:
    assert read(text, kind) is None


def test_decimal_commas() -> None:
    assert read("1,5", "float64", decimal_comma=True) == 1.5
    assert read("1,50", "decimal(5,2)", decimal_comma=True) == Decimal("1.50")


def test_text_becomes_no_list() -> None:
    with pytest.raises(ValueError, match="text cannot be read as List"):
        parse.tolerantly(pl.col("c"), pl.List(pl.Int64))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("24-02-29", "date"), ("-0001-01-01", "date"), ("0000-01-01", "date"), ("+12024-01-01", "date"),
        ("24-02-29 10:00:00", "datetime"), ("2024-02-29T10:00:60", "datetime"), ("2024-02-29T10:00:60Z", "datetime"),
        ("24-02-29T10:00:00Z", "datetime[Europe/Berlin]"), ("10:00:60", "time"),
    ],
)  # fmt: skip
def test_years_have_four_digits_and_minutes_60_seconds(text: str, kind: str) -> None:
    assert read(text, kind) is None
