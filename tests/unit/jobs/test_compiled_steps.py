"""Records through a version: what is dropped, skipped and refused, and what third-party steps get of it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from service.engine.row_operations import Rows
from service.jobs import compiled_steps
from service.jobs.compiled_steps import CompiledSteps
from service.kit import errors
from tests.unit.jobs.walking import cleaner, job_in, made, records, transformer

SOURCE = pl.DataFrame({"id": [1, 2, 3, 4], "v": [1.0, 2.0, None, 40.0], "c": ["x", "y", "x", None]})


def test_records_that_are_taken_out_are_named_with_the_step() -> None:
    version = made(
        SOURCE,
        cleaner(drop_na=["c"]),
        cleaner(outliers={"v": {"method": "iqr", "action": "drop"}}, drop_duplicates=["id"]),
        {"type": "validator", "config": {"rules": [{"column": "id", "check": "in_range", "max": 9}]}},
    )
    done = version.apply([*records(SOURCE), {"id": 10, "v": 1.0, "c": "x"}, {"id": 1, "v": 900.0, "c": "x"}])
    assert done.places.to_list() == [0, 1, 2]
    assert done.dropped == [
        {"index": 3, "step": "processors[0]"},
        {"index": 5, "step": "processors[1]"},
        {"index": 4, "step": "processors[2]"},  # no row of the data broke the rule; this record does
    ]
    assert [(s["step"], s["operation"]) for s in done.skipped] == [("processors[1]", "distinct")]


@pytest.mark.parametrize("on_fail", ["drop", "quarantine"])
def test_rules_that_were_broken_then_are_rules_now(on_fail: str) -> None:
    rules = [{"column": "v", "check": "not_null"}, {"column": "c", "check": "in_set", "values": ["x", "y"]},
             {"column": "id", "check": "unique"}]  # fmt: skip
    version = made(SOURCE, {"type": "validator", "config": {"rules": rules, "on_fail": on_fail}})
    done = version.apply([*records(SOURCE), {"id": 9, "v": 1.0, "c": "z"}])
    assert done.places.to_list() == [0, 1, 3]
    assert [d["index"] for d in done.dropped] == [2, 4]
    assert done.data.columns == version.stored.columns
    assert [s.get("columns") for s in done.skipped] == [None]  # the marks of rules are nobody's columns


def test_windows_keep_their_columns_and_are_named() -> None:
    fill = cleaner(fill_na={"v": {"strategy": "mean", "group_by": "c"}})
    lag = transformer(lag={"v": {"order_by": ["id"]}}, rolling={"v": {"function": "mean", "window": 2}}, sort=["-id"])
    version = made(SOURCE, fill, lag)
    done = version.apply(records(SOURCE))
    assert done.data.schema == version.stored.schema
    assert done.data["v_lag_1"].to_list() == [None] * 4
    assert done.data["v"].to_list() == SOURCE["v"].to_list()
    assert [(s["step"], s["operation"], s.get("columns")) for s in done.skipped] == [
        ("processors[0]", "per_group", ["v"]),
        ("processors[1]", "per_group", ["v_lag_1"]),
        ("processors[1]", "per_group", ["v_rolling_mean_2"]),
        ("processors[1]", "sort", None),
    ]


def test_records_go_no_further_than_there_are_records() -> None:
    group = transformer(derive={"w": "v * 2"}, aggregate={"by": ["c"], "metrics": {"total": "sum(w)"}})
    later = transformer(normalize={"total": "standard"})
    version = made(SOURCE, cleaner(fill_na={"v": 0}), group, {"type": "analyzer", "config": {}}, later)
    done = version.apply([{"id": 1, "v": None, "c": "x"}])
    assert done.data.to_dicts() == [{"id": 1, "v": 0.0, "c": "x", "w": 0.0}]
    assert [(s["step"], s["operation"]) for s in done.skipped] == [
        ("processors[1]", "group"), ("processors[3]", "apply"),
    ]  # fmt: skip
    assert "processors[1] made" in done.skipped[1]["reason"]


@pytest.mark.parametrize(
    ("step", "record", "field", "message"),
    [
        (cleaner(cast={"c": {"type": "int64", "on_error": "fail"}}), "7x", "config.cast.c", "7x"),
        (transformer(encode={"c": {"method": "ordinal", "handle_unknown": "fail"}}), "7x",
         "config.encode.c.handle_unknown", "is not a known category"),
    ],
)  # fmt: skip
def test_a_step_that_fails_on_a_record_is_the_caller_s_error(
    step: dict[str, Any], record: str, field: str, message: str
) -> None:
    source = pl.DataFrame({"c": ["1", "2"]})
    version = made(source, step)
    with pytest.raises(errors.Invalid, match=message) as caught:
        version.apply([{"c": "1"}, {"c": record}, {"c": "2"}])
    assert caught.value.details["field"] == "records[1]"
    assert caught.value.details["setting"] == f"processors[0].{field}"


def test_the_time_of_the_version_is_told_to_its_steps() -> None:
    """Data that was fresh when it was stored does not make records of a later day stale."""
    source = pl.DataFrame({"t": [dt.datetime.now(dt.UTC)]})
    rule = {"freshness": {"column": "t", "max_age_seconds": 3600}}
    version = made(source, {"type": "validator", "config": {"rules": [rule]}})
    assert version.apply([{"t": "2020-01-01T00:00:00Z"}]).data.height == 1
    version.fit_record.now += dt.timedelta(days=1)
    version.steps = None
    with pytest.raises(errors.Permanent, match="seconds old"):
        version.apply([{"t": "2020-01-01T00:00:00Z"}])


def test_the_third_party_gets_it_for_free() -> None:
    version = made(pl.DataFrame({"n": [1, 3]}), {"type": "doubled", "config": {"column": "n"}})
    assert version.apply([{"n": 5}]).data.to_dicts() == [{"n": 10}]


def test_a_step_that_has_changed_since_is_told_apart() -> None:
    version = made(SOURCE, cleaner(fill_na={"v": {"strategy": "mean"}}))
    other = made(SOURCE, cleaner(fill_na={"v": {"strategy": "max"}}))
    with pytest.raises(errors.Permanent, match="execute the pipeline again"):
        CompiledSteps(other.pipeline, version.fit_record, job_in("."))


def test_a_record_whose_every_row_is_taken_out_is_named_once() -> None:
    def rows(places: list[int]) -> Rows:
        return Rows(pl.DataFrame({"v": places}), pl.Series("place", places, dtype=pl.UInt32))

    assert compiled_steps._dropped(rows([0, 0, 1]), rows([1]), "s") == [{"index": 0, "step": "s"}]
    assert compiled_steps._dropped(rows([0, 0, 1]), rows([0, 1]), "s") == []


def test_steps_are_compiled_once_and_keep_nothing_of_the_records() -> None:
    """A record that fails, one that is taken out and one that is strange change nothing for those that follow."""
    version = made(
        SOURCE,
        cleaner(cast={"c": {"type": "string", "on_error": "fail"}}, filter="v < 50 or v is null"),
        transformer(normalize={"v": "standard"}, encode={"c": {"method": "ordinal", "handle_unknown": "fail"}}),
    )
    first = version.apply(records(SOURCE))
    steps = version.steps
    with pytest.raises(errors.Invalid, match="not a known category"):
        version.apply([{"id": 7, "v": 1.0, "c": "never seen"}])
    assert version.apply([{"id": 8, "v": 51.0, "c": "x"}]).dropped == [{"index": 0, "step": "processors[0]"}]
    assert version.apply([]).data.height == 0
    again = version.apply(records(SOURCE))
    assert version.steps is steps
    assert_frame_equal(again.data, first.data, check_exact=True)


def test_steps_in_one_plan_are_those_one_by_one() -> None:
    steps = [cleaner(cast={"c": "categorical"}, fill_na={"v": {"strategy": "mean"}}),
             transformer(derive={"w": "v * id"}, normalize={"v": "robust"}, encode={"c": "onehot"}, select=["w", "v"]),
    ]  # fmt: skip
    version = made(SOURCE, *steps)
    together = version.apply(records(SOURCE))
    alone = version.apply(records(SOURCE), at_once=False)
    assert_frame_equal(alone.data, together.data, check_exact=True)
    assert_frame_equal(together.data, version.stored, check_exact=True)
