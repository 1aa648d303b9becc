"""The layout of quarantined rows: names that come back as they were, values that can be read, reasons counted."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.files import quarantine

names = st.one_of(
    st.sampled_from([*quarantine.LAYOUT, "__rules", "___text", "_Row", "row", "_", "_rules_"]), st.text(min_size=1)
)


@given(st.lists(names, min_size=1, unique=True))
def test_columns_come_back_by_their_names(given_names: list[str]) -> None:
    kept = [quarantine.stored_name(n) for n in given_names]
    assert not set(kept) & set(quarantine.LAYOUT)
    assert len(set(kept)) == len(kept)
    assert list(quarantine.data_columns([*quarantine.LAYOUT, *kept]).values()) == given_names


@pytest.mark.parametrize("name", ["_row", "_ROW", "__Row", "_Text"])
def test_a_name_of_the_layout_in_any_case_gives_way(name: str) -> None:
    """SQL knows no case: ``_ROW`` and ``_row`` would be one column there."""
    kept = quarantine.stored_name(name)
    assert kept == f"_{name}"
    assert quarantine.data_name(kept) == name


def test_the_layout_comes_first_and_what_is_unknown_is_null() -> None:
    frame = pl.LazyFrame({"a": [1], "_row": ["mine"]})
    kept = quarantine.arrange(frame, ["a", "_row"], {"_step": pl.lit("processors[0]"), "_row": pl.lit(7)}).collect()
    assert dict(kept.schema) == {**quarantine.layout(), "a": pl.Int64, "__row": pl.String}
    assert kept.row(0) == (None, "processors[0]", None, None, None, 7, None, 1, "mine")


def test_reasons_are_counted_by_rule_and_column(tmp_path: Path) -> None:
    one = {"rule": "r", "column": "a", "value": "1", "message": "m"}
    other = {**one, "rule": "s", "column": None, "value": None}
    rows = pl.LazyFrame({"_rules": [[one, other], [one]], "_step": ["processors[0]"] * 2})
    made = {"_rules": pl.col("_rules"), "_step": pl.col("_step")}
    quarantine.arrange(rows, [], made).sink_parquet(tmp_path / "q.parquet")
    assert quarantine.count_reasons([tmp_path / "q.parquet"] * 2) == [
        {"step": "processors[0]", "rule": "r", "column": "a", "rows": 4},
        {"step": "processors[0]", "rule": "s", "column": None, "rows": 2},
    ]
    assert quarantine.count_reasons([]) == []


def test_long_values_are_cut_and_missing_ones_stay_missing() -> None:
    frame = pl.DataFrame({"t": ["x" * 500, None], "s": [{"k": 1}, None]})
    shown = frame.select(quarantine.shown(n, d) for n, d in frame.schema.items())
    assert shown["t"].str.len_chars().to_list() == [200, None]
    assert shown["s"].to_list() == ['{"k":1}', None]


def test_one_table_of_all_files_is_text_where_types_differ() -> None:
    schemas = [pl.Schema({"_step": pl.String, "a": pl.Int64, "b": pl.Date}), pl.Schema({"a": pl.Float64, "b": pl.Date})]
    assert quarantine.unite_schemas(schemas) == {"_step": pl.String, "a": pl.String, "b": pl.Date}


def test_a_file_is_named_after_its_step() -> None:
    assert quarantine.file_of("processors[2]") == "quarantine-processors-2.parquet"
