"""Answers of SQL in the console: rows, chart, plan, downloads, saved queries."""

from __future__ import annotations

import json
import re
import time

import pytest
from playwright.sync_api import Route, expect

from tests.acceptance.served import Served
from tests.console.statements import (
    BY_DAY,
    EXACT,
    HEAVY,
    HOSTILE,
    at,
    cells,
    editor,
    run,
    status,
    store_orders,
    write,
)
from tests.console.visits import Visits


@pytest.fixture(scope="module", autouse=True)
def orders(served: Served) -> None:
    store_orders(served)


def test_a_chart_in_two_clicks_has_an_address(visits: Visits) -> None:
    page = visits.open("/sql")
    run(page, BY_DAY)
    page.get_by_role("button", name="Chart").click()
    expect(page.get_by_role("img", name="total over day")).to_be_visible()
    page.get_by_role("button", name="Bars").click()
    expect(page.get_by_role("table", name="total by day").get_by_role("row")).to_have_count(28)
    again = visits.open(page.url.partition("/console")[2])
    expect(again.get_by_role("table", name="total by day").get_by_role("row")).to_have_count(28)
    expect(again.get_by_role("button", name="Bars")).to_have_attribute("aria-pressed", "true")
    again.get_by_role("button", name="Lines").click()
    again.get_by_text("The chart as a table").click()
    expect(again.get_by_role("region", name="Figures of the chart").get_by_role("row")).to_have_count(29)
    with again.expect_download() as download:
        again.get_by_role("button", name="Save as picture").click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_a_chart_adds_up_counts_and_splits(visits: Visits) -> None:
    page = visits.open(at(sql="SELECT * FROM orders", view="chart", along="Home Town"))
    chart = page.get_by_role("region", name="Chart")
    expect(chart.get_by_role("table")).to_have_accessible_name(re.compile(r"amount \(their sum\) by Home Town"))
    expect(chart.get_by_role("row").filter(has_text="Bern")).to_contain_text("580")
    chart.get_by_label("Several rows:").select_option("count")
    expect(chart.get_by_role("row").filter(has_text="Rome")).to_contain_text("20")
    chart.get_by_label("Several rows:").select_option("mean")
    chart.get_by_label("Along").select_option("day")
    chart.get_by_label("Split by").select_option("Home Town")
    drawing = page.get_by_role("img", name="amount (their mean) over day, by Home Town")
    expect(drawing.or_(page.get_by_role("img", name="amount over day, by Home Town"))).to_be_visible()
    expect(chart).to_contain_text(HOSTILE)
    chart.get_by_role("button", name="Points").click()
    expect(page).to_have_url(re.compile("kind=points"))
    assert page.evaluate("window.taken") is None


def test_ten_thousand_points_are_drawn(visits: Visits) -> None:
    sql = "SELECT range AS x, sin(range / 100.0) AS y FROM range(10000)"
    page = visits.open(at(sql=sql, view="chart"))
    expect(page.get_by_role("img", name="y over x")).to_be_visible()
    expect(page.get_by_role("button", name="Lines")).to_have_attribute("aria-pressed", "true")


def test_the_plan_is_shown_as_it_is_drawn(visits: Visits) -> None:
    page = visits.open("/sql")
    write(page, BY_DAY)
    page.get_by_role("button", name="Explain").click()
    plan = page.get_by_role("region", name="Plan")
    expect(plan).to_contain_text("╭─")
    page.get_by_role("button", name="Plan with times").click()
    expect(plan).to_contain_text("Total Time")
    page.reload()
    expect(plan).to_contain_text("Total Time")
    page.get_by_role("button", name="Rows").click()
    expect(status(page)).to_contain_text("28 rows in")


def test_a_query_is_saved_opened_replaced_and_deleted(visits: Visits, served: Served) -> None:
    page = visits.open("/sql")
    write(page, "SELECT id, amount FROM orders WHERE id = $id AND amount >= $least")
    page.get_by_role("button", name="Save as query").click()
    dialog = page.get_by_role("dialog", name="Save as query")
    dialog.get_by_label("Name", exact=True).fill("one-order")
    dialog.get_by_label("What it answers").fill(f"One order {HOSTILE}")
    least = dialog.get_by_role("group", name="$least")
    expect(least.get_by_label("Type")).to_have_value("number")
    least.get_by_label("every request needs it").uncheck()
    least.get_by_label("else").fill("0")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog).to_contain_text("Saved as one-order")
    dialog.get_by_role("button", name="Close").click()
    saved = served.json("GET", "/queries/one-order")
    assert [(name, one["type"], one["required"], one["default"]) for name, one in saved["parameters"].items()] == [
        ("id", "integer", True, None), ("least", "number", False, 0),
    ]  # fmt: skip

    page.get_by_label("$id, value").fill(EXACT)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(cells(page)).to_have_text([EXACT, "3.5"])
    page.get_by_role("button", name="This query as curl / Python").click()
    expect(page.get_by_role("dialog")).to_contain_text(f"/api/v1/q/one-order?id={EXACT}")
    expect(page.get_by_role("dialog")).to_contain_text(f'client.answer("one-order", id={EXACT})')
    page.get_by_role("button", name="Close").click()
    link = page.get_by_role("link", name="/console/sql?query=one-order")
    opened = visits.open((link.get_attribute("href") or "").partition("/console")[2], user="vera")
    expect(cells(opened)).to_have_text([EXACT, "3.5"])
    opened.locator("summary", has_text="Query one-order").click()
    expect(opened.get_by_role("button", name="Delete")).to_have_count(0)

    page.goto("/console" + at(sql="SELECT 1 AS another"))
    page.get_by_role("button", name="Save as query").click()
    dialog.get_by_label("Name", exact=True).fill("one-order")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("The name one-order is taken")
    assert served.json("GET", "/queries/one-order")["sql"] == saved["sql"]
    dialog.get_by_role("button", name="Replace one-order").click()
    expect(dialog).to_contain_text("Saved as one-order")
    dialog.get_by_role("button", name="Close").click()
    assert served.json("GET", "/queries/one-order")["sql"] == "SELECT 1 AS another"

    page.once("dialog", lambda question: question.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("complementary")).to_contain_text("None yet")
    served.json("GET", "/queries/one-order", status=404)
    expect(editor(page)).to_have_text("SELECT 1 AS another")


def test_a_public_query_is_answered_in_any_browser(visits: Visits, served: Served) -> None:
    definition = {"sql": "SELECT $town AS town", "public": True, "parameters": {"town": {"type": "string"}}}
    served.json("PUT", "/queries/towns", status=201, json=definition)
    page = visits.open(at(query="towns", **{"p.town": "string:Zürich & more"}))
    page.locator("summary", has_text="Query towns").click()
    link = page.get_by_role("link", name="/api/v1/q/towns").get_attribute("href")
    stranger = visits.browser.new_context().request.get(str(link))
    assert stranger.json()["data"] == [{"town": "Zürich & more"}]
    served.http.delete("/queries/towns").raise_for_status()


def busy(served: Served) -> float:
    """The query workers that are at work."""
    told = served.http.get(f"{served.address}/metrics").text
    found = re.search(r'^penstock_workers\{kind="query",state="busy"\} (\S+)$', told, re.MULTILINE)
    assert found is not None, told
    return float(found[1])


def until_busy(served: Served, wanted: float) -> None:
    """Asks again and again, for as long as a statement may take."""
    end = time.monotonic() + 25
    while busy(served) != wanted:
        assert time.monotonic() < end


def test_stop_ends_the_statement_in_the_service(visits: Visits, served: Served) -> None:
    page = visits.open("/sql")
    until_busy(served, 0)
    run(page, HEAVY)
    until_busy(served, 1)
    page.get_by_role("button", name="Stop").click()
    expect(status(page)).to_have_text("Stopped.")
    until_busy(served, 0)
    run(page, HEAVY)
    until_busy(served, 1)
    page.goto("about:blank")
    until_busy(served, 0)


def test_a_viewer_asks_and_saves_nothing(visits: Visits) -> None:
    page = visits.open(at(sql="SELECT count(*) AS orders FROM orders"), user="vera")
    expect(cells(page)).to_have_text(["60"])
    expect(page.get_by_role("button", name="Save as query")).to_have_count(0)


def test_more_rows_than_are_shown_are_downloaded(visits: Visits) -> None:
    page = visits.open(at(sql="SELECT range AS number FROM range(10500)"))
    expect(page.get_by_role("note")).to_contain_text("There are more rows than the 10,000 here")
    expect(status(page)).to_contain_text("The first 10,000 rows in")
    page.get_by_role("button", name="download all of them").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").locator("visible=true").click()
    assert len(download.value.path().read_text().splitlines()) == 10_501
    assert download.value.suggested_filename == "answer.csv"


def test_an_empty_answer_says_so_with_its_columns(visits: Visits) -> None:
    page = visits.open(at(sql="SELECT id, 1 AS id FROM orders WHERE false"))
    expect(page.get_by_text("No row fits.")).to_contain_text("id BIGINT, id_1 INTEGER")


def test_a_row_is_shown_whole_and_as_text_only(visits: Visits) -> None:
    page = visits.open(at(sql=f"SELECT \"Home Town\", repeat('x', 2000) AS long FROM orders WHERE id = {EXACT}"))
    expect(cells(page).first).to_be_visible()
    page.get_by_role("grid").focus()
    page.keyboard.press("Enter")
    row = page.get_by_role("dialog", name="Row 1")
    expect(row).to_contain_text("x" * 2000)
    page.keyboard.press("Escape")
    expect(row).to_have_count(0)


def test_an_answer_that_comes_late_does_not_take_the_place_of_a_newer_one(visits: Visits) -> None:
    page = visits.open("/sql")
    held: list[Route] = []

    def hold(route: Route) -> None:
        if "41" in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/v1/query", hold)
    run(page, "SELECT 41 AS answer")
    expect(status(page)).to_have_text("Running …")
    write(page, "SELECT 42 AS answer")
    page.keyboard.press("Control+Enter")
    expect(cells(page)).to_have_text(["42"])
    assert len(held) == 1
    body = {"columns": [{"name": "answer", "type": "INTEGER"}], "data": [{"answer": 41}], "row_count": 1}
    held[0].fulfill(body=json.dumps({**body, "truncated": False, "elapsed_ms": 1}), content_type="application/json")
    page.get_by_text("History of this tab").click()
    expect(page.get_by_role("list", name="History").get_by_role("listitem")).to_have_count(1)
    expect(cells(page)).to_have_text(["42"])
