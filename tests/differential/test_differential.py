"""Random SQL, expressions and pipelines give what DuckDB and pandas give."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from tests.differential.__main__ import KINDS, cases
from tests.differential.comparison import same, same_rows

SEED = 7


@pytest.mark.parametrize("kind", KINDS)
def test_a_few(kind: str) -> None:
    found = list(cases(kind, SEED, 12))
    assert [(number, v.text, v.outcome) for number, v in found if v.differs] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand(kind: str) -> None:
    found = list(cases(kind, SEED, 1000))
    assert [(number, v.text, v.outcome) for number, v in found if v.differs] == []
    assert sum(v.outcome == "refused" for _, v in found) <= 100  # of ten common texts one may be refused
    assert sum(v.outcome == "same" for _, v in found) >= 700


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 2), (1, None), (True, 1), ("1", 1), (0.1, 0.2), (dt.date(2024, 1, 1), dt.datetime(2024, 1, 1)), ([1], [1, 2])],
)
def test_what_is_not_the_same(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert not same_rows([(0, one)], [(0, other)], ordered=False)


@pytest.mark.parametrize(
    ("one", "other"), [(1, Decimal("1.00")), (float("nan"), float("nan")), (0.1 + 0.2, 0.3), (2**70, 2**70)]
)
def test_what_is_the_same(one: Any, other: Any) -> None:
    assert same(one, other)


def test_the_order_counts_where_there_is_one() -> None:
    assert same_rows([(1,), (2,)], [(2,), (1,)], ordered=False)
    assert not same_rows([(1,), (2,)], [(2,), (1,)], ordered=True)
