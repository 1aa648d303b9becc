"""Fills from the rows around, within groups and in an order, against a plain Python account; and ordered duplicates."""

from __future__ import annotations

import statistics
from collections import defaultdict
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.unit.processors.table import NAN, apply, invalid, refused

DATA = {
    "g": ["a", "b", "a", "b", "a", None],
    "t": [3, 1, 1, 2, 2, None],
    "v": [None, 1.0, 2.0, None, NAN, 7.0],
    "s": [None, "x", "y", None, None, None],
    "i": [1, None, None, 4, 5, None],
}


@pytest.mark.parametrize(
    ("column", "how", "wanted"),
    [
        ("v", {"strategy": "forward"}, [None, 1.0, 2.0, 2.0, 2.0, 7.0]),
        ("v", {"strategy": "backward"}, [1.0, 1.0, 2.0, 7.0, 7.0, 7.0]),
        ("v", {"strategy": "forward", "order_by": "t"}, [2.0, 1.0, 2.0, 2.0, 2.0, 7.0]),
        ("v", {"strategy": "forward", "group_by": "g", "order_by": ["t"]}, [2.0, 1.0, 2.0, 1.0, 2.0, 7.0]),
        ("s", {"strategy": "backward", "group_by": ["g"]}, ["y", "x", "y", None, None, None]),
        ("i", {"strategy": "interpolate"}, [1.0, 2.0, 3.0, 4.0, 5.0, None]),
        ("i", {"strategy": "interpolate", "group_by": "g"}, [1.0, None, 3.0, 4.0, 5.0, None]),
        ("v", {"strategy": "mean", "group_by": "g"}, [2.0, 1.0, 2.0, 1.0, 2.0, 7.0]),
        ("i", {"strategy": "median", "group_by": "g"}, [1.0, 4.0, 3.0, 4.0, 5.0, None]),
        ("i", {"strategy": "min", "group_by": "g"}, [1, 4, 1, 4, 5, None]),
        ("i", {"strategy": "max", "group_by": "g"}, [1, 4, 5, 4, 5, None]),
        ("s", {"strategy": "mode", "group_by": "g"}, ["y", "x", "y", "x", "y", None]),
    ],
)
def test_windows_fill(column: str, how: dict[str, Any], wanted: list[Any]) -> None:
    done = apply("cleaner", DATA, fill_na={column: how})
    assert done.columns[column] == wanted
    assert {n: v for n, v in done.columns.items() if n not in (column, "v")} == {
        n: v for n, v in DATA.items() if n not in (column, "v")
    }
    assert done.ctx.report().fitted["fill_na"][column]["strategy"] == how["strategy"]


def test_plain_values_come_before_windows_and_both_are_recorded() -> None:
    done = apply(
        "cleaner", DATA, fill_na={"v": {"strategy": "forward", "order_by": "t"}, "t": 0, "i": {"strategy": "max"}}
    )
    assert done.columns["t"][5] == 0
    assert done.columns["v"] == [2.0, 1.0, 2.0, 2.0, 2.0, 7.0]
    assert set(done.ctx.report().fitted["fill_na"]) == {"v", "t", "i"}


def test_decimals_stay_decimals() -> None:
    frame = pl.DataFrame({"d": pl.Series([Decimal("1.00"), None, Decimal("2.00")], dtype=pl.Decimal(8, 2))})
    assert apply("cleaner", frame, fill_na={"d": {"strategy": "interpolate"}}).columns["d"][1] == Decimal("1.50")


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.none() | st.integers(0, 4),
        st.none() | st.just(NAN) | st.integers(0, 9).map(float),
    ),
    max_size=14,
)


def missing(value: float | None) -> bool:
    return value is None or value != value


@examples(20)
@given(ROWS, st.sampled_from(["forward", "backward", "interpolate", "mean"]), st.booleans())
def test_any_rows_are_filled_as_python_would(rows: list[tuple[Any, ...]], strategy: str, grouped: bool) -> None:
    groups: dict[Any, list[int]] = defaultdict(list)
    for place, (group, _, _) in enumerate(rows):
        groups[group if grouped else ""].append(place)
    wanted: list[Any] = [None if missing(v) else v for _, _, v in rows]
    for places in groups.values():
        if strategy != "mean":
            places.sort(key=lambda p: (rows[p][1] is None, rows[p][1] or 0))
        known = [i for i, p in enumerate(places) if not missing(rows[p][2])]
        for i, place in enumerate(places):
            before, after = [k for k in known if k <= i], [k for k in known if k >= i]
            value = [rows[p][2] for p in places]
            if i in known or not known:
                continue
            if strategy == "mean":
                wanted[place] = statistics.fmean(value[k] for k in known)
            elif strategy == "forward" and before:
                wanted[place] = value[before[-1]]
            elif strategy == "backward" and after:
                wanted[place] = value[after[0]]
            elif strategy == "interpolate" and before and after:
                low, high = before[-1], after[0]
                wanted[place] = value[low] + (value[high] - value[low]) * (i - low) / (high - low)
    frame = pl.DataFrame(rows, schema={"g": pl.String, "t": pl.Int64, "v": pl.Float64}, orient="row")
    how: dict[str, Any] = {"strategy": strategy} | ({"order_by": "t"} if strategy != "mean" else {})
    how |= {"group_by": "g"} if grouped else {}
    if strategy == "mean" and not grouped:
        wanted = [w if w is not None else None for w in wanted]
    done = apply("cleaner", frame, fill_na={"v": how})
    got = [None if missing(v) else v for v in done.columns["v"]]
    assert got == [None if w is None else pytest.approx(w) for w in wanted]
    assert done.rows.select("g", "t").equals(frame.select("g", "t"), null_equal=True)


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({"columns": ["g"], "order_by": "t"}, [1, 2, 5]),
        ({"columns": ["g"], "order_by": ["t", "i"], "keep": "last"}, [0, 3, 5]),
        ({"order_by": "t"}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_the_first_and_last_of_an_order(rule: dict[str, Any], kept: list[int]) -> None:
    done = apply("cleaner", {**DATA, "_place": range(6)}, drop_duplicates=rule)
    assert done.columns["_place"] == kept


@pytest.mark.parametrize(
    ("how", "field", "message"),
    [
        ({"s": {"strategy": "interpolate"}}, "fill_na.s", "interpolate does not apply to a string column"),
        ({"s": {"strategy": "mean", "group_by": "g"}}, "fill_na.s", "mean does not apply to"),
        ({"v": {"strategy": "forward", "order_by": "tt"}}, "fill_na.v.order_by", "did you mean 't'?"),
        ({"v": {"strategy": "forward", "group_by": ["gg"]}}, "fill_na.v.group_by", "did you mean 'g'?"),
        ({"v": {"strategy": "forward", "group_by": "v"}}, "fill_na.v.group_by", "by its own values"),
    ],
)
def test_what_cannot_be_filled_so(how: dict[str, Any], field: str, message: str) -> None:
    found, said = refused("cleaner", DATA, fill_na=how)
    assert found == field
    assert message in said


def test_what_does_not_go_together() -> None:
    problems = invalid("cleaner", fill_na={"a": {"strategy": "mean", "order_by": "t"}})
    assert "does not depend on the order" in problems["fill_na.a"]
    assert "leave group_by out" in invalid("cleaner", fill_na={"a": {"strategy": "zero", "group_by": "t"}})["fill_na.a"]
    problems = invalid("cleaner", drop_duplicates={"keep": "none", "order_by": "t"})
    assert list(problems) == ["drop_duplicates.order_by"]
