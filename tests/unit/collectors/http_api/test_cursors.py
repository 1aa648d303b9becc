"""From where an incremental run asks, value by value: a cursor keeps the form that its source gave it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from service.collectors.http_api import incremental
from service.collectors.http_api.incremental import Cursor, Incremental, Order
from service.kit import errors
from tests.unit.network.site import context


@pytest.mark.parametrize(
    ("cursor", "lookback", "start"),
    [
        (10, 3, 7),
        (10, 2.5, 7.5),
        (10.5, 0.5, 10.0),
        ("10", 3, "7"),
        ("0010.50", 0.5, "10"),
        ("1.5", 0.25, "1.25"),
        ("2024-03-01", 86_400, "2024-02-29"),
        ("2024-03-01T00:00:00Z", 1, "2024-02-29T23:59:59Z"),
        ("2024-03-01 00:00:00", 1, "2024-02-29 23:59:59"),
        ("2024-03-01T00:00:00.250Z", 1, "2024-02-29T23:59:59.250Z"),
        ("2024-03-01T00:00:00.250125+02:00", 1, "2024-02-29T23:59:59.250125+02:00"),
        ("2024-03-01T00:00:00Z", 0.25, "2024-02-29T23:59:59.750000Z"),
        (None, 5, "first"),
        ("any text", 0, "any text"),
    ],
)
def test_it_is_asked_from_so_far_before_the_cursor(
    cursor: Cursor | None, lookback: float, start: Cursor, tmp_path: Path
) -> None:
    settings = Incremental(cursor_field="at", param="since", initial="first", lookback=lookback)
    found = settings.start(cursor, context(tmp_path))
    assert found == start
    assert type(found) is type(start)


@pytest.mark.parametrize(
    ("values", "before", "order", "newest"),
    [
        (["9", "10"], [], "integer", "10"),
        (["9.5", "10"], [], "number", "10"),
        (["9007199254740993", "9007199254740992"], [], "integer", "9007199254740993"),
        (["2024-01-02T00:00:00+02:00", "2024-01-01T23:00:00Z"], [], "time", "2024-01-01T23:00:00Z"),
        (["b", None, "a"], [], "text", "b"),
    ],
)
def test_values_tell_how_they_are_compared(
    values: list[str | None], before: list[Cursor], order: Order, newest: str, tmp_path: Path
) -> None:
    rows = pl.LazyFrame({"at": values}, schema={"at": pl.String})
    assert incremental.order_of(rows, "at", before, context(tmp_path)) == order
    every = [value for value in values if value is not None] + before
    assert incremental.newest(every, order) == newest


def test_the_own_key_goes_before_the_collectors() -> None:
    assert incremental.keys("a", ["b", "c"]) == ["a"]
    assert incremental.keys(None, ["b", "c"]) == ["b", "c"]
    assert incremental.keys([], "b") == []
    assert incremental.keys(None, None) == []


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        (["03/01/2024", "02/15/2025", "01/10/2026"], "cursor_format"),
        (["1.2.2024", "15.1.2025"], "cursor_format"),
        (["2024/1/5", "2024/11/5"], "cursor_format"),
        (["5 Jan 2024", "Mar 7, 2024"], "cursor_format"),
        (["Mon, 05 Jan 2024 10:00:00 GMT"], "cursor_format"),
        (["2024-01-05 9:00 PM", "2024-01-05 10:00 AM"], "cursor_format"),
        (["9", "10", "a"], "no common order"),
        (["2024-01-01", "unknown"], "no common order"),
        (["v9", "v10"], "numbers in text"),
    ],
)
def test_text_that_does_not_sort_is_refused(values: list[str], hint: str, tmp_path: Path) -> None:
    rows = pl.LazyFrame({"at": values})
    with pytest.raises(errors.Permanent, match=hint) as caught:
        incremental.order_of(rows, "at", [], context(tmp_path))
    assert caught.value.details["field"] == "incremental.cursor_field"


@pytest.mark.parametrize(
    "values",
    [
        ["k00009", "k00010"], ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "01DEC3NDEKTSV4RRFFQ69G5FAV"], ["ann", "bob", "zoë"],
        ["2024/01/31", "2024/02/01"], ["20240131T101112Z"], ["2024-W05-3"], ["123456", "a1b2c3"], ["v09", "v10"],
    ],
)  # fmt: skip
def test_text_that_sorts_is_a_cursor(values: list[str], tmp_path: Path) -> None:
    assert incremental.order_of(pl.LazyFrame({"at": values}), "at", [], context(tmp_path)) == "text"


@pytest.mark.parametrize(
    ("cursor_format", "values", "newest"),
    [
        ("%m/%d/%Y", ["03/01/2024", "01/10/2026", "02/15/2025"], "01/10/2026"),
        ("%d.%m.%Y %H:%M", ["02.01.2024 00:00", "01.02.2024 00:00"], "01.02.2024 00:00"),
        ("%a, %d %b %Y %H:%M:%S GMT", ["Fri, 05 Jan 2024 10:00:00 GMT", "Mon, 01 Jan 2024 10:00:00 GMT"],
         "Fri, 05 Jan 2024 10:00:00 GMT"),
        ("%d/%m/%Y %H:%M %z", ["01/01/2024 00:30 +0100", "31/12/2023 23:45 +0000"], "31/12/2023 23:45 +0000"),
    ],
)  # fmt: skip
def test_a_cursor_format_orders_what_does_not_sort(
    cursor_format: str, values: list[str], newest: str, tmp_path: Path
) -> None:
    rows = pl.LazyFrame({"at": values})
    assert incremental.order_of(rows, "at", [], context(tmp_path), cursor_format) == "format"
    assert incremental.newest(values, "format", cursor_format) == newest
    with pytest.raises(errors.Permanent, match=r"not in cursor_format .* such as 'soon'") as caught:
        incremental.order_of(pl.LazyFrame({"at": [*values, "soon"]}), "at", [], context(tmp_path), cursor_format)
    assert caught.value.details["field"] == "incremental.cursor_format"


@pytest.mark.parametrize("cursor_format", ["yyyy-mm-dd", "%Q", "%"])
def test_a_format_that_is_none_is_refused(cursor_format: str) -> None:
    settings = Incremental(cursor_field="at", param="since", cursor_format=cursor_format)
    assert [p.field for p in settings.problems({}, "GET", "http://x.example/", None)] == ["incremental.cursor_format"]
