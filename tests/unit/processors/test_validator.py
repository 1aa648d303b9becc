"""The validator: every rule, what becomes of broken rows, what is kept and said, and what is refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.engine.polars_frame import PolarsFrame
from service.files import quarantine
from service.kit import errors
from service.processors import validator
from service.steps.context import ProcessContext
from service.steps.report import Rejected
from tests.unit.processors.table import NAN, apply, decode, invalid, refused

D, DT = dt.date, dt.datetime
KEY = "row"


def survivors(values: Any, rule: dict[str, Any], **other: list[Any]) -> list[int]:
    """The rows (from 0) that a rule lets pass; the data that comes through is as it came."""
    column = values if isinstance(values, pl.Series) else pl.Series(values)
    frame = pl.DataFrame({"a": column, KEY: range(len(column)), **other})
    done = apply("validator", frame, rules=[rule], on_fail="drop")
    assert done.rows.schema == frame.schema
    kept: list[int] = done.columns[KEY]
    assert done.rows.equals(frame[kept], null_equal=True)
    assert done.ctx.report().fitted["rules"][0]["broken"] == len(column) - len(kept)
    assert sum(r.rows for r in done.ctx.report().rejected) == len(column) - len(kept)
    return kept


@pytest.mark.parametrize(
    ("values", "rule", "kept"),
    [
        ([1, None, 2], {"check": "not_null"}, [0, 2]),
        ([1.0, NAN, None], {"check": "not_null"}, [0]),
        (["x", ""], {"check": "not_null"}, [0, 1]),
        ([1, 1, 2, None, None], {"check": "unique"}, [2, 3, 4]),
        (["a", "b", None], {"check": "in_set", "values": ["a"]}, [0, 2]),
        ([1, 2, None], {"check": "in_set", "values": ["1", 3]}, [0, 2]),
        ([1.5, NAN], {"check": "in_set", "values": [1.5]}, [0, 1]),
        ([D(2024, 1, 1), D(2024, 1, 2)], {"check": "in_set", "values": ["2024-01-02"]}, [1]),
        (pl.Series(["x", "y"], dtype=pl.Categorical), {"check": "in_set", "values": ["x"]}, [0]),
        ([1, 2, 3, None], {"check": "in_range", "min": 2, "max": 2}, [1, 3]),
        ([1, 2, 3], {"check": "in_range", "min": 1.5}, [1, 2]),
        ([-1.0, NAN, 5.0], {"check": "in_range", "min": 0, "max": 4.5}, [1]),
        (["b", "c"], {"check": "in_range", "max": "bz"}, [0]),
        ([D(2024, 1, 1), D(2025, 1, 1)], {"check": "in_range", "max": "2024-12-31"}, [0]),
        (["12", "x1", None, "ä"], {"check": "regex", "pattern": r"\d"}, [0, 1, 2]),
        (["12", "x1"], {"check": "regex", "pattern": r"^\d+$"}, [0]),
        (["12", "x", None, " 7 "], {"check": "type", "type": "int64"}, [0, 2, 3]),
        ([1, 2], {"check": "type", "type": "int64"}, [0, 1]),
        ([300, 2], {"check": "type", "type": "int8"}, [1]),
        ([[1], None], {"check": "type", "type": "string"}, [1]),
    ],
)
def test_checks_of_a_column(values: Any, rule: dict[str, Any], kept: list[int]) -> None:
    assert survivors(values, {"column": "a", **rule}) == kept


def test_a_key_of_several_columns() -> None:
    assert survivors([1, 1, 1, None, None], {"columns": ["a", "b"], "check": "unique"}, b=[1, 1, 2, 1, 1]) == [2, 3, 4]


def test_an_expression_that_is_unknown_does_not_break_its_rule() -> None:
    assert survivors([1, 5, None], {"expression": "a < 3"}) == [0, 2]
    assert survivors([1, 5, None], {"expression": "a < b"}, b=[2, None, 1]) == [0, 1, 2]


def test_broken_rules_end_the_run_with_names_counts_and_values() -> None:
    rules = [
        {"name": "prices are positive", "column": "price", "check": "in_range", "min": 0},
        {"column": "id", "check": "unique"},
        {"column": "id", "check": "not_null", "severity": "warning"},
    ]
    with pytest.raises(errors.Permanent) as caught:
        apply("validator", {"price": [-1, 2, -1, -3], "id": [1, 2, None, 3]}, rules=rules)
    error = caught.value
    assert error.error_code == "VALIDATION_FAILED"
    assert error.message == "a rule is broken: 'prices are positive' in 3 rows, most often -1 (2×), -3 (1×)"
    assert error.details["field"] == "config.rules[0]"
    assert error.details["rules"] == [
        {"name": "prices are positive", "severity": "error", "broken": 3,
         "examples": [{"value": -1, "count": 2}, {"value": -3, "count": 1}]}
    ]  # fmt: skip


def test_warn_reports_and_changes_nothing() -> None:
    done = apply("validator", {"a": [1, None]}, rules=[{"column": "a", "check": "not_null"}], on_fail="warn")
    assert done.columns == {"a": [1, None]}
    assert done.warned == ["rule_broken"]
    assert done.ctx.report().fitted["rules"] == [
        {"name": "a_not_null", "severity": "error", "broken": 1, "examples": []}
    ]


def test_a_warning_takes_no_row_out() -> None:
    rules = [{"column": "a", "check": "not_null", "severity": "warning"}]
    done = apply("validator", {"a": [1, None]}, rules=rules, on_fail="drop")
    assert done.columns == {"a": [1, None]}
    assert (done.warned, done.ctx.report().rejected) == (["rule_broken"], ())


def test_quarantine_keeps_rows_with_reasons_and_origin(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1, -1, None, 4], "_rules": ["x"] * 4})
    settings = {
        "rules": [
            {"column": "a", "check": "not_null"},
            {"column": "a", "check": "in_range", "min": 0},
            {"expression": "a <> 4 AND a >= 0"},
        ],
        "on_fail": "quarantine",
    }
    ctx = ProcessContext("processors[2]", tmp_path, source="orders")
    made = decode("validator", settings).apply(PolarsFrame(frame.lazy(), tmp_path), ctx)
    after = ProcessContext("processors[3]", tmp_path, source="orders")
    made = decode("validator", {**settings, "rules": [{"column": "a", "check": "in_set", "values": [7]}]}).apply(
        made, after
    )
    assert isinstance(made, PolarsFrame)
    assert made.lazy.collect().rows() == []
    assert [*ctx.report().rejected, *after.report().rejected] == [
        Rejected(3, "quarantine-processors-2.parquet", "processors[2]"),
        Rejected(1, "quarantine-processors-3.parquet", "processors[3]"),
    ]
    kept = pl.read_parquet(tmp_path / "quarantine-processors-2.parquet")
    assert kept.columns == [*quarantine.LAYOUT, "a", "__rules"]
    assert kept["_rules"].to_list() == [
        [{"rule": "a_in_range", "column": "a", "value": "-1", "message": "is less than 0"},
         {"rule": "expression_3", "column": None, "value": None, "message": "does not hold: a <> 4 AND a >= 0"}],
        [{"rule": "a_not_null", "column": "a", "value": None, "message": "is missing"}],
        [{"rule": "expression_3", "column": None, "value": None, "message": "does not hold: a <> 4 AND a >= 0"}],
    ]  # fmt: skip
    assert kept.select("_step", "_source", "_file", "_line", "_row", "_text", "a", "__rules").rows() == [
        ("processors[2]", "orders", None, None, 2, None, -1, "x"),
        ("processors[2]", "orders", None, None, 3, None, None, "x"),
        ("processors[2]", "orders", None, None, 4, None, 4, "x"),
    ]
    assert pl.read_parquet(tmp_path / "quarantine-processors-3.parquet")["_row"].to_list() == [1]
    assert (
        ctx.report()
        .warnings[0]
        .message.startswith("3 of 4 rows were taken out: 'a_not_null' in 1 row; 'a_in_range' in 1 row")
    )


def test_many_rows_go_into_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validator, "_MOST_IN_A_FILE", 10)
    frame = pl.LazyFrame({"a": [-1] * 15 + [1] * 20 + [-1] * 10})
    ctx = ProcessContext("processors[0]", tmp_path)
    settings = {"rules": [{"column": "a", "check": "in_range", "min": 0}], "on_fail": "quarantine"}
    decode("validator", settings).apply(PolarsFrame(frame, tmp_path), ctx)
    assert [(r.rows, r.file) for r in ctx.report().rejected] == [
        (15, "quarantine-processors-0.parquet"), (10, "quarantine-processors-0-3.parquet"),
    ]  # fmt: skip
    kept = [pl.read_parquet(tmp_path / str(r.file))["_row"].to_list() for r in ctx.report().rejected]
    assert kept == [list(range(1, 16)), list(range(36, 46))]


@pytest.mark.parametrize(
    ("rule", "values", "shown", "message"),
    [
        ({"columns": ["a", "b"], "check": "unique"}, [1, 1], "1, 2", "occurs more than once"),
        (
            {"column": "a", "check": "in_set", "values": list(range(7))},
            [9],
            "9",
            "is not one of 0, 1, 2, 3, 4 and 2 more",
        ),
        ({"column": "a", "check": "in_range", "min": 1, "max": 2}, [3], "3", "is less than 1 or more than 2"),
        ({"column": "a", "check": "regex", "pattern": "^x"}, ["y"], "y", "does not match ^x"),
        ({"column": "a", "check": "type", "type": "int8"}, [D(2024, 2, 29)], "2024-02-29", "is not int8"),
        ({"column": "a", "check": "type", "type": "string"}, [[1, None]], "[1,null]", "is not string"),
        ({"column": "a", "check": "unique"}, [b"\xff"] * 2, "/w==", "occurs more than once"),
    ],
)
def test_a_row_in_quarantine_says_what_is_wrong_with_it(
    rule: dict[str, Any], values: list[Any], shown: str, message: str, tmp_path: Path
) -> None:
    frame = pl.LazyFrame({"a": values, "b": [2] * len(values)})
    ctx = ProcessContext("processors[0]", tmp_path)
    decode("validator", {"rules": [rule], "on_fail": "quarantine"}).apply(PolarsFrame(frame, tmp_path), ctx)
    kept = pl.read_parquet(tmp_path / "quarantine-processors-0.parquet")
    reason, *others = kept["_rules"][0].to_list()
    assert others == []
    assert (reason["value"], reason["message"]) == (shown, message)


@pytest.mark.parametrize(
    ("sources", "wanted"),
    [
        ((("first", 2), ("none", 0), ("second", 3)), ["first", "second", "second"]),
        ((("first", 2), ("second", 4)), [None, None, None]),  # a step before took a row out
        ((), [None, None, None]),
    ],
)
def test_a_row_of_several_sources_names_its_own(
    sources: tuple[tuple[str, int], ...], wanted: list[str | None], tmp_path: Path
) -> None:
    ctx = ProcessContext("processors[0]", tmp_path, sources=sources)
    rules = [{"column": "a", "check": "in_range", "min": 0}]
    frame = PolarsFrame(pl.LazyFrame({"a": [0, -1, -2, 1, -3]}), tmp_path)
    decode("validator", {"rules": rules, "on_fail": "quarantine"}).apply(frame, ctx)
    kept = pl.read_parquet(tmp_path / "quarantine-processors-0.parquet")
    assert kept["_source"].to_list() == wanted
    assert kept["_row"].to_list() == [2, 3, 5]


def test_malformed_rows_and_earlier_steps_count_towards_the_share(tmp_path: Path) -> None:
    def share(most: float, **more: Any) -> ProcessContext:
        before = (Rejected(5, None, "collectors[0]"), Rejected(3, None, "processors[0]"))
        ctx = ProcessContext("processors[1]", tmp_path, source_rows=95, rejected_before=before, **more)
        settings = {"rules": [{"column": "a", "check": "not_null"}], "on_fail": "drop", "max_rejected_share": most}
        frame = PolarsFrame(pl.LazyFrame({"a": [None, None, *range(90)]}), tmp_path)
        decode("validator", settings).apply(frame, ctx)
        return ctx

    assert share(0.1).report().rejected[-1] == Rejected(2, None, "processors[1]")
    assert share(0.0, replay=True).report().rejected[-1].rows == 2
    with pytest.raises(errors.Permanent) as caught:
        share(0.09)
    assert caught.value.message == (
        "10 of 100 rows are rejected, more than a share of 0.09: 5 malformed, 3 by earlier steps, 2 here"
    )
    assert caught.value.details["field"] == "config.max_rejected_share"


def test_too_many_malformed_rows_are_too_many_where_no_rule_is_broken(tmp_path: Path) -> None:
    ctx = ProcessContext("processors[0]", tmp_path, rejected_before=(Rejected(1, None, "collectors[0]"),))
    settings = {"rules": [{"column": "a", "check": "not_null"}], "on_fail": "drop", "max_rejected_share": 0.4}
    with pytest.raises(errors.Permanent, match="1 of 2 rows are rejected"):
        decode("validator", settings).apply(PolarsFrame(pl.LazyFrame({"a": [1]}), tmp_path), ctx)


def test_rules_about_the_whole_are_left_out_of_a_replay(tmp_path: Path) -> None:
    ctx = ProcessContext("processors[0]", tmp_path, replay=True)
    decode("validator", {"rules": [{"row_count": {"min": 5}}]}).apply(
        PolarsFrame(pl.LazyFrame({"a": [1]}), tmp_path), ctx
    )
    assert ctx.report().warnings == ()


def test_a_row_is_rejected_once_and_too_many_end_the_run() -> None:
    data = {"a": [-1, -1, 5, 5]}
    rules = [{"column": "a", "check": "in_range", "min": 0}, {"expression": "a > 0"}]
    done = apply("validator", data, rules=rules, on_fail="drop", max_rejected_share=0.5)
    assert done.ctx.report().rejected == (Rejected(2, None, "processors[0]"),)
    field, said = refused("validator", data, rules=rules, on_fail="drop", max_rejected_share=0.49)
    assert field == "rules[0]"
    assert said.startswith("2 of 4 rows are rejected, more than a share of 0.49: 2 rules are broken")


@pytest.mark.parametrize(
    ("bounds", "message"), [({"min": 3}, "2 rows, at least 3 expected"), ({"max": 1}, "at most 1 expected")]
)
def test_row_counts_fail_whatever_becomes_of_rows(bounds: dict[str, int], message: str) -> None:
    for on_fail in ("fail", "drop", "quarantine"):
        assert message in refused("validator", {"a": [1, 2]}, rules=[{"row_count": bounds}], on_fail=on_fail)[1]
    assert apply("validator", {"a": [1, 2]}, rules=[{"row_count": bounds}], on_fail="warn").warned == ["rule_broken"]
    assert apply("validator", {"a": [1, 2]}, rules=[{"row_count": {"min": 2, "max": 2}}]).warned == []


@pytest.mark.parametrize(
    ("newest", "fresh"),
    [
        (DT(2026, 1, 1, 11, 0), True),
        (DT(2026, 1, 1, 10, 59, 59), False),
        (D(2026, 1, 1), False),
        (DT(2026, 1, 1, 12, 30, tzinfo=dt.timezone(dt.timedelta(hours=1))), True),
        (None, False),
    ],
)
def test_freshness_is_the_age_of_the_newest(tmp_path: Path, newest: Any, fresh: bool) -> None:
    column = pl.Series("t", [newest, None]) if newest is not None else pl.Series("t", [None], dtype=pl.Datetime("us"))
    rules = [{"freshness": {"column": "t", "max_age_seconds": 3600}}]
    ctx = ProcessContext("processors[0]", tmp_path, now=DT(2026, 1, 1, 12, tzinfo=dt.UTC))
    decode("validator", {"rules": rules, "on_fail": "warn"}).apply(
        PolarsFrame(pl.LazyFrame({"t": column}), tmp_path), ctx
    )
    assert [w.code for w in ctx.report().warnings] == ([] if fresh else ["rule_broken"])


def test_names_of_rules_are_kept_apart() -> None:
    rules = [{"column": "a", "check": "not_null"}, {"column": "a", "check": "not_null"}, {"expression": "a > 0"}]
    done = apply("validator", {"a": [1]}, rules=rules)
    assert [r["name"] for r in done.ctx.report().fitted["rules"]] == ["a_not_null", "a_not_null_2", "expression_3"]


@pytest.mark.parametrize("rows", [0, 1])
def test_no_rows_break_no_rule(rows: int) -> None:
    frame = pl.DataFrame({"a": [1], "_broken_0": ["x"]}).head(rows)
    rules = [
        {"column": "a", "check": "unique"},
        {"column": "a", "check": "in_range", "min": 0},
        {"expression": "a = 1"},
    ]
    assert apply("validator", frame, rules=rules).rows.equals(frame)


@pytest.mark.parametrize(
    ("rule", "field", "message"),
    [
        ({"column": "prize", "check": "not_null"}, "column", "did you mean 'price'?"),
        ({"column": "price", "columns": ["citi"], "check": "unique"}, "columns", "did you mean 'city'?"),
        (
            {"column": "price", "check": "regex", "pattern": "x"},
            "column",
            "a regex applies to text, and 'price' is int64",
        ),
        (
            {"column": "price", "check": "in_set", "values": [1, "x"]},
            "values[1]",
            "does not fit the column's type int64",
        ),
        ({"column": "price", "check": "in_range", "min": "x"}, "min", "does not fit"),
        ({"column": "l", "check": "in_range", "min": 1}, "column", "have no order"),
        ({"expression": "prize > 1"}, "expression", "did you mean 'price'?"),
        ({"expression": "price + 1"}, "expression", "a condition must be boolean; this is int64"),
        ({"freshness": {"column": "city", "max_age_seconds": 1}}, "freshness.column", "a date or datetime is needed"),
        ({"freshness": {"column": "dai", "max_age_seconds": 1}}, "freshness.column", "no column 'dai'"),
    ],
)
def test_a_rule_that_does_not_fit_names_its_place(rule: dict[str, Any], field: str, message: str) -> None:
    found, said = refused(
        "validator", {"price": [1], "city": ["x"], "l": [[1]]}, rules=[{"row_count": {"min": 0}}, rule]
    )
    assert found == f"rules[1].{field}"
    assert message in said


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        ({"rules": []}, "rules", "length >= 1"),
        ({"rules": [{}]}, "rules[0]", "a rule needs exactly one of check, expression, row_count and freshness"),
        ({"rules": [{"column": "a", "check": "unique", "expression": "a"}]}, "rules[0]", "not check and expression"),
        ({"rules": [{"check": "unique"}]}, "rules[0].column", "is required"),
        ({"rules": [{"column": "a", "check": "uniqe"}]}, "rules[0].check", "did you mean 'unique'?"),
        ({"rules": [{"column": "a", "check": "foreign_key", "to": "id"}]}, "rules[0].pipeline", "is required"),
        ({"rules": [{"column": "a", "check": "foreign_key", "pipeline": "p"}]}, "rules[0].to", "is required"),
        ({"rules": [{"column": "a", "check": "unique", "to": "id"}]}, "rules[0].to", "does not apply to unique"),
        ({"rules": [{"column": "a", "check": "in_set"}]}, "rules[0].values", "is required"),
        ({"rules": [{"column": "a", "check": "in_set", "values": []}]}, "rules[0].values", "an empty list"),
        ({"rules": [{"column": "a", "check": "in_range"}]}, "rules[0].min", "min or max is required"),
        ({"rules": [{"column": "a", "check": "not_null", "min": 1}]}, "rules[0].min", "does not apply to not_null"),
        ({"rules": [{"column": "a", "columns": ["b"], "check": "not_null"}]}, "rules[0].columns", "applies to unique"),
        (
            {"rules": [{"column": "a", "check": "regex", "pattern": "("}]},
            "rules[0].pattern",
            "not a regular expression: unclosed group",
        ),
        ({"rules": [{"column": "a", "check": "type", "type": "int65"}]}, "rules[0].type", "did you mean 'int64'?"),
        ({"rules": [{"expression": "sum(a) > 1"}]}, "rules[0].expression", "no row-local function"),
        ({"rules": [{"expression": "a", "column": "b"}]}, "rules[0].column", "applies to a check, not to expression"),
        ({"rules": [{"row_count": {}}]}, "rules[0].row_count", "min or max"),
        ({"rules": [{"row_count": {"min": 2, "max": 1}}]}, "rules[0].row_count", "min is more than max"),
        ({"rules": [{"column": "a", "check": "in_range", "min": 2, "max": 1.5}]}, "rules[0].min", "is more than max"),
        (
            {"rules": [{"freshness": {"column": "t", "max_age_seconds": 0}}]},
            "rules[0].freshness.max_age_seconds",
            "> 0",
        ),
        ({"rules": [{"name": "x", "expression": "a"}, {"name": "x", "expression": "b"}]}, "rules[1].name", "same name"),
        ({"rules": [{"expression": "a"}], "max_rejected_share": 0.5}, "max_rejected_share", "rejects no rows"),
        ({"rules": [{"expression": "a"}], "on_fail": "ignore"}, "on_fail", "ignore"),
    ],
)
def test_validation_finds_what_needs_no_data(config: dict[str, Any], field: str, message: str) -> None:
    problems = invalid("validator", **config)
    assert list(problems) == [field]
    assert message in problems[field]
