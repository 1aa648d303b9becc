"""Writing SQL in the console: completion, parameters, faults, history, drafts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.served import Served
from tests.console.statements import EXACT, at, cells, editor, expect_refusals, run, status, store_orders, take, write
from tests.console.visits import Visits


@pytest.fixture(scope="module", autouse=True)
def orders(served: Served) -> None:
    store_orders(served)


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
