"""Pages far down a sort or a filter come from a copy that is made once, and are the pages that they were without it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.query.engine import Engine
from service.query.scope import Scope
from service.query.sorted_copies import DEEP, LEAST_ROWS
from tests.acceptance import warehouse

ROWS = LEAST_ROWS + 1_000
CITIES = ["Oslo", "Bern", "Rīga", "東京", "a", "b"]
BY_CITY = {"sort": "city,-amount"}
SOME = {"filter": "id % 2 = 0"}
BOTH = {"filter": "city <> 'Bern' AND amount IS NOT NULL", "sort": "-amount"}


@pytest.fixture
def stored(tmp_path: Path) -> warehouse.Warehouse:
    number = pl.int_range(ROWS, eager=True)
    frame = pl.DataFrame({
        "id": number, "city": (number * 31 % 6).replace_strict(dict(enumerate(CITIES))),
        "amount": pl.select(pl.when(number % 7 > 0).then((number * 7919 % 10_007).cast(pl.Decimal(12, 2)))).to_series(),
        "day": pl.Series([dt.date(2020, 1, 1) + dt.timedelta(days=n % 900) for n in range(ROWS)]),
        "big": number.cast(pl.UInt64) + 2**63, "list": number.reshape((-1, 1)).arr.to_list(),
    })  # fmt: skip
    return warehouse.store(tmp_path, frame)


async def _page(engine: Engine, stored: warehouse.Warehouse, offset: int, **options: Any) -> dict[str, Any]:
    answer = await engine.data(stored.sources["orders"], offset=offset, limit=50, **options)
    page: dict[str, Any] = json.loads(answer.content or b"")
    return page


def _copies(stored: warehouse.Warehouse) -> list[Path]:
    return list(stored.layout.sorted.glob("*.parquet"))


@pytest.mark.parametrize("rows", [BY_CITY, SOME, BOTH], ids=["sort", "filter", "both"])
def test_a_page_of_a_copy_is_the_page(stored: warehouse.Warehouse, rows: dict[str, str]) -> None:
    async def both(engine: Engine) -> None:
        for offset in (DEEP, DEEP + 3_001, 60_000):
            copied = await _page(engine, stored, offset, **rows)
            assert len(_copies(stored)) == 1
            # a reader whose rows are filtered has no copy: this filter lets him see them all
            whole = await _page(engine, stored, offset, **rows, scope=Scope(row_filters=(("orders", "id >= 0"),)))
            assert copied == whole
            assert copied["row_count"] == 50

    warehouse.answered(stored, both)
    assert _copies(stored) == []  # they end with the engine


def test_the_first_page_alone_makes_no_copy(stored: warehouse.Warehouse) -> None:
    async def first(engine: Engine) -> None:
        await _page(engine, stored, 0, **BY_CITY)
        assert not stored.layout.sorted.exists()

    warehouse.answered(stored, first)


@pytest.mark.parametrize("rows", [{"filter": "random() < 2"}, {"sort": "city", "columns": ["id"]}, {}])
def test_what_depends_on_chance_has_no_copy_and_columns_have_one_for_all(
    stored: warehouse.Warehouse, rows: dict[str, Any]
) -> None:
    async def page(engine: Engine) -> None:
        await _page(engine, stored, DEEP, **rows)
        await _page(engine, stored, DEEP, **rows | ({"columns": ["day", "city"]} if "columns" in rows else {}))
        assert len(_copies(stored)) == ("columns" in rows)

    warehouse.answered(stored, page)


def test_a_version_that_is_deleted_takes_its_copies_along(stored: warehouse.Warehouse) -> None:
    async def deleted(engine: Engine) -> None:
        await _page(engine, stored, DEEP, **SOME)
        assert not engine.reads(stored.layout.version("orders", 3))
        assert _copies(stored) == []
        assert (await _page(engine, stored, DEEP, **SOME))["row_count"] == 50

    warehouse.answered(stored, deleted)


def test_copies_have_a_bound(stored: warehouse.Warehouse) -> None:
    async def small(engine: Engine) -> None:
        assert (await _page(engine, stored, DEEP, **BY_CITY))["row_count"] == 50
        assert _copies(stored) == []

    warehouse.answered(stored, small, spool_bytes=1 << 20)


def test_a_filter_that_cannot_be_read_says_so_on_every_page(stored: warehouse.Warehouse) -> None:
    async def wrong(engine: Engine) -> None:
        for offset in (0, DEEP):
            with pytest.raises(Exception, match="filter") as raised:
                await _page(engine, stored, offset, filter="nowhere = 1")
            assert getattr(raised.value, "details", {})["field"] == "filter"

    warehouse.answered(stored, wrong)
