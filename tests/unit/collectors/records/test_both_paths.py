"""Records are parsed by columns (fast) or one by one (slow): both give the same table and lose nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.collectors.records import json_records
from service.collectors.records.flattened import Flattened
from service.collectors.records.spool import Spool
from service.collectors.records.unusable import Unusable
from tests.examples import examples

LONG = 2**53 + 1
BEYOND = [2**63, 2**64 - 1, 2**64, -(2**63) - 1, 2**127, 2**128]
"""Whole numbers beyond int64."""
LEAF = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3),
    st.sampled_from([0.5, 1e20, LONG, -LONG, 2**63 - 1, -(2**63), *BEYOND, "", "x", "1", "null"]),
)  # fmt: skip


def records(least: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Records with objects of at least ``least`` fields inside."""
    value = st.recursive(
        LEAF,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pq"), inner, min_size=least, max_size=2)
        ),
        max_leaves=5,
    )
    return st.lists(st.dictionaries(st.sampled_from("ab"), value, max_size=2), min_size=1, max_size=4)


def tables(items: list[dict[str, Any]], *, flatten: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    packed = json_records.lines([json.dumps(item).encode() for item in items])
    return (
        json_records.table(packed, flatten=flatten)[0],
        json_records._by_record(packed, flatten, {}, {})[0],
    )


def stored(table: pl.DataFrame, folder: Path) -> pl.DataFrame:
    spool = Spool(folder)
    spool.add(table)
    return spool.scan().collect()


def as_written(value: Any) -> Any:
    """A value of a table as a JSON value: texts that are JSON become what they say, numbers their value."""
    if isinstance(value, dict):
        return {k: as_written(v) for k, v in value.items() if as_written(v) is not None}
    if isinstance(value, list):
        return [as_written(v) for v in value]
    if isinstance(value, str):
        try:
            return as_written(json.loads(value)) if value else value
        except ValueError:
            return value
    return value


def unwrapped(value: Any) -> Any:
    """The same without lists of one around single values, which such values become beside lists."""
    return value[0] if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], list) else value


@examples(100)
@given(items=records(0))
@example(items=[{"a": [[0, 0]]}, {"a": [[[0, 0]]]}])
@example(items=[{"a": [0.5]}, {"a": [LONG]}])
@example(items=[{"a": {"p": LONG}}, {"a": {"p": 0.5}}])
@example(items=[{"a": {"p": 1}}, {"a": {"p": "x"}}])
@example(items=[{"a": [{"p": 1}]}, {"a": [{"p": [1]}]}])
@example(items=[{"a": 2**63}, {"a": 0.5}])
@example(items=[{"a": True}, {"a": 1}])
def test_both_paths_keep_every_value(items: list[dict[str, Any]]) -> None:
    for frame in tables(items, flatten=False):
        assert frame.height == len(items) or not frame.width
        for row, item in zip(frame.to_dicts(), items, strict=False):
            for name, value in item.items():
                kept, given_value = as_written(row[name]), as_written(value)
                assert kept == given_value or unwrapped(kept) == unwrapped(given_value)


@examples(100)
@given(items=records(1))
@example(items=[{"a": [[0, 0]]}, {"a": [[[0, 0]]]}])
@example(items=[{"a": [1]}, {"a": 1}])
@example(items=[{"a": [LONG]}, {"a": [0.5]}])
@example(items=[{"a": {"p": 1}}, {"a": [1]}])
@example(items=[{"b": {"p": None}}, {"b": {"q": False}}])
@example(items=[{"b": {"p": 1}}, {"b": {"q": {"p": 1}}}, {"b": None}, {}])
@example(items=[{"a": {"p": 2**63}}])
def test_both_paths_agree(items: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    agree(items, tmp_path_factory)


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, -(2**63) - 1, 2**128])
@pytest.mark.parametrize("wrap", [
    lambda v: v, lambda v: [v], lambda v: {"p": v}, lambda v: [{"p": v}], lambda v: {"p": [v]}, lambda v: [[v]],
    lambda v: {"p": {"q": v}}, lambda v: [{"p": [{"q": v}]}], lambda v: {"p": v, "q": "x"},
])  # fmt: skip
@pytest.mark.parametrize("beside", [[], [1, None], [0.5], ["x"], [{"p": 1}]])
def test_both_paths_agree_on_the_ends_of_int64(
    number: int, wrap: Callable[[Any], Any], beside: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    agree([{"a": wrap(number)}, *({"a": wrap(other)} for other in beside)], tmp_path_factory)
    agree([{"a": wrap(number)}, *({"a": other} for other in beside)], tmp_path_factory)


@pytest.mark.parametrize("number", BEYOND)
def test_whole_numbers_beyond_int64_are_texts_where_they_stand(number: int) -> None:
    """An object or list around them stays one, and the warning has their size, not their kind."""
    shapes = {"a": number, "b": [number, 1], "c": {"p": number, "q": 1}, "d": [{"p": number}]}
    texts, digits = pl.String(), str(number)
    mixed: dict[str, str] = {}
    frame, _ = json_records.table(json.dumps(shapes).encode(), flatten=False, mixed=mixed)
    assert frame.row(0, named=True) == {
        "a": digits,
        "b": [digits, "1"],
        "c": {"p": digits, "q": 1},
        "d": [{"p": digits}],
    }
    assert dict(frame.schema) == {
        "a": texts, "b": pl.List(texts), "c": pl.Struct({"p": texts, "q": pl.Int64()}),
        "d": pl.List(pl.Struct({"p": texts})),
    }  # fmt: skip
    assert mixed == dict.fromkeys("abcd", "go beyond int64")


def agree(items: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Assert that both paths store the same types and values."""
    fast, slow = (stored(table, tmp_path_factory.mktemp("spool")) for table in tables(items, flatten=False))
    assert {n: d.base_type() for n, d in fast.schema.items()} == {n: d.base_type() for n, d in slow.schema.items()}
    assert as_written(fast.to_dicts()) == as_written(slow.to_dicts())


CLASH = r"two columns the name 'a_b' \(a\.b and a_b\); set flatten to false"
MIXED = [{"m": 1}, {"m": [1]}]
"""Records that must be read one by one."""


@pytest.mark.parametrize("first", [{"a": {"b": 1}}, {"a": {"b": None, "c": 2}}])
@pytest.mark.parametrize("second", [{"a_b": 1}, {"a_b": "x"}, {"a_b": None}])
@pytest.mark.parametrize("slow", [[], MIXED])
def test_two_keys_of_one_name_are_refused_in_one_part_and_in_two(
    first: dict[str, Any], second: dict[str, Any], slow: list[dict[str, Any]], tmp_path: Path
) -> None:
    def table(items: list[dict[str, Any]]) -> tuple[pl.DataFrame, Flattened]:
        return json_records.table(json_records.lines([json.dumps(i).encode() for i in items]), flatten=True)

    with pytest.raises(Unusable, match="two columns the name 'a_b'"):
        table([first, second, *slow])
    for pair in ([first, second], [second, first]):
        spool = Spool(tmp_path)
        spool.add(*table([pair[0], *slow]))
        with pytest.raises(Unusable, match=CLASH):
            spool.add(*table([pair[1], *slow]))


def test_the_same_keys_in_two_parts_are_one_column(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for items in ([{"a": {"b": {"c": 1}}}], [{"a": {"b": {"c": 2}}}, *MIXED]):
        spool.add(*json_records.table(json_records.lines([json.dumps(i).encode() for i in items]), flatten=True))
    assert spool.scan().collect()["a_b_c"].to_list() == [1, 2, None, None]
