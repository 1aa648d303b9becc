"""Casts as people expect them: every form of text, bad values, zones, formats, and that a cast looks at one row."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.values import cast as casting
from service.values import dtypes
from tests.examples import examples

D, DT, T = dt.date, dt.datetime, dt.time
NAN = float("nan")
INF = float("inf")


def cast(values: list[Any], target: str, formats: Any = (), dtype: Any = None, *, strict: bool = False) -> list[Any]:
    frame = pl.DataFrame({"v": pl.Series(values, dtype=dtype)})
    to = dtypes.parse(target)
    made = frame.lazy().select(casting.cast("v", frame.schema["v"], to, formats, strict=strict)).collect()["v"]
    assert made.dtype == to
    return made.to_list()


INTEGERS = {
    "12": 12, "+12": 12, " 12 ": 12, "12.0": 12, "12.": 12, "1e3": 1000, "-0": 0, "12.5": None, "1_000": None,
    "0x10": None, "": None, "nan": None, "inf": None, "1,5": None, "9007199254740993": 9007199254740993,
    "9007199254740993.0": None, "9007199254740991.0": 9007199254740991,
    "9007199254740993.5": None, "1e-400": None, "0e5": 0, "99999999999999999999": None, "١٢": None, "abc": None,
}  # fmt: skip
FLOATS = {
    "12": 12.0, " -1.5 ": -1.5, ".5": 0.5, "1e3": 1000.0, "inf": float("inf"), "": None, "1,5": None, "x": None,
    "1e400": None, "-1e400": None, "1e-400": 0.0, "-Infinity": float("-inf"),
}  # fmt: skip
BOOLEANS = {
    "True": True, " yes ": True, "Y": True, "on": True, "1": True, "f": False, "No": False, "OFF": False, "0": False,
    "maybe": None, "": None, "10": None,
}  # fmt: skip
DATES = {
    "2024-02-29": D(2024, 2, 29), "2023-02-29": None, " 2024-1-5 ": D(2024, 1, 5), "2024-01-31T10:00": D(2024, 1, 31),
    "2024-01-31 23:30:00.5": D(2024, 1, 31), "2024-01-31T23:30:00+02:00": D(2024, 1, 31), "31.01.2024": None, "": None,
    "0001-01-01": D(1, 1, 1), "9999-12-31": D(9999, 12, 31), "2024-02-29T23:59:60": None,
}  # fmt: skip
DATETIMES = {
    "2024-02-29": DT(2024, 2, 29),
    "2024-01-31T10:00": DT(2024, 1, 31, 10),
    "2024-01-31 10:00:01": DT(2024, 1, 31, 10, 0, 1),
    "2024-01-31T10:00:00.123456789Z": DT(2024, 1, 31, 10, 0, 0, 123456),
    "2024-01-31T23:30:00+02:00": DT(2024, 1, 31, 21, 30),
    "2024-01-31T23:30+02:00": DT(2024, 1, 31, 21, 30),
    "2024-01-31T23:30Z": DT(2024, 1, 31, 23, 30),
    "2024-01-31 23:30:00.5+02": DT(2024, 1, 31, 21, 30, 0, 500_000),
    "2024-01-31 23:30-05": DT(2024, 2, 1, 4, 30),
    "2024-01-31T23:30:00 +0200": DT(2024, 1, 31, 21, 30),
    "2024-01-31T24:00:00": None,
    "9999-12-31T23:00:00-05:00": None,
    "0001-01-01T00:00:00+05:00": None,
    "x": None,
    "": None,
}
TIMES = {"10:30": T(10, 30), " 9:05:06.5 ": T(9, 5, 6, 500_000), "25:00": None, "10": None, "": None}
DECIMALS = {"12": Decimal("12.00"), "1.005": Decimal("1.00"), "1.015": Decimal("1.02"), "1e3": Decimal(1000), "x": None,
            "123456789": None, "nan": None}  # fmt: skip


@pytest.mark.parametrize(
    ("target", "cases"),
    [("int64", INTEGERS), ("float64", FLOATS), ("boolean", BOOLEANS), ("date", DATES), ("datetime", DATETIMES),
     ("time", TIMES), ("decimal(8,2)", DECIMALS), ("enum(a,b)", {"a": "a", "c": None, "": None})],
)  # fmt: skip
def test_text(target: str, cases: dict[str, Any]) -> None:
    assert cast([*cases, None], target) == [*cases.values(), None]


@pytest.mark.parametrize(
    ("target", "kept"),
    [("int8", "127"), ("uint8", "255"), ("int16", "32767"), ("uint32", "4294967295"), ("uint64", str(2**64 - 1))],
)
def test_whole_numbers_within_their_range(target: str, kept: str) -> None:
    assert cast([kept, str(int(kept) + 1), "-1" if target[0] == "u" else "0"], target)[:2] == [int(kept), None]


def test_a_strict_cast_shows_the_value() -> None:
    with pytest.raises(pl.exceptions.InvalidOperationError, match=r"column 'v': x\{\}y is not int64"):
        cast(["12", "x{}y"], "int64", strict=True)
    with pytest.raises(pl.exceptions.InvalidOperationError, match=r"1e\+300 is not date"):
        cast([1e300], "date", ["epoch"], strict=True)
    assert cast(["1", None], "int64", strict=True) == [1, None]


@pytest.mark.parametrize("bad", [["1", "x"], "[1, 2.5]", "[1", "5", '[null, "x"]'])
def test_a_strict_cast_looks_into_lists(bad: Any) -> None:
    with pytest.raises(pl.exceptions.PolarsError, match=r"is not list\(int64\)"):
        cast([bad], "list(int64)", strict=True)


def test_a_strict_cast_lets_missing_values_of_a_list_be() -> None:
    assert cast([[None, "1"], None, []], "list(int64)", strict=True) == [[None, 1], None, []]
    assert cast(["[null, 1]", None], "list(int64)", strict=True) == [[None, 1], None]


BERLIN = "datetime[Europe/Berlin]"


def test_local_times_in_a_zone_and_the_hours_that_clocks_skip_or_repeat() -> None:
    texts = [
        "2024-03-31 02:30",
        "2024-10-27 02:30",
        "2024-07-01 12:00",
        "2024-07-01T12:00:00Z",
        "2024-07-01T12:00:00+05:30",
        "2024-10-27T02:30:00+01:00",
        "2024-10-27 02:30+02",
    ]
    made = cast(texts, BERLIN)
    assert made[0] is None
    assert [m.isoformat() for m in made[1:]] == [
        "2024-10-27T02:30:00+02:00",
        "2024-07-01T12:00:00+02:00",
        "2024-07-01T14:00:00+02:00",
        "2024-07-01T08:30:00+02:00",
        "2024-10-27T02:30:00+01:00",
        "2024-10-27T02:30:00+02:00",
    ]
    by_format = cast(["27.10.2024 02:30 +0100", "27.10.2024 02:30 +0200"], BERLIN, ["%d.%m.%Y %H:%M %z"])
    assert [m.isoformat() for m in by_format] == ["2024-10-27T02:30:00+01:00", "2024-10-27T02:30:00+02:00"]


@pytest.mark.parametrize(
    ("values", "dtype", "target", "wanted"),
    [
        ([DT(2024, 7, 1, 12)], None, BERLIN, ["2024-07-01T12:00:00+02:00"]),
        ([DT(2024, 7, 1, 12)], pl.Datetime("us", "UTC"), BERLIN, ["2024-07-01T14:00:00+02:00"]),
        ([DT(2024, 7, 1, 12)], pl.Datetime("us", "UTC"), "datetime", ["2024-07-01T12:00:00"]),
        ([D(2024, 7, 1)], None, BERLIN, ["2024-07-01T00:00:00+02:00"]),
        ([DT(2024, 7, 1, 12)], None, "date", ["2024-07-01"]),
        ([DT(2024, 7, 1, 12)], None, "time", ["12:00:00"]),
        ([D(2024, 7, 1)], None, "datetime", ["2024-07-01T00:00:00"]),
    ],
)
def test_times_to_times(values: list[Any], dtype: Any, target: str, wanted: list[str]) -> None:
    assert [v.isoformat() for v in cast(values, target, dtype=dtype)] == wanted


@pytest.mark.parametrize(
    ("values", "target", "formats", "wanted"),
    [
        (["01.02.2024", "2024-03-04", "x"], "date", ["%d.%m.%Y", "%Y-%m-%d"], [D(2024, 2, 1), D(2024, 3, 4), None]),
        (["Feb 3, 2024"], "datetime", ["%b %d, %Y"], [DT(2024, 2, 3)]),
        (["03/02/2024 05:06 PM"], "datetime", ["%d/%m/%Y %I:%M %p"], [DT(2024, 2, 3, 17, 6)]),
        (["2024-01-01T00:00:00+0200"], "datetime", ["%Y-%m-%dT%H:%M:%S%z"], [DT(2023, 12, 31, 22)]),
        (["10h30"], "time", ["%Hh%M"], [T(10, 30)]),
        (
            ["1706659200", " 1706659200.5 ", "x"],
            "datetime",
            ["epoch"],
            [DT(2024, 1, 31), DT(2024, 1, 31, 0, 0, 0, 500_000), None],
        ),
        ([1706659200], "date", ["epoch"], [D(2024, 1, 31)]),
        ([1706659200000, None], "datetime", ["epoch_ms"], [DT(2024, 1, 31), None]),
        ([1e300, NAN], "datetime", ["epoch_us"], [None, None]),
        ([D(2024, 2, 1)], "string", ["%d.%m.%Y"], ["01.02.2024"]),
    ],
)
def test_formats(values: list[Any], target: str, formats: list[str], wanted: list[Any]) -> None:
    assert cast(values, target, formats) == wanted


@pytest.mark.parametrize(
    ("values", "dtype", "target", "wanted"),
    [
        ([1.9, -1.9, NAN, 1e30], None, "int64", [1, -1, None, None]),
        ([2**63], pl.UInt64, "int64", [None]),
        ([1e39, -1e39, INF, 0.5, None], None, "float32", [None, None, INF, 0.5, None]),
        (["1e39", "-inf", "0.5"], None, "float32", [None, -INF, 0.5]),
        (['["1e400", 2]'], None, "list(float64)", [[None, 2.0]]),
        ([1, 2, 0, None], None, "boolean", [True, True, False, None]),
        ([0.0, NAN], None, "boolean", [False, None]),
        ([True, None], None, "int8", [1, None]),
        ([1, None], None, "string", ["1", None]),
        ([True], None, "string", ["true"]),
        ([DT(2024, 1, 1, 2, 3, 4, 5)], None, "string", ["2024-01-01T02:03:04.000005"]),
        ([1.005, 2.5], None, "decimal(5,2)", [Decimal("1.00"), Decimal("2.50")]),
        ([None, None], pl.Null, "date", [None, None]),
        ([[1, 2], None], None, "list(string)", [["1", "2"], None]),
        ([[" 12.0", "x", None], []], None, "list(int64)", [[12, None, None], []]),
        ([[["1", "x"], None]], None, "list(list(int64))", [[[1, None], None]]),
        (["[1, 2]", "[]", " [ 3 ] ", '["4", null]', None], None, "list(int64)", [[1, 2], [], [3], [4, None], None]),
        (["[1", "1", "{}", "[[1]]", '[{"a": 1}]', "[1,]", "", "null"], None, "list(int64)", [None] * 8),
        (["[1.5, 1e2]"], None, "list(float64)", [[1.5, 100.0]]),
        (
            ['["a, b", "[c]", "\\u00e9", "", "x\\"y", 1, true]'],
            None,
            "list(string)",
            [["a, b", "[c]", "é", "", 'x"y', "1", "true"]],
        ),
        (["[12345678901234567890123]"], None, "list(string)", [["12345678901234567890123"]]),
        (['["2024-02-29"]', '["2023-02-29"]'], None, "list(date)", [[D(2024, 2, 29)], [None]]),
        ([[1, None], None], None, "string", ["[1,null]", None]),
        ([{"a": 'x"', "b": [1.5]}, None], None, "string", ['{"a":"x\\"","b":[1.5]}', None]),
        ([True, None], None, "decimal(3,1)", [Decimal("1.0"), None]),
        (["x", "1"], pl.Categorical, "int64", [None, 1]),
        ([dt.timedelta(seconds=-1.5), None], pl.Duration("ms"), "float64", [-1.5, None]),
        ([dt.timedelta(days=2)], pl.Duration("ns"), "int64", [172_800]),
        ([dt.timedelta(seconds=-60), dt.timedelta(microseconds=7)], pl.Duration("ns"), "float64", [-60.0, 7e-06]),
        ([dt.timedelta(days=999_999, microseconds=1)], None, "decimal(20,6)", [Decimal("86399913600.000001")]),
        ([dt.timedelta(seconds=-1.5), dt.timedelta(microseconds=-1)], None, "int64", [-1, 0]),
        ([dt.timedelta(seconds=90)], None, "decimal(5,1)", [Decimal("90.0")]),
        ([1, None], None, "categorical", ["1", None]),
    ],
)
def test_other_types(values: list[Any], dtype: Any, target: str, wanted: list[Any]) -> None:
    assert cast(values, target, dtype=dtype) == wanted


@pytest.mark.parametrize(
    ("values", "target", "formats", "message"),
    [
        ([[1]], "int64", (), "there is no cast from list"),
        (["[[1]]"], "list(list(int64))", (), "there is no cast from string to list"),
        ([5], "date", (), "only with format: epoch"),
        ([5], "time", (), "there is no cast from int64 to time"),
        ([dt.timedelta(1)], "date", (), "there is no cast from duration"),
        ([D(2024, 1, 1)], "int64", (), "there is no cast from date"),
        (["1"], "int64", ["%d"], "a format applies to dates and times"),
        (["1"], "date", ["%Q"], "'%Q' is not a format for date"),
        (["1"], "date", ["%H:%M"], "lacks a part of a date"),
        (["1"], "datetime", ["%d.%m."], "for datetime|lacks a part"),
        (["1"], "time", ["%I:%M"], "lacks a part of a time"),
        (["1"], "date", ["epoch", "%Y"], "cannot be combined with other formats"),
        (["1"], "time", ["epoch"], "need a date or datetime"),
        ([D(2024, 1, 1)], "string", ["%H:%M"], "is not a format for string"),
    ],
)
def test_what_cannot_be_cast_says_so_before_rows_are_read(
    values: list[Any], target: str, formats: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        cast(values, target, formats)


TARGETS = [
    "int64", "uint8", "float64", "decimal(12,3)", "boolean", "date", "datetime", BERLIN, "time", "categorical",
    "list(string)", "list(int64)",
]  # fmt: skip
TEXTS = st.lists(
    st.one_of(
        st.none(), st.text(max_size=8), st.integers().map(str), st.floats().map(str), st.dates().map(str),
        st.datetimes().map(str), st.lists(st.one_of(st.integers(), st.text(max_size=4))).map(json.dumps),
        st.sampled_from([*BOOLEANS, *TIMES, *INTEGERS]),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@examples(25)
@given(TEXTS, st.sampled_from(TARGETS), st.data())
def test_no_text_breaks_a_cast_and_each_row_stands_alone(
    texts: list[str | None], target: str, data: st.DataObject
) -> None:
    whole = cast(texts, target, dtype=pl.String)
    cut = data.draw(st.integers(0, len(texts)))
    apart = cast(texts[:cut], target, dtype=pl.String) + cast(texts[cut:], target, dtype=pl.String)
    assert repr(whole) == repr(apart)


@pytest.mark.parametrize(
    ("dtype", "formats", "texts", "wanted"),
    [
        ("float64", (), ["1.5", " 1.5\t", "\u00a02e3", " 1 5", "", "  ", None, " 1e400 "],
         [1.5, 1.5, 2000.0, None, None, None, None, None]),
        ("date", ("%d.%m.%Y",), ["31.01.2024", " 31.01.2024 ", "\u00a01.2.2024\n", "31.01. 24 ", " "],
         [dt.date(2024, 1, 31), dt.date(2024, 1, 31), dt.date(2024, 2, 1), None, None]),
        ("time", ("%H:%M:%S",), ["10:00:00", " 10:00:00 ", " 10:00:60 "], [dt.time(10), dt.time(10), None]),
        ("datetime", ("%Y-%m-%d %H:%M:%S",), ["2024-01-31 10:00:00 ", " 2024-01-31 10:00:60", " 24-01-31 10:00:00"],
         [dt.datetime(2024, 1, 31, 10), None, None]),
    ],
)  # fmt: skip
def test_white_space_around_a_text_does_not_count(
    dtype: str, formats: tuple[str, ...], texts: list[str | None], wanted: list[Any]
) -> None:
    assert cast(texts, dtype, formats, pl.String) == wanted


@examples(25)
@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1), st.booleans())
def test_whole_numbers_round_trip_through_text(numbers: list[int | None], strict: bool) -> None:
    texts = cast(numbers, "string", dtype=pl.Int64)
    assert cast(texts, "int64", dtype=pl.String, strict=strict) == numbers


@examples(25)
@given(st.lists(st.datetimes(min_value=DT(1, 1, 1)), min_size=1))
def test_datetimes_round_trip_through_text(moments: list[dt.datetime]) -> None:
    texts = cast(moments, "string", dtype=pl.Datetime("us"))
    assert cast(texts, "datetime", dtype=pl.String, strict=True) == moments
