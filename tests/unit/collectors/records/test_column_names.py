"""Names of a header stay as they are, and different ones stay different."""

from __future__ import annotations

import pytest

from service.collectors.records import column_names

COMPOSED, DECOMPOSED = "\u00e9", "e\u0301"


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (["मूल्य", "कि", "की"], ["मूल्य", "कि", "की"]),
        ([COMPOSED, DECOMPOSED], [COMPOSED, DECOMPOSED]),
        (["मूल्य", "मूल्य"], ["मूल्य", "मूल्य_2"]),
        (["a", "a", "a_2"], ["a", "a_3", "a_2"]),
        (["", "a", ""], ["column_1", "a", "column_3"]),
        (["column_2", ""], ["column_2", "column_2_2"]),
    ],
)
def test_every_field_has_a_name(header: list[str], names: list[str]) -> None:
    found, renamed = column_names.unique(header)
    assert found == names
    assert all(name not in header for others in renamed.values() for name in others)
