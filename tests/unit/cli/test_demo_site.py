"""The demo's shop: the same every time, untidy as promised, and really answering over HTTP."""

from __future__ import annotations

import csv
import json
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from service.cli import demo_site


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read(), "utf-8")


def test_the_csv_is_the_same_every_time(tmp_path: Path) -> None:
    first, second = demo_site.make_csv(tmp_path / "a.csv", 300), demo_site.make_csv(tmp_path / "b.csv", 300)
    assert first.read_bytes() == second.read_bytes()


def test_the_csv_is_untidy(tmp_path: Path) -> None:
    with demo_site.make_csv(tmp_path / "orders.csv", 2000).open(newline="") as source:
        rows = list(csv.DictReader(source))
    ids = Counter(row["order_id"] for row in rows)
    assert len(ids) == 2000 < len(rows)
    assert any(row["unit_price"] == "" for row in rows)
    assert any(row["unit_price"] in ("n/a", "ask") for row in rows)
    assert {"/" in row["Ordered At"] for row in rows} == {True, False}
    assert any(row["channel"] != row["channel"].strip() for row in rows)


def test_api_pages_hold_every_product_once_and_end_short() -> None:
    with demo_site.serve() as address:
        pages = [json.loads(_get(f"{address}/api/products?page={n}&size=25"))["data"]["items"] for n in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [25, 25, 10, 0]
    assert len({item["sku"] for page in pages for item in page}) == demo_site.PRODUCTS


def test_catalogue_pages_hold_every_product() -> None:
    with demo_site.serve() as address:
        text = "".join(_get(url) for url in demo_site.pipeline(address)["collectors"][2]["url"])
    assert text.count('<article class="product">') == demo_site.PRODUCTS
    assert all(product["sku"] in text for product in demo_site.products())


@pytest.mark.parametrize("path", ["/", "/catalogue/9", "/api/products?page=x"])
def test_other_pages_are_not_found(path: str) -> None:
    with demo_site.serve() as address, pytest.raises(urllib.error.HTTPError, match="404") as caught:
        _get(address + path)
    caught.value.close()
