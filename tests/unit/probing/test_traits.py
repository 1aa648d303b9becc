"""What a sample of rows shows: candidates for keys and cursors, and values as JSON has them."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
import pytest

from service.probing import traits
from service.probing.finding import Probe

DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def keys(**columns: Any) -> list[list[str]]:
    return [key.columns for key in traits.keys(pl.DataFrame(columns))]


def cursors(**columns: Any) -> list[tuple[str, str]]:
    return [(c.column, c.order) for c in traits.cursors(pl.DataFrame(columns))]


def test_names_like_keys_come_first() -> None:
    assert keys(price=[1, 2], order_id=[1, 2], uuid=["a", "b"], id=[7, 8]) == [
        ["id"],
        ["uuid"],
        ["order_id"],
        ["price"],
    ]
    assert keys(z=[1, 2], a=[3, 4]) == [["z"], ["a"]]


@pytest.mark.parametrize(
    "column", [[1, 1], [1, None], ["", "a"], [1.5, 2.5], [True, False], [[1], [2]], ["x" * 300, "y" * 300]]
)
def test_what_cannot_be_a_key(column: list[Any]) -> None:
    assert keys(id=column) == []


def test_two_columns_together_where_none_does_it_alone() -> None:
    assert keys(order_id=[1, 1, 2], line_no=[1, 2, 1], v=[1, 1, 1]) == [["order_id", "line_no"]]
    assert keys(id=[1]) == []  # one row proves nothing


def test_cursors_by_name_and_order() -> None:
    days = [DAY + datetime.timedelta(i) for i in range(3)]
    assert cursors(id=[1, 2, 3], born=days[::-1], created_at=days, updated_at=[days[1], days[0], days[2]]) == [
        ("updated_at", "none"), ("created_at", "ascending"), ("born", "descending"), ("id", "ascending"),
    ]  # fmt: skip
    assert cursors(updated_at=[str(d.date()) for d in days]) == [("updated_at", "ascending")]
    assert cursors(updated_at=[*days[:2], None], n=[1, 2, 3], id=[1, 3, 2], born=[days[1], days[0], days[2]]) == []


def test_text_that_is_dates_says_so() -> None:
    frame = pl.DataFrame({
        "day": ["2026-01-01", "2026-01-02"], "at": ["2026-01-01T00:00:00Z", "2026-01-01 10:00:00"],
        "text": ["2026-01-01", "x"], "none": pl.Series([None, None], dtype=pl.String), "real": [DAY.date()] * 2,
    })  # fmt: skip
    assert [c.looks_like for c in traits.columns(frame)] == ["date", "datetime", None, None, None]


def test_samples_are_json_and_short() -> None:
    frame = pl.DataFrame({
        "text": ["x" * 500, None], "float": [math.nan, 1.5], "bytes": [b"ab", b"c"], "list": [list(range(9)), []],
        "struct": [{"a": DAY}, {"a": None}], "decimal": [Decimal("1.50"), None],
    })  # fmt: skip
    found = {c.name: c for c in traits.columns(frame)}
    assert found["text"].samples == ["x" * 200 + "…"]
    assert found["text"].missing == 1
    assert found["float"].samples == [None, 1.5]
    assert found["list"].samples == [[0, 1, 2, 3, 4], []]
    assert found["decimal"].samples == ["1.50"]
    assert msgspec.json.decode(msgspec.json.encode(list(found.values())))[4]["samples"][0] == {
        "a": "2026-01-01T00:00:00Z"
    }


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "url"), ({"url": "https://x.test", "file_path": "x.csv"}, "url"), ({"url": "ftp://x.test"}, "url"),
        ({"url": "https://u:p@x.test/"}, "url"), ({"file_path": "http://x.test/a"}, "file_path"),
        ({"url": "https://x.test", "headers": {"Host": "y"}}, "headers.Host"),
        ({"file_path": "x", "headers": {"A": "b"}}, "headers"),
        ({"file_path": "x", "auth": {"type": "bearer", "token": "t"}}, "auth"),
        ({"url": "https://x.test", "auth": {
            "type": "oauth2_client_credentials", "token_url": "x", "client_id": "i", "client_secret": "s"
        }}, "auth.token_url"),
    ],
)  # fmt: skip
def test_questions_that_are_no_questions(asked: dict[str, Any], field: str) -> None:
    assert [problem.field for problem in msgspec.convert(asked, Probe).problems()] == [field]
