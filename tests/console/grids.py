"""What tests of the grid share: a pipeline that stores a table, and what a person sees of its rows."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Locator, Page, expect

from tests.acceptance.served import Served

SHOP = "id,town,amount,day\n" + "".join(
    f"{n},{['Oslo', 'Bern', 'Rome', ''][n % 4]},{n % 50 / 4},2026-01-{n % 28 + 1:02}\n" for n in range(1, 401)
)
"""400 rows, a quarter of each town and a quarter without."""


def make(served: Served, name: str, file: str, processors: list[dict[str, Any]] | None = None) -> None:
    """Stores a file as a table, as its first or a further version."""
    collector = {"type": file.rpartition(".")[2], "file_path": file}
    document = {"name": name, "collectors": [collector], "processors": processors or []}
    if served.http.get(f"/pipeline/{name}/config").is_success:
        served.json("PUT", f"/pipeline/{name}/config", json=document | {"storage": [{"type": "parquet"}]})
    else:
        served.json("POST", "/pipeline/create", status=201, json=document | {"storage": [{"type": "parquet"}]})
    run = served.json("POST", f"/pipeline/{name}/execute?wait=120")
    assert run["status"] == "completed", run


def grid(page: Page) -> Locator:
    """The grid, when its first rows are there."""
    found = page.get_by_role("grid")
    expect(found.get_by_role("gridcell").first).not_to_have_text("…")
    return found


def cell(page: Page, row: int, column: int) -> Locator:
    """A cell by its row, counted from 0, and its column, counted from 1."""
    return page.locator(f"[role=row][aria-rowindex='{row + 2}'] [role=gridcell][aria-colindex='{column}']")


def active(page: Page) -> Locator:
    """The cell that has the keyboard."""
    return page.locator(".grid-cell.active")


def rows_told(page: Page) -> Locator:
    """How many rows there are, in words."""
    return page.locator(".rows-told")


def query(page: Page) -> dict[str, list[str]]:
    """The query of the address."""
    return parse_qs(urlsplit(page.url).query)


def copied(page: Page) -> str:
    """What is on the clipboard."""
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text.replace("\r\n", "\n")
