"""SQL in the console: completion, parameters, the answer as rows, chart and plan, the history, saved queries."""

from __future__ import annotations

import json
import re
import time
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.acceptance.served import PASSWORD, Served
from tests.console.visits import Visits

HOSTILE = "<img src=x onerror=window.taken=1>"
EXACT = "9007199254740993"
TOWNS = ("Bern", "Rome", HOSTILE)
ROWS = [
    f"{9007199254740990 + number},2026-01-{number % 28 + 1:02},{TOWNS[number % 3]},{number}.5,{number}"
    for number in range(60)
]
CSV = "\n".join([f'id,day,Home Town,amount,"{HOSTILE}"', *ROWS]) + "\n"
HEAVY = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range % 7 = b.range % 11"
BY_DAY = "SELECT day, sum(amount) AS total FROM orders GROUP BY day ORDER BY day"


@pytest.fixture(scope="module", autouse=True)
def orders(served: Served) -> None:
    """A table with hostile names and values and whole numbers beyond 2^53, and an account that only reads."""
    served.http.put("/files/orders.csv", content=CSV).raise_for_status()
    source = {"type": "csv", "file_path": "orders.csv"}
    served.json("POST", "/pipeline/create", status=201, json={"name": "orders", "collectors": [source]})
    assert served.json("POST", "/pipeline/orders/execute?wait=60")["status"] == "completed"
    served.json("POST", "/users", status=201, json={"username": "vera", "password": PASSWORD, "role": "viewer"})


def at(**query: str) -> str:
    return f"/sql?{urlencode(query)}"


def editor(page: Page) -> Locator:
    return page.locator(".cm-content")


def write(page: Page, text: str) -> None:
    """Types a statement in place of the one that is there; what is proposed meanwhile is not taken."""
    editor(page).click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)
    page.keyboard.press("Escape")


def run(page: Page, text: str) -> None:
    write(page, text)
    page.get_by_role("button", name="Run", exact=True).click()


def status(page: Page) -> Locator:
    return page.locator(".stack > .row > [role=status]")


def cells(page: Page) -> Locator:
    return page.get_by_role("gridcell")


def proposal(page: Page, name: str) -> Locator:
    return page.locator(".cm-tooltip-autocomplete li").filter(has_text=re.compile(rf"^{re.escape(name)}"))


def take(page: Page, name: str) -> None:
    """Takes what is proposed first; the keys are deaf for its first moment, so that nobody takes it unseen."""
    expect(proposal(page, name)).to_have_attribute("aria-selected", "true")
    proposal(page, name).click()


def test_tables_columns_and_functions_are_completed(visits: Visits) -> None:
    page = visits.open("/sql")
    write(page, "SELECT  FROM ")
    page.keyboard.type("ord")
    take(page, "orders")
    page.keyboard.type(" o")
    page.keyboard.press("Escape")
    page.keyboard.press("Home")
    for _ in "SELECT ":
        page.keyboard.press("ArrowRight")
    page.keyboard.type("medi")
    take(page, "median")
    page.keyboard.type("o.amo")
    take(page, "amount")
    page.keyboard.press("ArrowRight")
    page.keyboard.type(", Home")
    take(page, "Home Town")
    expect(editor(page)).to_have_text('SELECT median(o.amount), "Home Town" FROM orders o')
    page.keyboard.press("End")
    page.keyboard.type(" GROUP BY ALL")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Enter")
    expect(status(page)).to_contain_text("3 rows in")


def test_what_is_in_texts_and_comments_is_neither_completed_nor_a_parameter(page: Page) -> None:
    sql = """SELECT $a, $A, '$b', "$c", $$ $d $$, $x$ $e $x$, e'\\' $f', /* /* $g */ $h */ $i -- $j
      , x$k, $1"""
    names = page.evaluate(
        'async (sql) => (await import("console/parts/sql/statement")).parametersOf(sql).map((one) => one.name)', sql
    )
    assert names == ["a", "i", "1"]
    tables = page.evaluate(
        """async (sql) => {
          const { meaning, tablesOf } = await import("console/parts/sql/statement");
          return tablesOf(meaning(sql));
        }""",
        'WITH t AS (SELECT 1) FROM orders o, penstock.runs AS r JOIN "orders@3" ON a = b LEFT JOIN t USING (x)',
    )
    assert tables["own"] == ["t"]
    assert [(one["path"], one["alias"]) for one in tables["tables"]] == [
        (["orders"], "o"), (["penstock", "runs"], "r"), (["orders@3"], None), (["t"], None),
    ]  # fmt: skip
    page.goto("/console/sql")
    write(page, "SELECT '")
    page.keyboard.type("orde")
    expect(page.locator(".cm-tooltip-autocomplete")).to_have_count(0)


def test_parameters_have_kinds_and_whole_numbers_stay_exact(visits: Visits) -> None:
    page = visits.open("/sql")
    given = "SELECT id, $word::VARCHAR AS word, $none::VARCHAR AS none FROM orders"
    write(page, f"{given} WHERE id = $id AND day::DATE >= $since")
    kinds = {name: page.get_by_label(f"${name}, kind") for name in ("word", "none", "id", "since")}
    expect(kinds["id"]).to_have_value("integer")
    expect(kinds["since"]).to_have_value("date")
    expect(kinds["word"]).to_have_value("string")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("Write a whole number, such as 42, or choose null.")).to_be_visible()
    page.get_by_label("$id, value").fill(EXACT)
    page.get_by_label("$since, value").fill("2026-01-01")
    kinds["none"].select_option("null")
    page.get_by_label("$id, value").press("Control+Enter")
    expect(cells(page)).to_have_text([EXACT, "", "null"])
    page.reload()
    expect(cells(page)).to_have_text([EXACT, "", "null"])
    expect(page.get_by_label("$id, value")).to_have_value(EXACT)
    page.get_by_role("button", name="As curl / Python").click()
    shown = page.get_by_role("dialog", name="As curl or Python")
    expect(shown).to_contain_text(f'"id": {EXACT}')
    expect(shown).to_contain_text('"none": None')


def test_an_error_is_marked_at_its_place(visits: Visits) -> None:
    page = visits.open("/sql")
    run(page, "SELECT '😀ü',\n  nope\nFROM orders")
    expect(page.locator(".cm-lintRange-error")).to_have_text("nope")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The statement does not work as it is written")
    expect(alert).to_contain_text('Referenced column "nope" not found')
    alert.get_by_role("button", name="Line 2, column 3").click()
    page.keyboard.type("id")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Enter")
    expect(status(page)).to_contain_text("60 rows in")
    run(page, "DELETE FROM orders")
    expect(alert).to_contain_text("this is DELETE")
    expect(alert).to_contain_text("changes nothing")
    expect_refusals(visits, 2)


def expect_refusals(visits: Visits, number: int) -> None:
    """The browser told of so many requests that the service refused, and of nothing else."""
    assert [fault for fault in visits.faults if "400" not in fault] == []
    assert len(visits.faults) == number
    visits.faults.clear()


def test_what_is_selected_runs_alone(visits: Visits) -> None:
    page = visits.open("/sql")
    write(page, "SELECT 41 AS first;\nSELECT 42 AS second")
    page.keyboard.press("Control+End")
    page.keyboard.press("Shift+Home")
    page.keyboard.press("Control+Enter")
    expect(cells(page)).to_have_text(["42"])
    expect(editor(page)).to_contain_text("SELECT 41")
    page.reload()
    expect(cells(page)).to_have_text(["42"])
    expect(editor(page)).to_contain_text("SELECT 41")


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


def test_the_history_of_the_tab_runs_again_and_is_cleared(visits: Visits) -> None:
    page = visits.open("/sql")
    for number in ("41", "42"):
        run(page, f"SELECT {number} AS answer")
        expect(cells(page)).to_have_text([number])
    page.get_by_text("History of this tab").click()
    entries = page.get_by_role("list", name="History").get_by_role("listitem")
    expect(entries).to_have_count(2)
    expect(entries.first).to_contain_text("SELECT 42")
    entries.last.get_by_role("button").click()
    expect(cells(page)).to_have_text(["41"])
    expect(editor(page)).to_have_text("SELECT 41 AS answer")
    page.go_back()
    expect(cells(page)).to_have_text(["42"])
    page.get_by_role("button", name="Clear the history").click()
    expect(entries).to_have_count(0)
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.includes('sql'))") == []


def test_a_draft_survives_other_screens(visits: Visits) -> None:
    page = visits.open("/sql")
    run(page, "SELECT 1 AS one")
    expect(cells(page)).to_have_text(["1"])
    write(page, "SELECT 2 AS two")
    expect(status(page)).to_contain_text("changed since")
    page.get_by_role("link", name="Runs").click()
    page.get_by_role("link", name="SQL").click()
    expect(editor(page)).to_have_text("SELECT 2 AS two")
    page.go_back()
    page.go_back()
    expect(cells(page)).to_have_text(["1"])
    expect(editor(page)).to_have_text("SELECT 2 AS two")


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


def test_all_of_it_by_keyboard(visits: Visits) -> None:
    page = visits.open("/sql")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement?.classList.contains('editor')"):
            break
    page.keyboard.insert_text("SELECT 6 * $by AS answer")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.get_by_label("$by, kind")).to_be_focused()
    page.keyboard.type("whole")
    page.keyboard.press("Tab")
    page.keyboard.type("7")
    page.keyboard.press("Control+Enter")
    expect(cells(page)).to_have_text(["42"])


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_telephone_nothing_goes_sideways(visits: Visits, dark: bool) -> None:
    sql = "SELECT * FROM orders WHERE amount >= $least"
    for view in ("rows", "chart", "timed"):
        page = visits.open(at(sql=sql, view=view, **{"p.least": "number:1"}), phone=True, dark=dark)
        expect(status(page)).to_contain_text(" in ")
        wide, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= room, view
        page.context.close()


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
