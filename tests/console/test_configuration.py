"""A configuration is written as text or by forms, tried, planned, saved, and compared with what it was."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.served import Served
from tests.console.visits import Visits

CSV = b"id,day,price\n1,01.02.2026,4.5\n2,n/a,6\n2,n/a,6\n"
CLEAN = {
    "null_values": ["n/a"],
    "cast": {"day": {"type": "date", "format": "%d.%m.%Y"}},
    "drop_duplicates": True,
}
TEXT = """# what the shop sold
name: {name}
collectors:
  - type: csv
    file_path: sales.csv  # from the till
processors:
  - type: cleaner
    config:
      fill_na: {{price: 12345678901234567890}}
"""


@pytest.fixture(scope="module", autouse=True)
def _sales(served: Served) -> None:
    served.json("PUT", "/files/sales.csv", status=201, content=CSV)


def create(served: Served, name: str, **more: Any) -> str:
    steps = [{"type": "cleaner", "config": CLEAN}, {"type": "analyzer", "config": {}}]
    document = {"name": name, "collectors": [{"type": "csv", "file_path": "sales.csv"}], "processors": steps, **more}
    served.json("POST", "/pipeline/create", status=201, json=document)
    return f"/pipelines/{name}/configuration"


def write(page: Page, text: str) -> None:
    """Put a text in place of what the editor holds."""
    page.get_by_role("textbox", name="Configuration").focus()
    page.keyboard.press("ControlOrMeta+a")
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    page.keyboard.press("ControlOrMeta+v")


def show(page: Page, view: str) -> None:
    page.get_by_role("group", name="Views of the configuration").get_by_role("button", name=view).click()


def row(history: Locator, revision: int) -> Locator:
    return history.get_by_role("row").filter(has=history.page.get_by_role("rowheader", name=str(revision)))


def test_a_problem_is_shown_at_its_line_and_names_are_completed(visits: Visits, served: Served) -> None:
    page = visits.open(create(served, "lines"))
    write(page, "name: lines\ncollectors:\n  - type: csv\n    file_pth: sales.csv\n")
    expect(page.get_by_text("Line 4 collectors[0].file_pth")).to_be_visible()
    expect(page.locator(".cm-lintRange-error").filter(has_text="file_pth")).to_be_visible()
    write(page, "name: lines\ncollectors:\n  - type: csv\n    file_path: sales.csv\n")
    expect(page.get_by_text("No problems.")).to_be_visible()
    page.keyboard.press("ControlOrMeta+End")
    page.keyboard.type("proc")
    page.get_by_role("option", name=re.compile("^processors")).click()
    expect(page.get_by_role("textbox", name="Configuration")).to_contain_text("processors:")
    visits.faults[:] = [fault for fault in visits.faults if "validate" not in fault]  # the answers to wrong texts


def test_forms_and_text_are_two_views_of_one(visits: Visits, served: Served) -> None:
    page = visits.open(create(served, "forms"))
    write(page, TEXT.format(name="forms"))
    show(page, "Forms")
    page.get_by_label("Description").fill("Sales")
    page.get_by_label("Description").press("Tab")
    page.get_by_label("Add a step").select_option(label="analyzer: describe: profile with charts")
    page.get_by_role("button", name="Earlier: 2. analyzer").focus()
    page.keyboard.press("Enter")
    show(page, "Text")
    editor = page.get_by_role("textbox", name="Configuration")
    expect(editor).to_contain_text("# what the shop sold")
    expect(editor).to_contain_text("# from the till")
    expect(editor).to_contain_text("description: Sales")
    expect(editor).to_contain_text("- type: analyzer")
    page.once("dialog", lambda dialog: dialog.accept())  # comments are lost
    page.get_by_role("group", name="Language of the text").get_by_role("button", name="JSON").click()
    expect(editor).to_contain_text('"price": 12345678901234567890')
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Revision 2", exact=True)).to_be_visible()
    saved = served.json("GET", "/pipeline/forms/config")
    assert [step["type"] for step in saved["processors"]] == ["analyzer", "cleaner"]
    assert saved["processors"][1]["config"]["fill_na"]["price"] == 12345678901234567890


def test_rows_are_shown_after_each_step_and_a_plan_says_what_changes(visits: Visits, served: Served) -> None:
    page = visits.open(create(served, "tried") + "?view=preview")
    steps = page.get_by_role("list", name="After step")
    expect(steps.get_by_role("button", name="As collected 3 rows")).to_be_visible()
    steps.get_by_role("button", name="1. cleaner 2 rows, 1 fewer").click()
    rows = page.get_by_role("region", name="Rows of the preview")
    expect(rows.get_by_role("cell", name="2026-02-01")).to_have_attribute("title", "was: 01.02.2026")
    expect(rows.get_by_role("cell", name="missing")).to_have_attribute("title", "was: n/a")
    steps.get_by_role("button", name="As collected").click()
    expect(rows.get_by_role("cell", name="01.02.2026")).not_to_have_attribute("title", re.compile("was"))
    show(page, "Plan")
    expect(page.get_by_role("region", name="Plan")).to_contain_text("day: Text → Date")
    show(page, "Text")
    write(
        page, TEXT.format(name="tried").replace("fill_na: {price: 12345678901234567890}", "drop_columns:\n        - p")
    )
    page.keyboard.press("Backspace")  # the end of the line
    page.keyboard.type("ri")
    expect(page.get_by_role("option", name=re.compile("^price"))).to_be_visible()  # a column of the preview
    visits.faults[:] = [fault for fault in visits.faults if "validate" not in fault]


def test_a_conflict_loses_nothing_and_revisions_are_compared(visits: Visits, served: Served) -> None:
    place = create(served, "history")
    page = visits.open(place)
    document = served.json("GET", "/pipeline/history/config")
    write(page, TEXT.format(name="history"))
    expect(page.get_by_text("not saved yet")).to_be_visible()
    served.json("PUT", "/pipeline/history/config", json={**document, "description": "theirs"})
    page.get_by_role("button", name="Save").click()
    conflict = page.get_by_role("alert", name="Conflict")
    expect(conflict).to_contain_text("Somebody saved revision 2")
    expect(conflict).to_contain_text("− description: theirs")
    page.once("dialog", lambda dialog: dialog.accept())  # leaving asks
    page.reload()
    expect(page.get_by_text("not saved yet")).to_be_hidden()  # it is about revision 2 now, not about this text
    page.goto(f"/console{place}?revision=1")
    expect(page.get_by_role("textbox", name="Configuration")).to_contain_text("# what the shop sold")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Revision 3", exact=True)).to_be_visible()
    history = page.get_by_role("region", name="Revisions")
    row(history, 2).get_by_role("link", name="Compare with 3").click()
    differences = page.get_by_role("region", name="Differences")
    expect(differences).to_contain_text("− description: theirs")
    assert "against=2" in page.url
    row(history, 1).get_by_role("link", name="Show").click()
    expect(page.get_by_text("Revision 1, not the current one.")).to_be_visible()
    page.get_by_role("button", name="Undo changes").or_(
        page.get_by_role("button", name="Make it current again")
    ).click()
    expect(page.get_by_text("Revision 4", exact=True)).to_be_visible()
    assert served.json("GET", "/pipeline/history/config") == document
    visits.faults[:] = [fault for fault in visits.faults if "412" not in fault]


def test_a_copy_has_a_name_of_its_own(visits: Visits, served: Served) -> None:
    page = visits.open(create(served, "model"))
    page.get_by_role("link", name="Copy").click()
    expect(page.get_by_role("textbox", name="Configuration")).to_contain_text("name: model-copy")
    page.get_by_role("button", name="Create only").click()
    page.wait_for_url("**/pipelines/model-copy/configuration")
    expect(page.get_by_role("heading", level=1)).to_have_text("model-copy")


def test_forms_fit_a_telephone_in_the_dark(visits: Visits, served: Served) -> None:
    page = visits.open(create(served, "small") + "?view=forms", phone=True, dark=True)
    expect(page.get_by_role("heading", name="Sources")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    show(page, "Plan")
    expect(page.get_by_role("region", name="Plan")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
