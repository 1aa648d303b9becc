"""Stored types under the names of configurations: the same as ``dtypes.name_of`` has for the type itself."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.values import dtypes, polars_names

LEAVES: list[pl.DataType] = [
    pl.Int8(), pl.Int64(), pl.UInt64(), pl.Float32(), pl.Float64(), pl.String(), pl.Boolean(), pl.Date(), pl.Time(),
    pl.Binary(), pl.Null(), pl.Categorical(), pl.Datetime("us"), pl.Datetime("ms"), pl.Datetime("us", "Europe/Zurich"),
    pl.Duration("us"), pl.Duration("ns"), pl.Decimal(10, 2), pl.Decimal(38, 0), pl.Enum(["a", "b c"]),
    pl.Enum(["it's", 'a "b"', "x,y", "ü"]), pl.Int128(),
]  # fmt: skip
TYPES = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        inner.map(pl.List),
        st.builds(lambda t, n: pl.Array(t, n), inner.filter(lambda t: not isinstance(t, pl.Array)), st.integers(1, 9)),
        st.dictionaries(st.sampled_from(["a", "B c", "it's"]), inner, min_size=1, max_size=3).map(pl.Struct),
    ),
    max_leaves=6,
)


@given(TYPES)
def test_a_stored_type_has_the_name_of_configurations(dtype: pl.DataType) -> None:
    assert polars_names.configured(str(dtype)) == dtypes.name_of(dtype)


@pytest.mark.parametrize("text", ["", "BIGINT[]x", "Object(", "f()()", "a.b", "1"])
def test_other_texts_stay(text: str) -> None:
    assert polars_names.configured(text) == text
