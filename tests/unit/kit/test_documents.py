"""JSON and YAML from outside become plain values or an error that says what is wrong."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.kit import documents, errors

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
_LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(
    _LEAVES | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(_VALUES)
def test_json_comes_back(value: object) -> None:
    assert documents.from_json(msgspec.json.encode(value)) == value


@given(st.binary(max_size=40))
def test_bytes_never_crash(text: bytes) -> None:
    for read in (documents.from_json, documents.from_yaml):
        with contextlib.suppress(errors.Invalid):
            read(text)


def test_depth() -> None:
    at, over = b"[" * 64 + b"1" + b"]" * 64, b"[" * 65 + b"]" * 65
    for read in (documents.from_json, documents.from_yaml):
        assert read(at)
        for deep in (over, b"[" * 100_000, b"[" * 3000 + b"]" * 3000):
            with pytest.raises(errors.Invalid):
                read(deep)


def test_yaml() -> None:
    text = b"name: orders\nday: 2024-01-01\nat: 2024-01-01T00:00:00Z\nzip: '00501'\nyes: 1.5\n"
    assert documents.from_yaml(text.replace(b"yes", b"n")) == {
        "name": "orders", "day": "2024-01-01", "at": "2024-01-01T00:00:00Z", "zip": "00501", "n": 1.5,
    }  # fmt: skip
    for hostile in (
        b"a: &x 1\nb: *x", b"!!python/name:os.system", b"a: !!binary aGk=", b"a: !!set {x}", b"1: 2", b"a: .inf",
        b"a: 1\n---\nb: 2", b"\tx", b"a: !!timestamp 2024-01-01", b"x" * 300_000, b'"\\0"',
    ):  # fmt: skip
        with pytest.raises(errors.Invalid) as caught:
            documents.from_yaml(hostile)
        assert caught.value.error_code == "VALIDATION_ERROR"
        assert "not JSON" not in caught.value.message


@pytest.mark.parametrize("number", [-(2**63), 2**63 - 1, 2**64 - 1])
def test_whole_numbers_of_64_bits_are_read(number: int) -> None:
    assert documents.from_json(f'{{"a": [{number}]}}'.encode()) == {"a": [number]}
    assert documents.from_yaml(f"a: [{number}]".encode()) == {"a": [number]}


@pytest.mark.parametrize("number", [-(2**63) - 1, 2**64, 10**40])
def test_longer_numbers_are_refused_before_anything_is_done_with_them(number: int) -> None:
    for read, code in ((documents.from_json, "INVALID_JSON"), (documents.from_yaml, "VALIDATION_ERROR")):
        with pytest.raises(errors.Invalid, match="64 bits") as raised:
            read(f'{{"a": [{number}]}}'.encode())
        assert raised.value.error_code == code


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"name": "a", "name": "b"}', "name"),
        ('{"storage": [{"type": "parquet"}, {"type": "x", "mode": 1, "type": "duckdb"}]}', "storage[1].type"),
        ('{"a": {"b": [[{"c": 1, "\\u0063": 2}]]}}', "a.b[0][0].c"),
    ],
)
def test_a_key_that_json_has_twice_is_refused_with_its_path(text: str, path: str) -> None:
    with pytest.raises(errors.Invalid, match="the key is written twice") as caught:
        documents.configuration(text.encode())
    assert (caught.value.error_code, caught.value.details["field"]) == ("VALIDATION_ERROR", path)


def test_equal_keys_of_different_objects_are_read() -> None:
    text = b'{"a": [{"b": 1}, {"b": 2}], "b": {"a": 3}}'
    assert documents.configuration(text) == documents.from_json(text)


def test_a_key_that_yaml_has_twice_is_refused_with_its_place() -> None:
    for text in (b"a: 1\na: 2\n", b"x:\n  - {b: 1}\na: {c: 1, a: 2, 'a': 3}\n"):
        with pytest.raises(
            errors.Invalid, match=r"the key 'a' is written twice in one mapping \(line \d, column \d+\)"
        ):
            documents.from_yaml(text)
    assert documents.from_yaml(b"a: {a: {a: 1}}\nb: {a: 1}\n") == {"a": {"a": {"a": 1}}, "b": {"a": 1}}


def test_an_error_in_yaml_has_no_made_up_file_name() -> None:
    with pytest.raises(errors.Invalid, match="line 2, column 1") as caught:
        documents.from_yaml(b"name: [\n")
    assert "string>" not in caught.value.message
