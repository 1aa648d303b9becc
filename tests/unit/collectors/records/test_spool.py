"""The spool: parts of any shape come back as one table, in order, without loss."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.collectors.records.flattened import Flattened
from service.collectors.records.spool import Spool
from service.values.common_type import unite


def spooled(folder: Path, *frames: pl.DataFrame, parents: Collection[str] = ()) -> pl.DataFrame:
    spool = Spool(folder)
    for frame in frames:
        spool.add(frame, Flattened(set(parents)))
    return spool.scan().collect(engine="streaming")


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ([1], [2], [1, 2]),
        ([1], [2.5], [1.0, 2.5]),
        ([1], ["x"], ["1", "x"]),
        ([True], [1], ["true", "1"]),
        ([None], [3], [None, 3]),
        ([None], [None], [None, None]),
        ([[1]], [[2.5]], [[1.0], [2.5]]),
        ([[]], [[1]], [[], [1]]),
        ([[1]], ["x"], [["1"], ["x"]]),
        ([{"a": 1}], ["x"], ['{"a":1}', "x"]),
        ([{"a": 1}], [{"b": "x"}], [{"a": 1, "b": None}, {"a": None, "b": "x"}]),
        ([{"a": 1}], [{"a": "x"}], ['{"a":1}', '{"a":"x"}']),
        ([[{"a": 1}]], [[{"a": "x"}]], ['[{"a":1}]', '[{"a":"x"}]']),
        ([{}], [1], ["{}", "1"]),
        ([1, None], [[2]], [[1], None, [2]]),
        (["x"], [["y"], []], [["x"], ["y"], []]),
        ([1], [[0.5]], [[1.0], [0.5]]),
        ([1], [["y"]], [["1"], ["y"]]),
        ([1], [[{"b": 1}]], ["1", '[{"b":1}]']),
        ([1], [[[1]]], ["1", "[[1]]"]),
        ([2**53 + 1], [0.5], ["9007199254740993", "0.5"]),
        ([2**53 - 1], [0.5], [float(2**53 - 1), 0.5]),
        ([-(2**63)], [0.5], ["-9223372036854775808", "0.5"]),
    ],
)
def test_types_unite_without_loss(first: list[Any], second: list[Any], wanted: list[Any], tmp_path: Path) -> None:
    frame = spooled(tmp_path, pl.DataFrame({"c": first}), pl.DataFrame({"c": second}))
    assert frame["c"].to_list() == wanted


def test_the_order_of_the_parts_makes_no_difference(tmp_path: Path) -> None:
    parts = [[1], ["x"], [["y"]], [[0.5, None]], [True]]
    for order in itertools.permutations(parts):
        folder = tmp_path / str(order)
        folder.mkdir()
        frame = spooled(folder, *(pl.DataFrame({"c": values}) for values in order))
        told = {"1": ["1"], "x": ["x"], "y": ["y"], "0.5": ["0.5", None], "true": ["true"]}
        assert [told[found[0]] for found in frame["c"]] == frame["c"].to_list()


def test_columns_unite_by_name_and_order_stays(tmp_path: Path) -> None:
    frame = spooled(tmp_path, pl.DataFrame({"a": [1, 2]}), pl.DataFrame({"b": ["x"]}), pl.DataFrame({"a": [3]}))
    assert frame.to_dicts() == [
        {"a": 1, "b": None},
        {"a": 2, "b": None},
        {"a": None, "b": "x"},
        {"a": 3, "b": None},
    ]


def test_an_object_that_was_null_leaves_no_column(tmp_path: Path) -> None:
    null, full = pl.DataFrame({"a": [None]}), pl.DataFrame({"a_b": [1]})
    assert spooled(tmp_path, null, full, parents={"a"}).columns == ["a_b"]


def test_nothing_at_all(tmp_path: Path) -> None:
    assert spooled(tmp_path).shape == (0, 0)
    assert spooled(tmp_path, pl.DataFrame({"a": []})).shape == (0, 0)


def test_rows_without_columns_are_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add(pl.select(pl.repeat(None, 3)).select([]))
    assert spool.rows == 0 or spool.schema == {}


def test_digits_beyond_int64_stay(tmp_path: Path) -> None:
    frame = spooled(tmp_path, pl.DataFrame({"a": [2**64 - 1]}, schema={"a": pl.UInt64}), pl.DataFrame({"a": [1]}))
    assert frame["a"].to_list() == ["18446744073709551615", "1"]


def test_digits_are_looked_for_in_parts_of_any_shape(tmp_path: Path) -> None:
    first: list[dict[str, Any]] = [{"a": [1], "b": ["x"]}, {"c": [1], "a": [2**53 + 1]}]
    parts = [*first, {"a": [None]}, {"a": [0.5], "b": [1]}]
    frame = spooled(tmp_path, *map(pl.DataFrame, parts))
    assert frame["a"].to_list() == ["1", "9007199254740993", None, "0.5"]


@pytest.mark.parametrize("value", [[2**63], [{"b": 2**63}], {"b": [2**63]}])
def test_digits_beyond_int64_stay_inside_lists_and_objects(value: Any, tmp_path: Path) -> None:
    frame = spooled(tmp_path, pl.DataFrame({"a": [value]}, strict=False))
    assert str(frame["a"].to_list()[0]) == str(value).replace("9223372036854775808", "'9223372036854775808'")


def test_unite_is_symmetric_and_keeps_what_is_equal() -> None:
    kinds = [
        pl.Int64(),
        pl.Float64(),
        pl.String(),
        pl.Boolean(),
        pl.Null(),
        pl.List(pl.Int64),
        pl.Struct({"a": pl.Int8}),
    ]
    for one in kinds:
        assert unite(one, one) == one
        for other in kinds:
            assert unite(one, other) == unite(other, one)
