"""What steps were answered, kept without a loss."""

from __future__ import annotations

import datetime as dt
import json
import math
import zoneinfo
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine import fit_record
from service.kit import errors
from service.steps.metric import Metric
from service.values import tagged_json
from tests.unit.engine.every_kind import EVERY_KIND


def exists(moment: dt.datetime) -> bool:
    """Whether the clocks did not skip it: no engine answers such a time."""
    return moment.tzinfo is None or moment.astimezone(dt.UTC).astimezone(moment.tzinfo) == moment


ZONES: st.SearchStrategy[Any] = st.sampled_from([None, zoneinfo.ZoneInfo("Europe/Berlin"), zoneinfo.ZoneInfo("UTC")])
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**127), 2**127), st.floats(), st.text(), st.binary(), st.dates(),
    st.times(), st.timedeltas(), st.decimals(allow_nan=False, allow_infinity=False),
    st.datetimes(dt.datetime(1900, 1, 2), dt.datetime(2100, 1, 1), timezones=ZONES).filter(exists),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner), st.tuples(inner, inner), st.dictionaries(st.text(), inner),
        st.dictionaries(st.one_of(st.integers(), st.dates()), inner),
    ),
    max_leaves=8,
)  # fmt: skip


def same(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or (left == right and str(left) == str(right))
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[k], right[k]) for k in left)
    return bool(left == right) and str(left) == str(right)


@given(VALUES)
def test_every_answer_comes_back_as_it_was(value: Any) -> None:
    assert same(tagged_json.decode(json.loads(msgspec.json.encode(tagged_json.encode(value)))), value)


@pytest.mark.parametrize("schema", [
    EVERY_KIND.schema, {"a": pl.Array(pl.List(pl.Datetime("ns")), 2), "n": pl.Int128()}, {},
], ids=["every", "nested", "none"])  # fmt: skip
def test_every_schema_comes_back_as_it_was(schema: Any) -> None:
    kept = json.loads(msgspec.json.encode(tagged_json.encode_schema(schema)))
    assert tagged_json.decode_schema(kept) == pl.Schema(schema)


def test_what_has_no_form() -> None:
    with pytest.raises(TypeError, match="object"):
        tagged_json.encode(object())
    with pytest.raises(ValueError, match="unknown value tag"):
        tagged_json.decode({"$new": 1})
    with pytest.raises(ValueError, match="Object"):
        tagged_json.decode_schema(tagged_json.encode_schema({"o": pl.Object()}))


def test_a_step_gets_the_recorded_values_and_no_others() -> None:
    low, high = Metric("a", "min"), Metric("a", "max")
    recording = fit_record.Recorder(pl.Schema({"a": pl.Int64()}))
    recording.recorder("processors[0]").note({low: 1, high: float("inf")})
    recording.recorder("processors[0]").note({low: None})
    recording.recorder("processors[1]").unchanged = True
    kept = fit_record.decode(fit_record.encode(recording.fit_record()))
    assert kept.now == recording.now
    assert kept.steps["processors[1]"].unchanged
    playback = fit_record.Playback("processors[0]", kept.steps["processors[0]"])
    assert playback.answers([high]) == {high: float("inf")}
    assert playback.answers([low]) == {low: None}
    with pytest.raises(errors.Permanent, match="asks for min of 'a', which it did not ask for"):
        playback.answers([low])


def test_a_record_that_cannot_be_read() -> None:
    with pytest.raises(errors.Permanent, match="cannot be read"):
        fit_record.decode(b"{")
