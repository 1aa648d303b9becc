"""Checked columns: reading whole batches gives the values, and refuses the texts, that looking at each text would."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.collectors.csv_file import type_inference
from service.collectors.csv_file.checked_columns import CheckedColumn, checked
from service.kit import errors
from service.values import dtypes, parse, polars_errors
from tests.examples import examples

WHY = "in x.csv: the sample said so"
AT = ("collectors[0]", "schema.c")
DIGITS = st.text("0123456789", max_size=20)
NUMBERS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "", "", "-", "+", " "]),
        st.sampled_from(["", "", "0", "00"]),
        DIGITS,
        st.sampled_from(["", "", ".", ",", ".0", ",5"]),
        DIGITS,
        st.sampled_from(["", "", "", "e3", "e400", "E-9", " "]),
    ),
)
WORDS = st.sampled_from(["inf", "-inf", "nan", "NaN", "true", "TRUE", "False", "T", "1", "x", "2024-01-02", "24-01-02"])
TEXTS = st.lists(st.one_of(st.none(), st.just(""), NUMBERS, WORDS), max_size=6)
USUAL = st.sampled_from(["7", "1.5", "-0.25", "0", "true", "2024-01-02"])
TYPES: list[pl.DataType] = [pl.Int64(), pl.Float64(), pl.Boolean(), pl.Date(), pl.Datetime("us")]


def said(column: CheckedColumn, texts: list[str | None]) -> list[Any]:
    frame = pl.LazyFrame({column.name: texts}, schema={column.name: pl.String})
    with polars_errors.attributed(None):
        rows = checked(frame, [column]).collect(engine="streaming")
    assert rows.schema == {column.name: column.dtype}
    return [repr(value) for value in rows[column.name]]


@examples(150)
@given(texts=TEXTS, usual=USUAL, dtype=st.sampled_from(TYPES), comma=st.booleans(), inferred=st.booleans())
def test_batches_are_as_strict_as_single_texts(
    texts: list[str | None], usual: str, *, dtype: pl.DataType, comma: bool, inferred: bool
) -> None:
    column = CheckedColumn("c", dtype, WHY, AT, decimal_comma=comma, inferred=inferred)
    text, texts = pl.col("c"), [usual, *texts, usual]
    read = (type_inference.read if inferred else parse.tolerantly)(text, dtype, decimal_comma=comma)
    misfit = read.is_null() & (text != "")
    if inferred:
        misfit |= type_inference.says_more(text, dtype, "," if comma else ".")
    strict = pl.DataFrame({"c": texts}, schema={"c": pl.String}).select(text, read.alias("v"), misfit.alias("bad"))
    refused = strict.filter("bad")["c"].to_list()
    if not refused:
        assert said(column, texts) == [repr(value) for value in strict["v"]]
        return
    with pytest.raises(errors.Permanent) as caught:
        said(column, texts)
    sayings = {f"column 'c': {value} does not fit {dtypes.name_of(dtype)} ({WHY})" for value in refused}
    assert caught.value.message in sayings
    assert caught.value.details == {"step": AT[0], "field": AT[1]}


@pytest.mark.parametrize("value", ["x", 'a "quoted" one', "line\nbreak", "x" * 2000, "|bar|", "\x1e and \x1f"])
@pytest.mark.parametrize("name", ["c", "a|b", "braces {}"])
def test_an_error_shows_the_value_and_names_the_column(value: str, name: str) -> None:
    column = CheckedColumn(name, pl.Int64(), WHY, ("collectors[0]", f"schema.{name}"))
    with pytest.raises(errors.Permanent) as caught:
        said(column, ["1", value])
    shown = value[:200].replace("\x1e", " ").replace("\x1f", " ")
    assert caught.value.message == f"column '{name}': {shown} does not fit int64 ({WHY})"
    assert caught.value.details == {"step": "collectors[0]", "field": f"schema.{name}"}


def test_a_column_that_nobody_reads_is_neither_read_nor_checked() -> None:
    columns = [CheckedColumn(name, pl.Int64(), WHY, AT, inferred=True) for name in "ab"]
    frame = checked(pl.LazyFrame({"a": ["1"], "b": ["007"], "c": ["x"]}), columns)
    assert frame.select("c", "a").collect(engine="streaming").rows() == [("x", 1)]
    with pytest.raises(pl.exceptions.ComputeError, match="007"):
        frame.select("b").collect(engine="streaming")


def test_a_filter_on_other_columns_takes_out_rows_before_the_check() -> None:
    columns = [CheckedColumn("a", pl.Int64(), WHY, AT, inferred=True)]
    frame = checked(pl.LazyFrame({"a": ["1", "007"], "c": ["x", "y"]}), columns)
    assert frame.filter(pl.col("c") == "x").collect(engine="streaming").rows() == [(1, "x")]
    with pytest.raises(pl.exceptions.ComputeError, match="007"):
        frame.filter(pl.col("a") == 1).collect(engine="streaming")


def test_checking_is_a_part_of_the_streaming_plan() -> None:
    columns = [CheckedColumn(name, pl.Float64(), WHY, AT, inferred=True) for name in "ab"]
    plan = checked(pl.LazyFrame({"a": ["1"], "b": ["2"]}), columns)
    shown = plan.show_graph(engine="streaming", plan_stage="physical", raw_output=True)
    assert shown is not None
    assert "in-memory-map" not in shown
