"""A value that becomes null is counted, with samples, and too many of them end the run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.cases.product import Product, cleaner

PRICES = [f"{n}.50" for n in range(21)] + ["1,299.00"] * 15  # 36 prices, 15 of which a plain cast cannot read
SOURCE = [{"type": "csv", "file_path": "p.csv", "schema": {"price": "string"}}]


def body(values: list[str]) -> str:
    return "id,price\n" + "".join(f'{n},"{value}"\n' for n, value in enumerate(values))


def test_a_cast_counts_what_it_loses(product: Product) -> None:
    done = product.run(cleaner(cast={"price": "float64"}), files={"p.csv": body(PRICES)}, collectors=SOURCE)
    assert done.columns["price"].count(None) == 15
    (lost,) = done.warnings("values_lost")
    assert (lost["column"], lost["count"]) == ("price", 15)
    assert abs(lost["share"] - 15 / 36) < 1e-3
    assert "1,299.00" in lost["samples"]


def test_a_bound_on_what_may_be_lost(product: Product) -> None:
    steps = {"cast": {"price": "float64"}, "max_lost_share": 0.2}
    refusal = product.run(cleaner(**steps), files={"p.csv": body(PRICES)}, collectors=SOURCE).refusal
    assert all(word in refusal for word in ("price", "15", "36", "max_lost_share"))
    most = ["1,299.00"] * 19 + ["1"] * 17
    refusal = product.run(cleaner(cast={"price": "float64"}), files={"p.csv": body(most)}, collectors=SOURCE).refusal
    assert "max_lost_share" in refusal
    all_of_them = cleaner(cast={"price": "float64"}, max_lost_share=1)
    done = product.run(all_of_them, files={"p.csv": body(most)}, collectors=SOURCE)
    assert done.columns["price"].count(None) == 19


@pytest.mark.parametrize("route", ["plan", "preview"])
def test_a_plan_and_a_preview_say_what_the_sample_loses(product: Product, route: str) -> None:
    product.upload("lost", {"p.csv": body(PRICES)})
    document = {
        "name": "lost", "processors": [cleaner(cast={"price": "float64"})],
        "collectors": [{"type": "csv", "file_path": "lost/p.csv", "schema": {"price": "string"}}],
    }  # fmt: skip
    answer = product.served.json("POST", f"/pipeline/{route}", json=document)
    assert "values_lost" in str(answer)


@pytest.mark.parametrize(
    ("settings", "texts", "wanted"),
    [
        ({"thousands": ","}, ["1,299.00", "7"], [1299.0, 7.0]),
        ({"decimal_comma": True}, ["6,5", "7"], [6.5, 7.0]),
        ({"decimal_comma": True, "thousands": "."}, ["1.299,50", "7"], [1299.5, 7.0]),
        ({"percent": True}, ["12.5%", "7%"], [0.125, 0.07]),
        ({"currency": True}, ["€ 12.50", "$7"], [12.5, 7.0]),
    ],
)
def test_numbers_as_people_write_them(
    product: Product, settings: dict[str, Any], texts: list[str], wanted: list[float]
) -> None:
    cast = {"price": {"type": "float64", "on_error": "fail", **settings}}
    done = product.run(cleaner(cast=cast), files={"p.csv": body(texts)}, collectors=SOURCE)
    assert done.columns["price"] == pytest.approx(wanted)


def test_words_for_true_and_false(product: Product) -> None:
    cast = {"price": {"type": "boolean", "true_values": ["ja"], "false_values": ["nein"], "on_error": "fail"}}
    done = product.run(cleaner(cast=cast), files={"p.csv": body(["ja", "nein"])}, collectors=SOURCE)
    assert done.columns["price"] == [True, False]


def test_a_row_in_quarantine_shows_the_value_as_it_came_and_can_be_mended(product: Product) -> None:
    cast = {"price": {"type": "float64", "on_error": "quarantine"}}
    done = product.run(cleaner(cast=cast), files={"p.csv": body(["6,5", "7"])}, collectors=SOURCE)
    assert done.columns["price"] == [7.0]
    assert done.rejected is not None
    assert done.rejected["price"].to_list() == ["6,5"]
    config = product.served.http.get(f"/pipeline/{done.name}/config")
    document = config.json()["config"]
    document["processors"] = [cleaner(cast={"price": {**cast["price"], "decimal_comma": True}})]
    changed = {"If-Match": config.headers["etag"]}
    product.served.json("PUT", f"/pipeline/{done.name}/config", json=document, headers=changed)
    product.served.json("POST", f"/pipeline/{done.name}/quarantine/replay?wait=60")
    rows = product.served.json("GET", f"/pipeline/{done.name}/data")["data"]
    assert sorted(row["price"] for row in rows) == [6.5, 7.0]
