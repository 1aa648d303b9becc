"""What tests of SQL in the console share: a table with hostile names, and how a person writes and runs a statement."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from playwright.sync_api import Locator, Page, expect

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


def store_orders(served: Served) -> None:
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


def expect_refusals(visits: Visits, number: int) -> None:
    """The browser told of so many requests that the service refused, and of nothing else."""
    assert [fault for fault in visits.faults if "400" not in fault] == []
    assert len(visits.faults) == number
    visits.faults.clear()
