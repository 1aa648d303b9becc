"""One pipeline in a browser: each of its sides does its main job, by pointer and by key."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.served import Served
from tests.console.visits import Visits

HEAD = "id,price,city"
RULES = [
    {"column": "price", "check": "in_range", "min": 0},
    {"column": "city", "check": "in_set", "values": ["Bern", "Rome", "<b>Oslo</b>"]},
]
SHOP: dict[str, Any] = {
    "name": "shop", "description": "Orders of the shop", "collectors": [{"type": "csv", "file_path": "shop.csv"}],
    "processors": [
        {"type": "validator", "config": {"rules": RULES, "on_fail": "quarantine"}},
        {"type": "transformer", "config": {"derive": {"total": "price * 2"}}}, {"type": "analyzer", "config": {}},
    ],
    "storage": [{"type": "parquet", "key": "id"}], "publish_if": {"max_row_drop_share": 0.5},
    "schedule": {"cron": "0 6 * * *"},
}  # fmt: skip
SIDES = ["Runs", "Versions", "Profile", "Quarantine", "Lineage", "Access"]
SUM = "SELECT city, sum(total) AS money FROM input GROUP BY ALL"
MONEY = {
    "name": "money", "collectors": [{"type": "pipeline", "name": "shop"}],
    "processors": [{"type": "sql", "config": {"query": SUM}}],
}  # fmt: skip


def run(served: Served, *rows: str, head: str = HEAD, name: str = "shop") -> dict[str, Any]:
    if rows:
        served.http.put("/files/shop.csv", content="\n".join([head, *rows, ""]).encode()).raise_for_status()
    answer: dict[str, Any] = served.json("POST", f"/pipeline/{name}/execute?wait=60")
    assert answer["status"] in {"completed", "held"}, answer
    return answer


@pytest.fixture(scope="module")
def shop(served: Served) -> Served:
    """Two published versions with rows in quarantine, a pipeline that reads them, and one with 500 columns."""
    served.json("POST", "/pipeline/create", status=201, json=SHOP)
    run(served, "1,10,Bern", "2,20,Rome", "3,30,<b>Oslo</b>")
    run(served, "1,10,Bern,a", "2,25,Rome,b", "4,40,Rome,c", "5,-5,Bern,d", "6,60,Rme,e", head=f"{HEAD},note")
    served.json("POST", "/pipeline/create", status=201, json=MONEY)
    run(served, name="money")
    return served


def test_the_head_says_how_it_is_and_pauses_the_schedule(shop: Served, visits: Visits) -> None:
    page = visits.open("/pipelines/shop")
    expect(page.get_by_role("heading", level=1)).to_have_text("shop")
    main = page.get_by_role("main")
    expect(main).to_contain_text("Orders of the shop")
    expect(main).to_contain_text("0 6 * * *")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert shop.json("GET", "/schedules")["items"][0]["paused"] is True
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


def test_bars_tell_by_key_and_lead_to_the_run(shop: Served, visits: Visits) -> None:
    page = visits.open("/pipelines/shop/runs")
    bars = page.get_by_role("list", name="Runs by duration").get_by_role("link")
    expect(bars).to_have_count(2)
    bars.last.focus()
    page.keyboard.press("ArrowLeft")
    expect(bars.first).to_be_focused()
    expect(page.get_by_role("figure")).to_contain_text("completed,")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Run of shop")


def test_runs_appear_without_being_asked(shop: Served, visits: Visits) -> None:
    page = visits.open("/pipelines/money/runs")
    rows = page.get_by_role("table", name="Runs, newest first").get_by_role("row")
    expect(rows).to_have_count(2)
    run(shop, name="money")
    expect(rows).to_have_count(3)


def test_two_versions_are_compared_at_an_address(shop: Served, visits: Visits) -> None:
    page = visits.open("/pipelines/shop/versions")
    page.get_by_role("button", name="Compare version 2 with 1").click()
    expect(page).to_have_url(re.compile(r"compare=2&with=1"))
    difference = page.get_by_role("region", name="Difference")
    changed = difference.get_by_role("region", name="Rows that changed")
    expect(changed.get_by_role("row", name="2")).to_contain_text("20 → 25")
    expect(difference.get_by_role("row", name="note string")).to_contain_text("added")
    difference.get_by_text("Rows that were removed").click()
    expect(difference.get_by_role("region", name="Rows that were removed")).to_contain_text("<b>Oslo</b>")
    page.reload()
    expect(changed).to_be_visible()


def test_a_version_is_one_click_from_its_run_and_its_configuration(shop: Served, visits: Visits) -> None:
    page = visits.open("/pipelines/shop/versions")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="Rows of version 2"))
    expect(row.get_by_role("link", name="revision 1")).to_have_attribute("href", re.compile("configuration.revision=1"))
    row.get_by_role("link", name="Run of version 2").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Run of shop")


def test_the_tab_that_is_open_is_in_sight_on_a_telephone(shop: Served, visits: Visits) -> None:
    page = visits.open("/pipelines/shop/access", phone=True)
    expect(page.get_by_role("link", name="Access", exact=True)).to_be_in_viewport(ratio=1)


def test_versions_are_pinned_and_named(shop: Served, visits: Visits) -> None:
    page = visits.open("/pipelines/shop/versions")
    page.get_by_role("button", name="Name version 1", exact=True).click()
    page.get_by_role("textbox", name="Name of version 1").fill("first")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Remove the name first")).to_be_visible()
    page.get_by_role("button", name="Pin version 1", exact=True).click()
    expect(page.get_by_role("button", name="Unpin version 1")).to_be_visible()
    assert shop.json("GET", "/pipeline/shop/versions/1")["tags"] == ["first"]


def test_a_bar_of_the_profile_leads_to_its_rows(shop: Served, visits: Visits) -> None:
    page = visits.open("/pipelines/shop/profile?column=price")
    bars = page.get_by_role("list", name="Distribution of price").get_by_role("link")
    bars.first.focus()
    page.keyboard.press("End")
    expect(page.get_by_role("figure")).to_contain_text(": 1 row")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/data/shop\?.*filter="))
    grid = page.get_by_role("grid")
    expect(grid.get_by_role("gridcell", name="40", exact=True).first).to_be_visible()
    expect(grid.get_by_role("gridcell", name="10", exact=True)).to_have_count(0)


def test_columns_of_a_profile_are_chosen_by_key_and_words(shop: Served, visits: Visits) -> None:
    page = visits.open("/pipelines/shop/profile")
    page.get_by_role("listbox", name="Columns").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("region", name="Column price")).to_be_visible()
    page.get_by_role("searchbox", name="Search columns").fill("city")
    expect(page.get_by_role("option")).to_have_count(1)
    page.get_by_role("option", name="city").click()
    expect(page.get_by_role("link", name="Rome")).to_have_attribute("href", re.compile("filter=.*Rome"))


def test_five_hundred_columns_are_not_all_in_the_page(shop: Served, visits: Visits) -> None:
    head = ",".join(f"m{number:03}" for number in range(500))
    rows = "\n".join(",".join(str(line + number) for number in range(500)) for line in range(5))
    shop.http.put("/files/wide.csv", content=f"{head}\n{rows}\n".encode()).raise_for_status()
    document = {**SHOP, "name": "wide", "collectors": [{"type": "csv", "file_path": "wide.csv"}], "publish_if": None}
    document |= {"processors": [{"type": "analyzer", "config": {}}], "storage": [{"type": "parquet"}]}
    shop.json("POST", "/pipeline/create", status=201, json=document)
    run(shop, name="wide")
    page = visits.open("/pipelines/wide/profile?column=m250")
    expect(page.get_by_role("region", name="Column m250")).to_be_visible()
    expect(page.get_by_role("option", name="m000")).to_be_visible()
    assert page.get_by_role("option").count() < 60
    page.get_by_role("listbox", name="Columns").focus()
    page.keyboard.press("End")
    expect(page.get_by_role("region", name="Column m499")).to_be_visible()


def test_the_way_of_a_column_through_pipelines(shop: Served, visits: Visits) -> None:
    page = visits.open("/pipelines/money/lineage")
    page.get_by_role("option", name="money").click()
    way = page.get_by_role("status", name="Way of the column")
    expect(way.get_by_role("row", name="shop.csv")).to_contain_text("price")
    expect(way.get_by_role("row", name="shop", exact=False).first).to_contain_text("total")
    expect(page).to_have_url(re.compile("column=money"))
    page.get_by_role("region", name="Lineage graph").get_by_role("link", name="shop").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("shop")


def test_a_row_in_quarantine_is_mended_and_becomes_data(shop: Served, visits: Visits) -> None:
    page = visits.open("/pipelines/shop/quarantine")
    page.get_by_role("group", name="Rules").get_by_role("button", name="city_in_set").click()
    rows = page.get_by_role("region", name="Rows in quarantine").get_by_role("row")
    expect(rows).to_have_count(2)
    page.get_by_role("button", name=re.compile("Edit city of row 5: Rme")).click()
    page.keyboard.type("Rome")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Replay")).to_contain_text("1 chosen, 1 mended")
    page.get_by_role("button", name="Edit price of row 5: 60").click()
    page.keyboard.type("sixty")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("takes a whole number")
    page.goto("/console/pipelines/shop/runs")
    page.go_back()
    expect(page.get_by_role("region", name="Replay")).to_contain_text("1 chosen, 1 mended")  # leaving lost nothing
    expect(page.get_by_role("button", name="Replay 1 row")).to_be_disabled()
    page.get_by_role("button", name="Edit price of row 5: sixty").click()
    page.keyboard.type("61")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Replay 1 row").click()
    told = page.get_by_role("status", name="Replayed")
    expect(told).to_contain_text("Version 3 has 4 rows")
    stored = shop.json("GET", "/pipeline/shop/data", params={"filter": "id = 6"})["data"]
    assert [(row["price"], row["city"]) for row in stored] == [(61, "Rome")]
    assert shop.json("GET", "/pipeline/shop/quarantine")["total_rows"] == 1


def test_a_held_version_is_accepted(shop: Served, visits: Visits) -> None:
    assert run(shop, "1,11,Bern")["status"] == "held"
    page = visits.open("/pipelines/shop/versions")
    held = page.get_by_role("region", name=re.compile("Version 4 is held"))
    expect(held).to_contain_text("rows fell by a share")
    held.get_by_role("button", name="Compare with version 3").click()
    expect(page.get_by_role("region", name="Difference")).to_contain_text("removed")
    held.get_by_role("button", name="Accept version 4").click()
    expect(held).to_have_count(0)
    assert shop.json("GET", "/pipeline/shop/data")["version"] == 4


def test_it_is_shared_and_deleted(shop: Served, visits: Visits) -> None:
    shop.json("POST", "/pipeline/create", status=201, json={**MONEY, "name": "secret"})
    page = visits.open("/pipelines/secret/access")
    page.get_by_role("button", name="Make private").click()
    expect(page.get_by_role("region", name="Who may see it")).to_contain_text("its owner and the admins")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete secret").click()
    expect(page.get_by_role("heading", name="Pipelines", exact=True)).to_be_visible()


def test_each_side_fits_a_telephone(shop: Served, visits: Visits) -> None:
    page = visits.open("/pipelines/shop", phone=True, dark=True)
    for side in SIDES:
        page.get_by_role("navigation", name="Sides of the pipeline").get_by_role("link", name=side).click()
        expect(
            page.get_by_role("navigation", name="Sides of the pipeline").get_by_role("link", name=side)
        ).to_have_attribute("aria-current", "page")
        expect(page.get_by_text("Loading …")).to_have_count(0)
        assert wider_than_the_screen(page) == 0, side


def test_a_pipeline_that_never_ran_says_what_to_do(shop: Served, visits: Visits) -> None:
    shop.json("POST", "/pipeline/create", status=201, json={**MONEY, "name": "new"})
    page = visits.open("/pipelines/new")
    for side in SIDES:
        page.get_by_role("navigation", name="Sides of the pipeline").get_by_role("link", name=side).click()
        expect(page.get_by_text("Loading …")).to_have_count(0)
        expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("link", name="Versions").click()
    expect(page.get_by_text("Each successful run keeps its rows")).to_be_visible()


def wider_than_the_screen(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
