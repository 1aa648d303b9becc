"""Names in snake_case: letters with their marks stay, different names stay different."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.processors.cleaning.names import snake_case


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("मूल्य", "मूल्य"), ("हिन्दी नाम", "हिन्दी_नाम"), ("ราคา (บาท)", "ราคา_บาท"), ("שָׁלוֹם", "שָׁלוֹם"),
        ("e\u0301tat", "état"), ("q\u0307", "q\u0307"), ("தமிழ்", "தமிழ்"), ("می\u200cخواهم", "میخواهم"),
        ("Größe [cm]", "größe_cm"), ("50 %", "50"), ("x²", "x2"),
    ],
)  # fmt: skip
def test_letters_with_combining_marks_stay(name: str, wanted: str) -> None:
    assert unicodedata.normalize("NFC", snake_case([name])[name]) == unicodedata.normalize("NFC", wanted)


@given(st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=8))
def test_different_names_stay_different(names: list[str]) -> None:
    renamed = snake_case(names)
    assert list(renamed) == names
    assert len({new.lower() for new in renamed.values()}) == len(names)
