"""Equality of values of two types: by value where no digit can get lost."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.values import equality
from tests.examples import examples

D, DT = Decimal, dt.datetime


def differ(one: Any, other: Any, one_type: pl.DataType, other_type: pl.DataType) -> list[bool]:
    frame = pl.DataFrame({"a": pl.Series(one, dtype=one_type), "b": pl.Series(other, dtype=other_type)})
    found = frame.select(equality.differ(pl.col("a"), pl.col("b"), one_type, other_type)).to_series()
    assert found.null_count() == 0
    return found.to_list()


@given(st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.floats() | st.sampled_from([2.0**53, 2.0**63]))
@examples(200)
def test_whole_numbers_and_floats(one: int | None, other: float | None) -> None:
    wanted = one != other
    assert differ([one], [other], pl.Int64(), pl.Float64()) == [wanted]
    assert differ([other], [one], pl.Float64(), pl.Int64()) == [wanted]


@pytest.mark.parametrize(
    ("one", "other", "one_type", "other_type", "wanted"),
    [
        ([2**64 - 1, 1], [-1, 1], pl.UInt64(), pl.Int64(), [True, False]),
        ([0.1, math.nan, 0.5], [0.1, math.nan, 0.5], pl.Float32(), pl.Float64(), [True, False, False]),
        ([D("1.50"), D("3")], [D("1.5"), D("4")], pl.Decimal(10, 2), pl.Decimal(12, 1), [False, True]),
        ([D("1.00"), D("3.1")], [1, 3], pl.Decimal(10, 2), pl.Int64(), [False, True]),
        ([D("0.5")], [0.5], pl.Decimal(10, 2), pl.Float64(), [True]),
        ([dt.date(2024, 1, 1)] * 2, [DT(2024, 1, 1), DT(2024, 1, 1, 1)], pl.Date(), pl.Datetime("us"), [False, True]),
        ([DT(2024, 1, 1)], [DT(2024, 1, 1)], pl.Datetime("ms"), pl.Datetime("ns"), [False]),
        ([dt.timedelta(1)], [dt.timedelta(1)], pl.Duration("ms"), pl.Duration("ns"), [False]),
        (["a", "b"], ["a", "c"], pl.Categorical(), pl.String(), [False, True]),
        ([1, None], ["1", None], pl.Int64(), pl.String(), [True, False]),
        ([None, 1], [None, None], pl.Int64(), pl.Null(), [False, True]),
        ([[1]], [[1.0]], pl.List(pl.Int64()), pl.List(pl.Float64()), [True]),
    ],
    ids=str,
)  # fmt: skip
def test_two_types(one: Any, other: Any, one_type: pl.DataType, other_type: pl.DataType, wanted: list[bool]) -> None:
    assert differ(one, other, one_type, other_type) == wanted
    assert differ(other, one, other_type, one_type) == wanted


def test_time_zones_are_compared_as_instants() -> None:
    zones = [pl.Datetime("us", "UTC"), pl.Datetime("us", "Europe/Berlin")]
    moment = pl.Series([DT(2024, 1, 1)]).dt.replace_time_zone("UTC")
    assert differ(moment, moment.dt.convert_time_zone("Europe/Berlin"), zones[0], zones[1]) == [False]
    assert differ(moment, [DT(2024, 1, 1)], zones[0], pl.Datetime("us")) == [True]
