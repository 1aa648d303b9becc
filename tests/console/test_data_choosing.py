"""A person chooses rows of a table by what is in them, and sends a link to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.acceptance.served import PASSWORD, Served, serving
from tests.console import grids
from tests.console.grids import cell, copied, grid, rows_told
from tests.console.visits import Visits

READER = "a reader's long pass phrase"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with a table, and an account that may read shared ones."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "shop.csv").write_text(grids.SHOP)
    settings = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_FILE_ROOTS": str(folder)}
    with serving(folder / "data", PENSTOCK_LOGIN_RATE_LIMIT_PER_MINUTE="1000", **settings) as served:
        served.login()
        grids.make(served, "shop", "shop.csv", [{"type": "analyzer"}])
        served.json("POST", "/users", status=201, json={"username": "reader", "password": READER, "role": "viewer"})
        yield served


def test_rows_are_chosen_by_values(visits: Visits) -> None:
    page = visits.open("/data/shop")
    grid(page)
    cell(page, 0, 2).click()
    page.get_by_role("button", name="Only this").click()
    expect(rows_told(page)).to_have_text("100 of 400 rows")
    cell(page, 0, 3).click(button="right")
    page.get_by_role("menuitem", name="Not this value").click()
    expect(page.get_by_role("list", name="Conditions").get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_role("button", name=re.compile("^Change: town = “Bern”"))).to_be_visible()
    fits = rows_told(page).text_content()
    page.reload()
    expect(rows_told(page)).to_have_text(fits or "")
    page.get_by_role("button", name=re.compile("^Remove: town")).click()
    page.get_by_role("button", name=re.compile("^Remove: amount")).click()
    expect(rows_told(page)).to_have_text("400 rows")
    page.get_by_role("combobox", name="Filter: a condition").fill("town IS NULL")
    page.keyboard.press("Enter")
    expect(rows_told(page)).to_have_text("100 of 400 rows")
    page.go_back()
    expect(rows_told(page)).to_have_text("400 rows")


def test_a_column_tells_its_figures_and_filters(visits: Visits) -> None:
    page = visits.open("/data/shop")
    grid(page).get_by_role("button", name="Column town").click()
    panel = page.get_by_role("complementary", name="town")
    expect(panel.get_by_role("heading", name="town")).to_be_focused()
    values = panel.get_by_role("region", name="Values")
    expect(values.get_by_role("listitem")).to_have_count(4)
    values.get_by_label(re.compile("^Oslo")).check()
    values.get_by_label(re.compile("^null")).check()
    expect(rows_told(page)).to_have_text("200 of 400 rows")
    expect(values.get_by_label(re.compile("^Rome"))).not_to_be_checked()
    expect(panel.get_by_role("region", name="Figures")).to_contain_text("100 (50 %)")
    values.get_by_label(re.compile("^null")).uncheck()
    expect(rows_told(page)).to_have_text("100 of 400 rows")
    panel.get_by_label("Text of town").fill("sL")
    panel.get_by_role("button", name="Choose").click()
    expect(page.get_by_role("button", name="Change: town contains “sl”")).to_be_visible()
    expect(rows_told(page)).to_have_text("100 of 400 rows")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(page.get_by_role("grid")).to_be_focused()
    page.get_by_role("grid").get_by_role("button", name="Column amount").click()
    panel = page.get_by_role("complementary", name="amount")
    panel.get_by_label("Least amount").fill("two")
    panel.get_by_role("button", name="Choose", exact=True).click()
    expect(panel.get_by_role("alert")).to_contain_text("is not a number")
    panel.get_by_label("Least amount").fill("2.5")
    panel.get_by_label("Greatest amount").fill("5")
    panel.get_by_role("button", name="Choose", exact=True).click()
    expect(page.get_by_role("button", name="Change: amount from “2.5” to “5”")).to_be_visible()
    figures = panel.get_by_role("region", name="Figures")
    expect(figures.get_by_text("least")).to_be_visible()
    expect(figures).to_contain_text("2.5")
    figures.get_by_role("list").get_by_role("link").first.click()
    expect(page.get_by_role("list", name="Conditions").get_by_role("listitem")).to_have_count(4)


def test_a_wrong_condition_is_shown_at_its_place(visits: Visits) -> None:
    page = visits.open("/data/shop?filter=" + quote("id < 100"))
    field = page.get_by_role("combobox", name="Filter: a condition")
    field.press_sequentially("am")
    expect(page.get_by_role("option", name=re.compile("^amount"))).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(field).to_have_value("amount")
    page.keyboard.type(" > > 3")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("syntax error")
    assert (alert.locator("pre").text_content() or "").split("\n") == ["amount > > 3", "         ^"]
    visits.faults.clear()  # the browser tells of the answer 400
    alert.get_by_role("button", name="Change this condition").click()
    field.fill("amoun > 3")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("did you mean 'amount'?")
    visits.faults.clear()
    page.get_by_role("button", name=re.compile("^Change: amoun")).click()
    field.fill("amount > 3 -- dear")
    page.keyboard.press("Enter")
    expect(rows_told(page)).to_contain_text("of 400 rows")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_link_is_pinned_and_asks_for_rights(visits: Visits, served: Served) -> None:
    page = visits.open("/data/shop?filter=" + quote("town = 'Rome'") + "&sort=-id")
    expect(rows_told(page)).to_have_text("100 of 400 rows")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    link = copied(page)
    assert "version=1" in link
    served.json("PATCH", "/pipeline/shop", json={"visibility": "private"})
    path = link.partition("/console")[2]
    refused = visits.open(path, user="reader", password=READER)
    expect(refused.get_by_role("alert")).to_be_visible()
    expect(refused.get_by_text("you have no right to read it")).to_be_visible()
    expect(refused.get_by_role("link", name="All tables")).to_be_visible()
    assert all("404" in fault or "403" in fault for fault in visits.faults)
    visits.faults.clear()
    served.json("PATCH", "/pipeline/shop", json={"visibility": "shared"})
    allowed = visits.open(path, user="reader", password=READER)
    expect(rows_told(allowed)).to_have_text("100 of 400 rows")
    expect(allowed.get_by_text("pinned to 1")).to_be_visible()
    expect(cell(allowed, 0, 2)).to_have_text("Rome")


def test_a_new_version_is_announced_and_not_put_under_the_reader(visits: Visits, served: Served) -> None:
    grids.make(served, "fresh", "shop.csv")
    page = visits.open("/data/fresh")
    expect(rows_told(page)).to_have_text("400 rows")
    grids.make(served, "fresh", "shop.csv", [{"type": "transformer", "config": {"derive": {"more": "id + 1"}}}])
    expect(page.get_by_text("Version 2 is there, with 400 rows. You still see version 1.")).to_be_visible()
    expect(page.get_by_role("columnheader")).to_have_count(4)
    grid(page).get_by_role("button", name=re.compile("^id")).first.click()
    expect(page.get_by_role("columnheader").first).to_have_attribute("aria-sort", "ascending")
    expect(page.get_by_role("columnheader")).to_have_count(4)
    page.get_by_role("button", name="Show version 2").click()
    expect(page.get_by_role("columnheader")).to_have_count(5)
    page.get_by_role("link", name="revision 2").click()
    expect(page).to_have_url(re.compile("/pipelines/fresh/configuration.revision=2"))
