"""Dates and times as text: fractions, years of four digits, seconds below 60, and the years 1 to 9999."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.values import cast as casting
from service.values import dtypes

D, DT, T = dt.date, dt.datetime, dt.time


def cast(values: list[Any], target: str, formats: Any = (), dtype: Any = None) -> list[Any]:
    frame = pl.DataFrame({"v": pl.Series(values, dtype=dtype)})
    expression = casting.cast("v", frame.schema["v"], dtypes.parse(target), formats)
    return frame.lazy().select(expression).collect(engine="streaming")["v"].to_list()


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2024-02-29 10:30:15.5", "%Y-%m-%d %H:%M:%S.%f"),
        ("2024-02-29 10:30:15.123456", "%Y-%m-%d %H:%M:%S.%f"),
        ("2024-02-29 10:30:15.000001", "%Y-%m-%d %H:%M:%S.%f"),
        ("2024-02-29T10:30:15,25", "%Y-%m-%dT%H:%M:%S,%f"),
        ("20240229103015123", "%Y%m%d%H%M%S%f"),
        ("20240229_103015123456", "%Y%m%d_%H%M%S%f"),
        ("29 Feb 2024 10:30:15:042", "%d %b %Y %H:%M:%S:%f"),
        ("10:30:15.75 PM on 29/02/2024", "%I:%M:%S.%f %p on %d/%m/%Y"),
    ],
)
def test_fractions_are_read_as_python_reads_them(text: str, form: str) -> None:
    assert cast([text, None, "x"], "datetime", [form]) == [DT.strptime(text, form), None, None]


@given(st.datetimes(min_value=DT(1000, 1, 1)), st.sampled_from(["%Y-%m-%d %H:%M:%S.%f", "%Y%m%d%H%M%S%f"]))
def test_every_moment_that_python_writes_is_read(moment: dt.datetime, form: str) -> None:
    assert cast([moment.strftime(form)], "datetime", [form]) == [moment]
    assert cast([moment], "string", [form], pl.Datetime("us")) == [moment.strftime(form)]


def test_fractions_of_times_and_of_a_zone() -> None:
    assert cast(["103015250"], "time", ["%H%M%S%f"]) == [T(10, 30, 15, 250_000)]
    assert cast(["10:30:15.5 +0200"], "time", ["%H:%M:%S.%f %z"]) == [T(10, 30, 15, 500_000)]
    assert cast(["2024-02-29 10:30:15.5+0200"], "datetime", ["%Y-%m-%d %H:%M:%S.%f%z"]) == [
        DT(2024, 2, 29, 8, 30, 15, 500_000)
    ]


@pytest.mark.parametrize("form", ["%Q%f", "%f %f"])
def test_a_fraction_that_cannot_be_told_apart_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match="%f"):
        cast(["x"], "datetime", [form])


@pytest.mark.parametrize(
    ("target", "formats", "text", "value"),
    [
        ("date", (), "24-02-29", None),
        ("date", (), "0024-02-29", D(24, 2, 29)),
        ("date", (), "-0001-01-01", None),
        ("date", (), "+12024-01-01", None),
        ("date", (), "0000-01-01", None),
        ("date", (), "999-01-01", None),
        ("date", (), "1000-01-01", D(1000, 1, 1)),
        ("date", ["%d.%m.%Y"], "29.02.24", None),
        ("date", ["%d.%m.%Y"], "29.02.2024", D(2024, 2, 29)),
        ("date", ["%d.%m.%Y"], "1.2.0024", D(24, 2, 1)),
        ("date", ["%d.%m.%y"], "29.02.24", D(2024, 2, 29)),
        ("date", ["%Y-%m-%d", "%y-%m-%d"], "24-02-29", D(2024, 2, 29)),
        ("datetime", (), "24-02-29 10:00:00", None),
        ("datetime", (), "24-02-29T10:00:00Z", None),
        ("datetime", (), "0024-02-29T10:00:00", DT(24, 2, 29, 10)),
        ("datetime", (), "2024-02-29 10:00:60", None),
        ("datetime", (), "2024-02-29T10:00:60Z", None),
        ("datetime", (), "2024-02-29 10:00:60.5", None),
        ("datetime", (), "1960-02-29 10:00:00", DT(1960, 2, 29, 10)),
        ("datetime", (), "2024-02-29 10:00:00.60", DT(2024, 2, 29, 10, 0, 0, 600_000)),
        ("datetime", ["%Y%m%d%H%M%S"], "19600229100060", None),
        ("datetime", ["%Y%m%d%H%M%S"], "19600229100000", DT(1960, 2, 29, 10)),
        ("datetime", ["%m/%d/%Y %H:%M"], "02/29/24 10:00", None),
        ("datetime", ["%d.%m.%Y %H:%M:%S.%f"], "29.02.2024 10:00:60.5", None),
        ("datetime", ["%d.%m.%Y %H:%M:%S.%f"], "29.02.2024 10:01:00.5", DT(2024, 2, 29, 10, 1, 0, 500_000)),
        ("datetime", ["%b %d %Y %I:%M:%S %p"], "Feb 29 2024 10:00:00 PM", DT(2024, 2, 29, 22)),
        ("time", (), "10:00:60", None),
        ("time", (), "10:00:59.999999", T(10, 0, 59, 999_999)),
        ("time", ["%H%M%S"], "100060", None),
        ("time", ["%H%M%S"], "100059", T(10, 0, 59)),
    ],
)
def test_years_have_four_digits_and_minutes_60_seconds(target: str, formats: Any, text: str, value: Any) -> None:
    assert cast([text, None], target, formats) == [value, None]


LAST = 253_402_300_799  # 9999-12-31 23:59:59


@pytest.mark.parametrize("target", ["date", "datetime"])
@pytest.mark.parametrize(
    ("numbers", "unit", "dtype"),
    [
        (["1717804800000", str(LAST + 1), "-62135596801", "1e20"], "epoch", None),
        ([1_717_804_800_000, LAST + 1, -62_135_596_801, 2**62], "epoch", None),
        ([LAST * 1000 + 1000, -(2**63), 2**63 - 1, 10**17], "epoch_ms", None),
        ([(LAST + 1) * 1_000_000, -(2**63), 2**63 - 1, 10**18], "epoch_us", None),
        ([1e18, float("nan"), float("inf"), -1e18], "epoch", None),
        ([2**64 - 1], "epoch_us", pl.UInt64),
    ],
)
def test_an_epoch_outside_of_the_years_is_a_bad_value(target: str, numbers: list[Any], unit: str, dtype: Any) -> None:
    assert cast(numbers, target, [unit], dtype) == [None] * len(numbers)


def test_epochs_up_to_the_ends_are_exact() -> None:
    assert cast([LAST, -62_135_596_800], "datetime", ["epoch"]) == [DT(9999, 12, 31, 23, 59, 59), DT(1, 1, 1)]
    assert cast([LAST * 1_000_000 + 999_999], "datetime", ["epoch_us"]) == [DT.max]
    assert cast([str(LAST * 1_000_000 + 999_999)], "datetime", ["epoch_us"]) == [DT.max]
    assert cast([str(LAST)], "date", ["epoch"]) == [D(9999, 12, 31)]


@pytest.mark.parametrize(
    ("zone", "beyond", "inside"),
    [
        ("Asia/Tokyo", ["9999-12-31T23:30:00Z", "0001-01-01T00:00:00"], "9999-12-31T23:30:00"),
        ("America/New_York", ["0001-01-01T00:30:00Z", "9999-12-31T23:30:00"], "0001-01-01T00:30:00"),
    ],
)
def test_a_zone_does_not_lead_out_of_the_years(zone: str, beyond: list[str], inside: str) -> None:
    *nothing, known = cast([*beyond, inside], f"datetime[{zone}]")
    assert nothing == [None, None]
    assert known.replace(tzinfo=None) == DT.fromisoformat(inside)


@pytest.mark.parametrize("form", ["%d.%m.%y", "%y%m%d", "%D", "%d %b %y"])
@pytest.mark.parametrize("target", ["date", "datetime"])
def test_years_of_two_digits_are_those_of_python(form: str, target: str) -> None:
    days = [D(1969 + number, 3, 1) for number in range(100)]
    texts = [day.strftime(form) for day in days]
    assert [value if target == "date" else value.date() for value in cast(texts, target, [form])] == days
    assert [DT.strptime(text, form.replace("%D", "%m/%d/%y")).date() for text in texts] == days
