"""Records in JSON documents: found without parsing, made into columns without loss."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.collectors.records import json_records
from service.collectors.records.json_records import Document
from service.collectors.records.unusable import Unusable
from tests.examples import examples


def document(value: Any) -> Document:
    return Document(json.dumps(value).encode())


def parsed(found: Sequence[bytes | msgspec.Raw]) -> list[Any]:
    return [msgspec.json.decode(r) for r in found]


def table(items: list[Any], *, flatten: bool = True) -> pl.DataFrame:
    found = document(items).records(None)
    return json_records.table(json_records.lines(found), flatten=flatten)[0]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([{"a": 1}], None),
        ([], None),
        ({"rows": [{"a": 1}], "tags": ["x"], "n": 1}, "rows"),
        ({"included": [{}], "items": [{}]}, "items"),
        ({"data": []}, "data"),
        ({"rows": [{"a": 1}], "facets": [], "columns": ["a"]}, "rows"),
        ({"things": [{"a": 1}], "others": [], "rows": []}, "things"),
    ],
)
def test_finds_the_array(value: Any, path: str | None) -> None:
    assert document(value).path() == path


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [{}], "b": [{}]}, "several arrays (a, b)"),
        ({"a": {"b": [{}]}, "c": 1, "d": "x", "e": None, "f": True}, "a (an object), c (a number), d (text), e (null)"),
        ({}, "holds nothing"),
        ("text", "text, neither"),
        (7, "a number, neither"),
    ],
)
def test_explains_why_there_are_no_records(value: Any, message: str) -> None:
    with pytest.raises(Unusable) as caught:
        document(value).path()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "path", "wanted"),
    [
        ({"a": {"b": [{"x": 1}, {"x": 2}]}}, "a.b", [{"x": 1}, {"x": 2}]),
        ({"a": {"b": {"x": 1}}}, "a.b", [{"x": 1}]),
        ({"a": None}, "a", []),
        ({"a": 1}, "$", [{"a": 1}]),
        ([{"a": 1}], "$", [{"a": 1}]),
        ({"a": []}, "a", []),
    ],
)
def test_records_at_a_path(value: Any, path: str, wanted: list[Any]) -> None:
    assert parsed(document(value).records(path)) == wanted


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({"a": 1}, "b", "nothing at 'b'"),
        ({"a": 1}, "a.b", "nothing at 'a.b'"),
        ({"a": 1}, "a", "a number, not an array"),
        ({"a": [{"x": 1}, 2]}, "a", "record 1 is a number"),
        ([[1]], None, "record 0 is an array"),
    ],
)
def test_what_is_not_a_record_is_named(value: Any, path: str | None, message: str) -> None:
    with pytest.raises(Unusable, match=message):
        document(value).records(path)


@pytest.mark.parametrize("body", [b"", b" \n", b"{", b"<html>", b'{"a": [1,}', b"\xff\xfe\x00", b"[" * 100_000, b"nul"])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    def read() -> Sequence[bytes | msgspec.Raw]:
        found = Document(body)
        return found.records(found.path())

    with pytest.raises(Unusable):
        read()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-32-be"])
def test_every_encoding_of_json(encoding: str) -> None:
    assert parsed(Document('[{"a": "ö"}]'.encode(encoding)).records(None)) == [{"a": "ö"}]


@pytest.mark.parametrize(
    ("value", "number"), [({"n": 7}, 7), ({"n": "7"}, 7), ({"n": 7.5}, None), ({}, None), ([], None)]
)
def test_numbers_on_the_way(value: Any, number: int | None) -> None:
    assert document(value).number("n") == number


def test_names_may_hold_dots() -> None:
    body = json.dumps({"@odata.nextLink": "x", "a.b": {"c": 1}, "a": {"b": {"c": 2}}, "p": {"q.r": {"s": 3}}}).encode()
    document = Document(body)
    assert document.text("@odata.nextLink") == "x"
    assert [document.number(path) for path in ("a.b.c", "p.q.r.s", "a.c", "p.q")] == [1, 3, None, None]


def test_objects_become_columns_and_lists_stay() -> None:
    frame = table([{"a": {"b": {"c": 1}, "d": [1, 2]}, "e": [{"f": 1}]}, {"a": None, "e": []}])
    assert frame.columns == ["a_d", "a_b_c", "e"] or set(frame.columns) == {"a_d", "a_b_c", "e"}
    assert frame["a_b_c"].to_list() == [1, None]
    assert frame["e"].to_list() == [[{"f": 1}], []]
    kept = table([{"a": {"b": 1}}], flatten=False)
    assert kept["a"].to_list() == [{"b": 1}]


def test_two_columns_of_one_name_are_refused() -> None:
    for items in ([{"a": {"b": 1}, "a_b": 2}], [{"a": {"b": 1}, "a_b": 2}, {"a": 5}]):
        with pytest.raises(Unusable, match="set flatten to false"):
            table(items)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([1, 2.5], [1.0, 2.5]),
        ([1, "x"], ["1", "x"]),
        ([{"b": 1}, 5], ['{"b":1}', "5"]),
        ([[1], "x"], [["1"], ["x"]]),
        ([2**63, 1], ["9223372036854775808", "1"]),
        ([True, 1], ["true", "1"]),
        ([None, None], [None, None]),
        ([[1], [2.5]], [[1.0], [2.5]]),
        ([1, [2, 3]], [[1], [2, 3]]),
        (["a", None, ["b", None]], [["a"], None, ["b", None]]),
        ([[1], ["x"], []], [["1"], ["x"], []]),
        ([[[1]], ["x"]], ["[[1]]", '["x"]']),  # lists of different depth
        ([[{"b": "x"}], [{"b": 1}]], ['[{"b":"x"}]', '[{"b":1}]']),
        (["x", ['\\ "\n'], {"b": "\\"}], ["x", '["\\\\ \\"\\n"]', '{"b":"\\\\"}']),
        ([2**53 + 1, 0.5], ["9007199254740993", "0.5"]),
        ([2**53 - 1, 0.5], [float(2**53 - 1), 0.5]),
        ([1e300, 0.5], [1e300, 0.5]),
        ([[2**53 + 1], [0.5]], [["9007199254740993"], ["0.5"]]),
        (["12345678901234567", "x"], ["12345678901234567", "x"]),
    ],
)
def test_contradicting_values_keep_what_they_say(values: list[Any], wanted: list[Any]) -> None:
    column = table([{"a": v} for v in values], flatten=False)["a"].to_list()
    assert [str(v) if isinstance(w, str) else v for v, w in zip(column, wanted, strict=True)] == wanted


@pytest.mark.parametrize(
    "items",
    [
        [{"a": "x"}, {"a": 1}],
        [{"a": {"b": [{"c": "x"}]}}, {"a": {"b": [{"c": 1}]}}],
        [{"a": {"b": 2**53 + 1}}, {"a": {"b": 0.5}}],
        [{"a": "x"}, {"a": [1]}],
    ],
)
@pytest.mark.parametrize("flatten", [True, False])
def test_columns_whose_values_disagree_are_named(items: list[dict[str, Any]], flatten: bool) -> None:
    mixed: dict[str, str] = {}
    frame, _ = json_records.table(
        json_records.lines([json.dumps(i).encode() for i in items]), flatten=flatten, mixed=mixed
    )
    assert mixed.keys() == set(frame.columns)
    assert len(mixed) == 1


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a\0b", "", "\u00e9", "class", "__init__", "f0"])
@pytest.mark.parametrize("second", ["y", 1])
def test_fields_may_have_any_name(name: str, second: Any) -> None:
    mixed: dict[str, str] = {}
    items = [{name: "x", "o": {name: "x"}}, {name: second}]
    frame, _ = json_records.table(
        json_records.lines([json.dumps(i).encode() for i in items]), flatten=False, mixed=mixed
    )
    assert frame[name].to_list() == ["x", str(second)]
    assert frame["o"].to_list() == [{name: "x"}, None]
    assert mixed.keys() == ({name} if second == 1 else set())


@pytest.mark.parametrize("values", [["x", None, "1"], [1, None], [["x"], []], [None], [{"b": "x"}, {"c": 1}, None]])
def test_values_that_agree_are_not(values: list[Any]) -> None:
    mixed: dict[str, str] = {}
    json_records.table(json_records.lines([json.dumps({"a": v}).encode() for v in values]), flatten=True, mixed=mixed)
    assert mixed == {}


def test_what_is_nested_too_deeply_is_refused() -> None:
    deep: Any = 1
    for _ in range(60):
        deep = {"a": deep}
    with pytest.raises(Unusable, match="deep"):
        table([deep], flatten=False)


SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=4), st.sampled_from([0.5, 1e20])
)  # fmt: skip


@examples(60)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), SCALAR, min_size=1), min_size=1, max_size=6))
def test_nothing_is_lost(items: list[dict[str, Any]]) -> None:
    frame = table(items)
    assert frame.height == len(items)
    for row, item in zip(frame.to_dicts(), items, strict=True):
        for name in frame.columns:
            value = item.get(name)
            message = value if value is None or isinstance(value, str) else json.dumps(value)
            assert row[name] in (value, message) or json.loads(row[name]) == value
