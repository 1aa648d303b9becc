"""A person looks through data: millions of rows, hostile cells, hundreds of columns, by keyboard and on a telephone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import duckdb
import polars as pl
import pytest
from playwright.sync_api import expect

from tests.acceptance.served import PASSWORD, Served, serving
from tests.console import grids
from tests.console.grids import active, cell, copied, grid, query, rows_told
from tests.console.visits import Visits

MANY = 5_000_000
GIANT = 3_000_000
COLUMNS = 320
ROWS = f"""
    SELECT range AS id, ['Oslo', 'Bern', 'Lisbon', 'Paris'][1 + (range * 31 % 4)::INT] AS city,
        CASE WHEN range % 17 > 0 THEN (range * 104729 % 10000000 / 100)::DECIMAL(18, 2) END AS price,
        9007199254740993 + range AS big
    FROM range({MANY})
"""
WILD = f"""
    SELECT * FROM (VALUES
        (1, '', NULL, 9007199254740993, 0.1::DECIMAL(38, 20), [1, 2, NULL], {{'a': 1, 'b': {{'c': 'x'}}}}),
        (2, repeat('x', {GIANT}), 'tab	and "quotes"', -1, 12345678901234567.891::DECIMAL(38, 20), range(100000), NULL),
        (3, '<b onclick="window.taken=1">bold</b>', chr(7) || chr(27) || '[31m', NULL, NULL, NULL, NULL),
        (4, 'safe' || chr(8238) || 'gpj.exe', 'one' || chr(10) || 'two', 2, 3, [], NULL),
        (5, '=SUM(A1)', ' ', 2, 3, [], NULL)
    ) AS t(id, "a ""name"" <i>", other, big, exact, list, struct)
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with a long table, a wild one, a wide one and a small one."""
    folder = tmp_path_factory.mktemp("data")
    wide = ", ".join(f"range * {number} AS c{number:03}" for number in range(COLUMNS))
    for name, rows in {"many": ROWS, "wild": WILD, "wide": f"SELECT {wide} FROM range(3000)"}.items():
        duckdb.execute(f"COPY ({rows}) TO '{folder}/{name}.parquet' (FORMAT parquet)")
    (folder / "shop.csv").write_text(grids.SHOP)
    settings = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_FILE_ROOTS": str(folder)}
    with serving(folder / "data", PENSTOCK_RATE_LIMIT_PER_MINUTE="100000", **settings) as served:
        served.login()
        for file in ("many.parquet", "wild.parquet", "wide.parquet", "shop.csv"):
            grids.make(served, file.partition(".")[0], file)
        yield served


def test_every_row_of_five_million_is_reached(visits: Visits) -> None:
    page = visits.open("/data/many")
    grid(page).focus()
    expect(page.get_by_role("grid")).to_have_attribute("aria-rowcount", str(MANY + 1))
    page.keyboard.press("Control+End")
    expect(cell(page, MANY - 1, 1)).to_have_text(str(MANY - 1))
    expect(cell(page, MANY - 1, 4)).to_have_text(str(9007199254740993 + MANY - 1))
    expect(active(page)).to_have_attribute("aria-colindex", "4")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowUp")
    expect(active(page)).to_have_text(str(MANY - 2))
    page.keyboard.press("PageUp")
    above = int(active(page).text_content() or "")
    assert MANY - 60 < above < MANY - 10
    expect(page).to_have_url(re.compile(f"row={above + 1}"))
    page.keyboard.press("Control+Home")
    expect(active(page)).to_have_text("0")
    durations = page.evaluate(
        "performance.getEntriesByType('resource').filter((one) => /data\\?/.test(one.name)).map((one) => one.duration)"
    )
    print("windows took", [round(one) for one in durations], "ms")


def test_wheel_and_bar_lead_anywhere_and_rows_are_those_of_the_address(visits: Visits) -> None:
    page = visits.open("/data/many?row=3000001&cell=city")
    expect(cell(page, 3_000_000, 1)).to_have_text("3000000")
    expect(active(page)).to_have_attribute("aria-colindex", "2")
    page.get_by_role("grid").hover()
    page.mouse.wheel(0, 280)
    expect(cell(page, 3_000_020, 1)).to_have_text("3000020")
    page.get_by_role("grid").evaluate("(box) => { box.scrollTop = box.scrollHeight; }")
    expect(cell(page, MANY - 1, 1)).to_have_text(str(MANY - 1))
    page.get_by_role("grid").evaluate("(box) => { box.scrollTop = 0; }")
    expect(cell(page, 0, 1)).to_have_text("0")
    page.get_by_role("grid").evaluate("(box) => { box.scrollTop = box.scrollHeight / 2; }")
    middle = page.locator("[role=row] [role=gridcell][aria-colindex='1']").first
    expect(middle).to_have_text(re.compile(r"^2[45]\d{5}$"))
    assert int(middle.text_content() or "") + 2 == int(middle.locator("..").get_attribute("aria-rowindex") or "")


def test_sorted_both_ways_and_by_several_columns(visits: Visits) -> None:
    page = visits.open("/data/many")
    grid(page).get_by_role("button", name=re.compile("^id"), exact=False).first.click()
    expect(page.get_by_role("columnheader", name="id").first).to_have_attribute("aria-sort", "ascending")
    grid(page).get_by_role("button", name=re.compile("^id"), exact=False).first.click()
    expect(cell(page, 0, 1)).to_have_text(str(MANY - 1))
    assert query(page)["sort"] == ["-id"]
    page.get_by_role("grid").focus()
    page.keyboard.press("Control+End")
    expect(cell(page, MANY - 1, 1)).to_have_text("0", timeout=60_000)  # five million rows are sorted once
    page = visits.open("/data/shop?sort=town,-amount")
    expect(cell(page, 0, 2)).to_have_text("Bern")
    expect(cell(page, 0, 3)).to_have_text("12.25")
    page.get_by_role("grid").focus()
    page.keyboard.press("Control+End")
    expect(cell(page, 399, 2)).to_have_text("null")
    page.keyboard.press("Control+Home")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+Space")  # the header of id: also by it
    expect(page).to_have_url(re.compile("sort=town%2C-amount%2Cid"))


def test_cells_are_copied_for_a_spreadsheet(visits: Visits) -> None:
    page = visits.open("/data/wild")
    grid(page).focus()
    cell(page, 1, 3).click()
    page.keyboard.press("Control+c")
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert copied(page) == 'tab\tand "quotes"'
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("[aria-selected=true]")).to_have_count(6)
    page.keyboard.press("Control+c")
    expect(page.get_by_text("6 cells copied.")).to_be_visible()
    assert copied(page) == '"tab\tand ""quotes"""\t-1\n\x07\x1b[31m\t\n"one\ntwo"\t2'
    cell(page, 4, 1).click()
    cell(page, 4, 2).hover()
    page.mouse.down()
    cell(page, 4, 4).hover()
    page.mouse.up()
    page.get_by_role("button", name="Copy with names").click()
    expect(page.get_by_text("3 cells copied.")).to_be_visible()
    assert copied(page) == '"a ""name"" <i>"\tother\tbig\n\'=SUM(A1)\t \t2'
    cell(page, 1, 2).click()
    page.keyboard.press("Control+c")
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert len(copied(page)) == GIANT, "what is cut in the grid is copied whole"


def test_a_copy_is_bounded(visits: Visits) -> None:
    page = visits.open("/data/many")
    grid(page).focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    expect(page.get_by_text("A copy holds 200,000 cells, these are 20,000,000.")).to_be_visible()
    page = visits.open("/data/shop")
    grid(page).focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    expect(page.get_by_text("1,600 cells copied.")).to_be_visible()
    assert len(copied(page).splitlines()) == 400


def test_a_row_shows_its_values_whole(visits: Visits) -> None:
    page = visits.open("/data/wild")
    grid(page).focus()
    expect(cell(page, 0, 2)).to_have_text("empty")
    expect(cell(page, 0, 3)).to_have_text("null")
    expect(cell(page, 3, 2)).to_have_text("safe‹U+202E›gpj.exe")
    expect(cell(page, 3, 3)).to_have_text("one↵two")
    assert len(cell(page, 1, 2).text_content() or "") < 400
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    panel = page.get_by_role("complementary", name="Row 1")
    expect(panel).to_contain_text("9007199254740993")
    expect(panel).to_contain_text("0.10000000000000000000")
    expect(panel).to_contain_text("empty text")
    panel.get_by_role("button", name="Next").click()
    panel = page.get_by_role("complementary", name="Row 2")
    expect(panel).to_contain_text("12345678901234567.89100000000000000000")
    assert page.get_by_role("grid").evaluate("(box) => box.clientWidth") < 900, "a giant value widens nothing"
    panel.get_by_role("button", name="Show 200,000 of 3,000,000 characters").click()
    expect(panel.get_by_role("group", name=re.compile("^a "))).to_have_text(re.compile("^x{200000}…$"))
    with page.expect_download() as saved:
        panel.get_by_role("button", name=re.compile("^Save as a file: a ")).click()
    assert Path(saved.value.path()).stat().st_size == GIANT
    assert query(page)["panel"] == ["row"]
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    expect(page.get_by_role("grid")).to_be_focused()
    expect(active(page)).to_have_attribute("aria-colindex", "2")
    assert page.evaluate("window.taken") is None


READ: dict[str, Callable[[Path], pl.DataFrame]] = {
    "CSV": pl.read_csv, "Parquet": pl.read_parquet, "Arrow": pl.read_ipc_stream, "JSON lines": pl.read_ndjson,
    "JSON": lambda path: pl.DataFrame(json.loads(path.read_bytes())["data"]),
}  # fmt: skip


@pytest.mark.parametrize("form", READ)
def test_rows_are_downloaded_as_they_are_shown(visits: Visits, form: str) -> None:
    page = visits.open("/data/many?sort=-id&columns=id,city&filter=" + quote("id >= 4000000 AND city = 'Oslo'"))
    expect(rows_told(page)).to_have_text("250,000 of 5,000,000 rows")
    page.get_by_role("button", name="Download").click()
    dialog = page.get_by_role("dialog", name="Download")
    expect(dialog).to_contain_text("the first 100,000 rows of 250,000")
    with page.expect_download() as saved:
        dialog.get_by_role("button", name=form, exact=True).click()
    expect(dialog.get_by_role("status")).to_contain_text("is saved")
    rows = READ[form](saved.value.path())
    assert rows.columns == ["id", "city"]
    assert rows.height == (100_000 if form == "JSON" else 250_000)
    assert rows["id"][0] == MANY - 4
    assert rows["id"].is_sorted(descending=True)
    assert saved.value.suggested_filename.startswith("many-v1.")


def test_hundreds_of_columns(visits: Visits) -> None:
    page = visits.open("/data/wide?freeze=1")
    grid(page).focus()
    expect(page.get_by_role("grid")).to_have_attribute("aria-colcount", str(COLUMNS))
    assert page.get_by_role("columnheader").count() < 30
    page.keyboard.press("End")
    expect(cell(page, 0, COLUMNS)).to_be_in_viewport()
    page.keyboard.press("ArrowDown")
    expect(cell(page, 1, COLUMNS)).to_have_text(str(COLUMNS - 1))
    expect(cell(page, 1, 1)).to_be_in_viewport()
    assert page.get_by_role("columnheader").count() < 30
    page.get_by_role("button", name="Columns").click()
    panel = page.get_by_role("complementary", name="Columns")
    panel.get_by_label("Search columns").fill("c31")
    panel.get_by_role("button", name="Only those found").click()
    expect(page.get_by_role("grid")).to_have_attribute("aria-colcount", "10")
    panel.get_by_role("button", name="Move c311 to the left").click()
    assert query(page)["columns"][0].startswith("c311,c310,")
    panel.get_by_role("checkbox", name="c312").uncheck()
    expect(page.get_by_role("grid")).to_have_attribute("aria-colcount", "9")
    page.get_by_role("link", name="Open as SQL").click()
    expect(page).to_have_url(re.compile("/sql.*c311.*c310"))
    expect(page.get_by_role("grid")).to_have_attribute("aria-colcount", "9")


def test_a_telephone_and_the_dark(visits: Visits) -> None:
    page = visits.open("/data/many?sort=-id", phone=True, dark=True)
    expect(cell(page, 0, 1)).to_have_text(str(MANY - 1))
    cell(page, 2, 1).tap()
    expect(page.locator(".cell-bar")).to_contain_text(f"{MANY - 3}")
    page.get_by_role("button", name="Row", exact=True).tap()
    panel = page.get_by_role("complementary", name="Row 3")
    expect(panel).to_contain_text(str(MANY - 3))
    panel.get_by_role("button", name="Only this city").tap()
    expect(rows_told(page)).to_have_text("1,250,000 of 5,000,000 rows")
    wide, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room
    page.get_by_role("complementary", name="Row 1").get_by_role("button", name="Close").tap()
    expect(page.get_by_role("grid")).to_be_visible()
