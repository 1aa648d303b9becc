"""foreign_key: values that occur in another pipeline's stored version, those that do not, and what cannot be told."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.engine.dry_run_frame import DryRunFrame, Trace
from service.engine.polars_frame import PolarsFrame
from service.kit import errors
from service.steps.collector import Upstream
from service.steps.context import ProcessContext, StoredVersion
from tests.unit.processors.table import NAN, decode

RULE = {"column": "a", "check": "foreign_key", "pipeline": "customers", "to": "id"}


def checked(folder: Path, values: pl.Series, keys: pl.Series, **more: Any) -> list[int]:
    """The rows (from 0) that pass, in their order; the upstream lies in two parts."""
    half = len(keys) // 2
    parts = (folder / "part-0.parquet", folder / "part-1.parquet")
    for part, some in zip(parts, (keys[:half], keys[half:]), strict=True):
        pl.DataFrame({"id": some}).write_parquet(part)
    stored = {"config.rules[0].pipeline": StoredVersion("customers", 3, parts, len(keys))}
    ctx = ProcessContext("processors[0]", folder, upstreams=stored)
    rule = {**RULE, **more}
    frame = pl.DataFrame({"a": values, "row": range(len(values))})
    made = decode("validator", {"rules": [rule], "on_fail": "drop"}).apply(PolarsFrame(frame.lazy(), folder), ctx)
    assert isinstance(made, PolarsFrame)
    done = made.lazy.collect()
    assert done.schema == frame.schema
    kept: list[int] = done["row"].to_list()
    return kept


DAY = dt.date(2024, 2, 29)


@pytest.mark.parametrize(
    ("values", "keys", "kept"),
    [
        (pl.Series([1, 2, None, 3, 1]), pl.Series([1, 1, 3, None]), [0, 2, 3, 4]),
        (pl.Series([1, 300], dtype=pl.Int16), pl.Series([1, 300], dtype=pl.Int64), [0, 1]),
        (pl.Series([1, 2**63], dtype=pl.UInt64), pl.Series([1, -1], dtype=pl.Int64), [0]),
        (pl.Series([1.0, 1.5, NAN, None]), pl.Series([1, 2]), [0, 2, 3]),
        (pl.Series(["x", "y", "z"], dtype=pl.Categorical), pl.Series(["x", "z"]), [0, 2]),
        (pl.Series(["ä", ""]), pl.Series(["ä", "b"]), [0]),
        (pl.Series([DAY, None, dt.date(2024, 3, 1)]), pl.Series([DAY, DAY]), [0, 1]),
        (pl.Series([], dtype=pl.Int64), pl.Series([1, 2]), []),
        (pl.Series([5, None]), pl.Series([], dtype=pl.Int64), [1]),
    ],
)
def test_what_is_not_there_is_out_and_what_is_missing_passes(
    values: pl.Series, keys: pl.Series, kept: list[int], tmp_path: Path
) -> None:
    assert checked(tmp_path, values, keys) == kept


@pytest.mark.parametrize(
    ("values", "keys", "more", "field", "said"),
    [
        (pl.Series([1]), pl.Series(["1", "2"]), {}, "column", "'a' is int64 and 'id' is string; cast one of them"),
        (pl.Series([[1]]), pl.Series([[1], [2]]), {}, "column", "never equal"),
        (pl.Series([1]), pl.Series([1, 2]), {"to": "idd"}, "to", "customers@3 has no column 'idd'; did you mean 'id'?"),
    ],
)
def test_what_cannot_be_compared_names_its_place(
    values: pl.Series, keys: pl.Series, more: dict[str, Any], field: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(errors.Permanent, match=r".") as caught:
        checked(tmp_path, values, keys, **more)
    assert caught.value.details["field"] == f"config.rules[0].{field}"
    assert said in caught.value.message


def test_the_versions_that_rules_read_are_known_before_a_run() -> None:
    validator = decode("validator", {"rules": [{"expression": "a"}, RULE, {**RULE, "version": 2}]})
    assert list(validator.upstreams()) == [
        Upstream("customers", None, "config.rules[1].pipeline", "id", "config.rules[1].to"),
        Upstream("customers", 2, "config.rules[2].pipeline", "id", "config.rules[2].to"),
    ]


def test_a_rehearsal_finds_what_cannot_be_compared_and_reads_no_rows(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["x"]}).write_parquet(tmp_path / "part.parquet")
    stored = {"config.rules[0].pipeline": StoredVersion("customers", 3, (tmp_path / "part.parquet",), 1)}

    def rehearsed(dtype: type[pl.DataType]) -> pl.Schema:
        ctx = ProcessContext("processors[0]", tmp_path, upstreams=stored, dry=True)
        frame = DryRunFrame.of(pl.LazyFrame(schema={"a": dtype}), tmp_path, Trace())
        return decode("validator", {"rules": [RULE], "on_fail": "quarantine"}).apply(frame, ctx).schema

    assert rehearsed(pl.String) == {"a": pl.String}
    with pytest.raises(errors.Permanent, match="cast one of them"):
        rehearsed(pl.Int64)


def test_without_the_other_version_the_rule_is_left_out(tmp_path: Path) -> None:
    frame = PolarsFrame(pl.LazyFrame({"a": [1, None]}), tmp_path)
    made = decode("validator", {"rules": [RULE]}).apply(frame, ProcessContext("processors[0]", tmp_path))
    assert isinstance(made, PolarsFrame)
    assert made.lazy.collect().to_dict(as_series=False) == {"a": [1, None]}
