"""Calendar parts over all years that a date may have."""

from __future__ import annotations

import datetime as dt
from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.processors.table import apply

EPOCH = dt.datetime(1970, 1, 1)


def epoch(values: pl.Series) -> list[int | None]:
    return apply("transformer", pl.DataFrame({"t": values}), datetime={"t": {"parts": ["epoch"]}}).columns["t_epoch"]


@pytest.mark.parametrize("unit", ["ms", "us"])
@given(st.lists(st.one_of(st.none(), st.datetimes()), min_size=1, max_size=5))
def test_the_epoch_of_every_datetime(unit: Literal["ms", "us"], moments: list[dt.datetime | None]) -> None:
    seconds = [None if m is None else (m - EPOCH) // dt.timedelta(seconds=1) for m in moments]
    assert epoch(pl.Series(moments, dtype=pl.Datetime(unit))) == seconds


@given(st.dates())
def test_the_epoch_of_every_date(day: dt.date) -> None:
    assert epoch(pl.Series([day])) == [(day - dt.date(1970, 1, 1)).days * 86_400]


def test_the_epoch_of_a_zone_is_the_instant() -> None:
    moment = dt.datetime(1500, 1, 1, tzinfo=ZoneInfo("UTC"))
    values = pl.Series([moment], dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone("Asia/Tokyo")
    assert epoch(values) == [int(moment.timestamp())]
