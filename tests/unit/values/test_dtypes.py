"""Type names: what users write, and back."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.values import dtypes
from tests.examples import examples


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("int64", pl.Int64()), (" INT8 ", pl.Int8()), ("uint32", pl.UInt32()), ("float32", pl.Float32()),
        ("string", pl.String()), ("boolean", pl.Boolean()), ("date", pl.Date()), ("time", pl.Time()),
        ("datetime", pl.Datetime("us")), ("datetime[Europe/Berlin]", pl.Datetime("us", "Europe/Berlin")),
        ("decimal( 12 , 2 )", pl.Decimal(12, 2)), ("list(list(int8))", pl.List(pl.List(pl.Int8()))),
        ("enum(a, b c ,\"d,e\",'f''g')", pl.Enum(["a", "b c", "d,e", "f'g"])), ("categorical", pl.Categorical()),
    ],
)  # fmt: skip
def test_names_are_read(text: str, wanted: pl.DataType) -> None:
    assert dtypes.parse(text) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int", "did you mean 'int64'"), ("str", "did you mean 'string'"), ("timestamp", "did you mean 'datetime'"),
        ("numeric", r"decimal\(p,s\)"), ("flaot64", "did you mean 'float64'"), ("xyz", "known are int8"),
        ("", "known are"),
        ("decimal(12)", "two whole numbers"), ("decimal(39,2)", "1 to 38"), ("decimal(2,3)", "1 to 38"),
        ("datetime[Berlin]", "no time zone 'Berlin'"), ("datetime[Europe/Berln]", "did you mean 'Europe/Berlin'"),
        ("enum()", "needs its values"), ("enum(a,a)", "'a' twice"), ("enum(a,,b)", "none of them empty"),
        ("list(int64]", "opens with"), ("foo(1)", "unknown type"),
        ("list(" * 17 + "int8" + ")" * 17, "nested more than 16"),
        ("list(" * 5000, "unknown type|nested"),
    ],
)  # fmt: skip
def test_what_is_no_type_says_what_was_meant(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        dtypes.parse(text)
    assert len(str(caught.value)) < 600


PLAIN = st.sampled_from(
    [pl.Int8(), pl.UInt64(), pl.Float32(), pl.String(), pl.Boolean(), pl.Date(), pl.Time(), pl.Datetime("us"),
     pl.Datetime("us", "Asia/Tokyo"), pl.Categorical()],
)  # fmt: skip
ENUMS = st.lists(st.text(min_size=1, max_size=6).filter(str.strip), min_size=1, max_size=4, unique=True).map(pl.Enum)
DECIMALS = st.integers(1, 38).flatmap(lambda p: st.integers(0, p).map(lambda s: pl.Decimal(p, s)))


@examples(100)
@given(st.recursive(PLAIN | ENUMS | DECIMALS, lambda inner: inner.map(pl.List), max_leaves=3))
def test_every_name_written_is_read_again(dtype: pl.DataType) -> None:
    assert dtypes.parse(dtypes.name_of(dtype)) == dtype


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (pl.Struct({"a": pl.Int8, "b": pl.List(pl.String)}), "struct(a: int8, b: list(string))"),
        (pl.Array(pl.Int8, 3), "array(int8,3)"), (pl.Duration("us"), "duration"), (pl.Binary(), "binary"),
        (pl.Null(), "null"), (pl.Datetime("ns", "UTC"), "datetime[UTC]"),
    ],
)  # fmt: skip
def test_other_types_have_names_too(dtype: pl.DataType, name: str) -> None:
    assert dtypes.name_of(dtype) == name
