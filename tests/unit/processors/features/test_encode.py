"""Names of one-hot columns that SQL would take for one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.processors.table import apply


@pytest.mark.parametrize(
    ("values", "settings", "names"),
    [
        (["Yes", "yes", "no"], {}, ["a_Yes", "a_no", "a_yes_2"]),
        (["Yes", "yes", "yes_2"], {}, ["a_Yes", "a_yes_3", "a_yes_2"]),
        (["YES", "Yes", "yes"], {}, ["a_YES", "a_Yes_2", "a_yes_3"]),
        (["Yes", "yes"], {"categories": ["yes", "Yes"]}, ["a_yes", "a_Yes_2"]),
        (["Other", "b"], {"handle_unknown": "other"}, ["a_Other_2", "a_b", "a_other"]),
        (["Yes", "yes", "no"], {"drop_first": True}, ["a_no", "a_yes_2"]),
    ],
)
def test_categories_that_differ_only_in_case_are_both_columns(
    values: list[str], settings: dict[str, Any], names: list[str]
) -> None:
    done = apply("transformer", {"a": values}, encode={"a": {"method": "onehot", **settings}})
    assert done.rows.columns == names
    assert "columns_renamed" in done.warned
    for name in names[:-1] if "handle_unknown" in settings else names:
        assert done.rows[name].sum() == 1


def test_a_category_called_other_beside_the_unknown_ones() -> None:
    setting = {"method": "onehot", "handle_unknown": "other"}
    done = apply("transformer", {"a": ["other", "b"]}, encode={"a": setting})
    assert done.columns == {"a_b": [0, 1], "a_other_2": [1, 0], "a_other": [0, 0]}
