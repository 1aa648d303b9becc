"""The setting ``schema`` of the api collector: types that lose nothing, and misfits named with page and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.collectors.api_source import failure, fetched
from tests.unit.network.site import Answers, Hit, Reply


def one_a_page(values: list[Any]) -> Answers:
    def answer(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        return Reply.json([{"id": page, "v": values[page - 1]}] if page <= len(values) else [])

    return answer


@pytest.mark.parametrize(
    ("values", "dtype", "wanted"),
    [
        (["1", " 2 ", 3, 4.0, None], "int64", [1, 2, 3, 4, None]),
        ([1, [2, 3], None], "list(int64)", [[1], [2, 3], None]),
        (["a", ["b"], []], "list(string)", [["a"], ["b"], []]),
        ([1, "b", ["c"], [2]], "list(string)", [["1"], ["b"], ["c"], ["2"]]),
        ([[1], 2], "string", ["[1]", "2"]),
        ([1, "x", True], "string", ["1", "x", "true"]),
        ([True, "no"], "boolean", [True, False]),
        ([2**53 + 1, 0.5], "string", ["9007199254740993", "0.5"]),
        ([None], "int64", [None]),
    ],
)
def test_values_become_what_was_asked_for(values: list[Any], dtype: str, wanted: list[Any], tmp_path: Path) -> None:
    frame, _, ctx = fetched(one_a_page(values), tmp_path, pagination="page", schema={"v": dtype})
    assert frame["v"].to_list() == wanted
    assert ctx.report().warnings == ()


@pytest.mark.parametrize(
    ("values", "dtype", "message"),
    [
        ([1, "2", "x"], "int64", "page 3: column 'v': x is not int64"),
        ([1, 2.5], "int64", "page 2: column 'v': 2.5 is not int64"),
        ([1, 300], "int8", "page 2: column 'v': 300 is not int8"),
        (["a", "{b}"], "enum(a,c)", "page 2: column 'v': {b} is not enum(a,c)"),
        (["2024-01-31", 5], "date", "page 2: column 'v': a number becomes a date only with format: epoch"),
        ([1, [2]], "int64", "page 2: column 'v': there is no cast from list(int64) to int64"),
        ([[1], ["x"]], "list(int64)", "page 2: column 'v': a value is not list(int64)"),
        ([1, "x"], "list(int64)", "page 2: column 'v': x is not list(int64)"),
    ],
)
def test_a_misfit_is_named_with_its_page(values: list[Any], dtype: str, message: str, tmp_path: Path) -> None:
    error = failure(one_a_page(values), tmp_path, pagination="page", schema={"v": dtype})
    assert message in error.message
    assert error.details["field"] == "schema.v"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2, "x"], "are int64 on page 1, string on page 3; they are kept as text"),
        ([1, [2]], "are int64 on page 1, list(int64) on page 2; they are kept as list(int64)"),
        ([[1], [2, "x"]], "differ in kind on page 2; they are kept as list(string)"),
        ([1, 2**63], "go beyond int64 on page 2; they are kept as text"),
        ([0.5, 2**60], "are float64 on page 1, int64 on page 2; they are kept as text"),
    ],
)
@pytest.mark.parametrize("batch", [1, 10**6])
def test_values_that_disagree_are_named(
    values: list[Any], message: str, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same is message whether the pages were parsed together or one by one."""
    monkeypatch.setattr("service.collectors.http_api.page_batches.BATCH_BYTES", batch)
    _, _, ctx = fetched(one_a_page(values), tmp_path, pagination="page")
    assert [w.message for w in ctx.report().warnings] == [f"the values of 'v' {message}"]
    _, _, ctx = fetched(one_a_page(values), tmp_path, pagination="page", columns=["id"])
    assert ctx.report().warnings == ()


def test_keys_that_a_record_repeats_are_named_with_their_page(tmp_path: Path) -> None:
    pages = ['[{"id":1,"v":1}]', '[{"id":2,"v":1,"v":2}]', "[]"]
    frame, _, ctx = fetched(
        lambda hit: Reply(pages[int(hit.query["page"]) - 1].encode(), headers={"content-type": "application/json"}),
        tmp_path,
        pagination="page",
    )
    assert frame.rows() == [(1, 1), (2, 2)]
    (warning,) = [w for w in ctx.report().warnings if w.code == "duplicate_keys"]
    assert warning.details["keys"] == ["v"]
    assert "page" in warning.details["where"]


def test_long_numbers_inside_lists_are_kept_between_pages(tmp_path: Path) -> None:
    frame, _, _ = fetched(one_a_page([[2**53 + 1], [0.5]]), tmp_path, pagination="page")
    assert frame["v"].to_list() in (["[9007199254740993]", "[0.5]"], [["9007199254740993"], ["0.5"]])
