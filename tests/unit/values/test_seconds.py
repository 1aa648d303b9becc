"""Ticks to seconds: the float that Python's own division answers, in plans and in series."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.values import seconds


@pytest.mark.parametrize(("unit", "divisor"), [("ms", 1e3), ("us", 1e6), ("ns", 1e9), (None, 1e6)])
@given(ticks=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_seconds_are_those_of_an_exact_division(unit: str | None, divisor: float, ticks: list[int | None]) -> None:
    column = pl.Series("x", ticks, dtype=pl.Int64)
    wanted = [None if tick is None else tick / divisor for tick in ticks]
    assert seconds.from_ticks(column, unit).to_list() == wanted
    assert column.to_frame().lazy().select(seconds.from_ticks(pl.col("x"), unit)).collect()["x"].to_list() == wanted
