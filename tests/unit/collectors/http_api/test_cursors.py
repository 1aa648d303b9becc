"""From where an incremental run asks, value by value: a cursor keeps the form that its source gave it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from service.collectors.http_api import incremental
from service.collectors.http_api.incremental import Cursor, Incremental, Order
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
        (["9", "10"], ["a"], "text", "a"),
        (["1", "NaN"], [], "text", "NaN"),
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
