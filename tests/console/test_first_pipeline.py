"""From an empty service to a scheduled, cleaned pipeline with charts, by somebody who types no configuration."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.served import PASSWORD, Served, serving
from tests.console.conftest import MANY
from tests.console.visits import Visits
from tests.unit.network.site import Hit, Reply, Site
from tests.unit.network.site import serving as answering

PER_PAGE, PAGES, TOKEN = 25, 4, "a token of the shop"
CITIES = ["Köln", " Zürich ", "München", "N/A"]
ROWS = [
    f"{number:05d};{CITIES[number % 4]};{number % 28 + 1:02d}.0{number % 9 + 1}.2026;"
    + (f"{number % 7 + 1}.{number % 900 + 100:03d},{number % 100:02d}" if number % 10 else "-")
    for number in range(1, 121)
]
UNTIDY = "\r\n".join(["Bestell-Nr;Ort;Bestellt am;Betrag (EUR)", *ROWS, *ROWS[:7]]).encode("latin-1")


def answers(hit: Hit) -> Reply:
    if hit.path == "/private" and hit.headers.get("authorization") != f"Bearer {TOKEN}":
        return Reply(b'{"error": "unauthorized"}', status=401)
    if hit.path not in ("/orders", "/private"):
        return Reply(status=404)
    page = int(hit.query.get("page", "1"))
    first = (page - 1) * PER_PAGE + 1
    items = [
        {"id": n, "placed": f"2026-01-{n % 28 + 1:02d}T08:00:00Z", "price": n / 4, "buyer": {"city": "Bern"}}
        for n in range(first, first + PER_PAGE)
    ]
    return Reply.json({"data": items if page <= PAGES else [], "total": PER_PAGE * PAGES, "page": page})


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with answering(answers) as site:
        yield site


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[Served]:
    settings = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_ALLOWED_PRIVATE_HOSTS": f"127.0.0.1:{site.port}"}
    with serving(tmp_path_factory.mktemp("first") / "data", **settings, **MANY) as served:
        served.login()
        yield served


class Effort:
    """Counts what a person does: each click, and each key (a pasted address is one)."""

    def __init__(self, page: Page) -> None:
        self.page, self.began = page, time.monotonic()
        page.evaluate("""() => {
            const effort = (window.effort = { clicks: 0, keys: 0 });
            const typed = (field) => field.tagName === "INPUT" && !/checkbox|radio|file/.test(field.type);
            addEventListener("click", (event) => { effort.clicks += Number(event.isTrusted); }, true);
            addEventListener("change", (event) => { if (event.target.tagName === "SELECT") effort.clicks += 2; }, true);
            addEventListener("input", (event) => { effort.keys += Number(typed(event.target)); }, true);
        }""")

    def show(self, what: str) -> None:
        found = self.page.evaluate("() => window.effort")
        seconds = time.monotonic() - self.began
        print(
            f"{what}: {found['clicks']} clicks, {found['keys']} keystrokes or pastes, {seconds:.1f} s of waiting"
        )  # -s


def charts(page: Page, column: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.get_by_role("option").filter(has_text=column).click()
    expect(page.get_by_role("figure").first).to_be_visible()


def test_an_untidy_file_becomes_a_scheduled_pipeline_with_charts(page: Page, served: Served, tmp_path: Path) -> None:
    effort = Effort(page)
    file = tmp_path / "bestellungen.csv"
    file.write_bytes(UNTIDY)
    page.get_by_role("link", name="New pipeline").or_(page.get_by_role("link", name="Make the first one")).first.click()
    page.get_by_label("Files", exact=True).set_input_files(file)
    expect(page.get_by_role("checkbox", name="Read “Betrag (EUR)” as number such as 1.234,5")).to_be_checked()
    expect(page.get_by_role("checkbox", name="Read “Bestellt am” as date such as 31.12.2026")).to_be_checked()
    expect(page.get_by_role("checkbox", name="Leave out 7 rows that are there again")).to_be_checked()
    sample = page.get_by_role("region", name="Sample of the rows")
    expect(sample.get_by_role("cell", name="2026-02-02", exact=True).first).to_be_visible()
    sample.get_by_role("button", name="Column ort").click()
    panel = page.get_by_role("region", name="Column Ort")
    panel.get_by_label("Missing values").select_option("fill with a value")
    panel.get_by_label("Value", exact=True).fill("unknown")
    panel.get_by_label("Value", exact=True).press("Tab")
    expect(sample.get_by_role("cell", name="unknown").first).to_be_visible()
    page.get_by_label("When it runs").select_option("Every day")
    page.get_by_role("button", name="Create and run").click()
    page.wait_for_url("**/pipelines/bestellungen/profile")
    effort.show("an untidy file")
    charts(page, "betrag_eur")
    expect(page.get_by_text("120 rows")).to_be_visible()
    schema = served.json("GET", "/pipeline/bestellungen/schema")
    assert {column["name"]: column["type"] for column in schema["columns"]} == {
        "bestell_nr": "VARCHAR", "ort": "VARCHAR", "bestellt_am": "DATE", "betrag_eur": "DOUBLE",
    }  # fmt: skip
    rows = served.json("GET", "/pipeline/bestellungen/data?limit=4")["data"]
    assert rows[0] == {"bestell_nr": "00001", "ort": "Zürich", "bestellt_am": "2026-02-02", "betrag_eur": 2101.01}
    assert rows[2]["ort"] == "unknown"
    assert served.json("GET", "/schedules")["items"][0]["cron"] == "0 6 * * *"


def test_a_paginated_api_becomes_a_pipeline(page: Page, served: Served, site: Site) -> None:
    effort = Effort(page)
    page.get_by_role("link", name="New pipeline").first.click()
    page.get_by_label("Address of an API, a file or a web page").fill(f"{site.address}/orders")
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_text("numbered pages; two of them were read")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Read “placed” as date and time")).to_be_checked()
    expect(page.get_by_role("region", name="Sample of the rows").get_by_role("cell", name="Bern").first).to_be_visible()
    page.get_by_label("When it runs").select_option("Every hour")
    page.get_by_role("button", name="Create and run").click()
    page.wait_for_url("**/pipelines/orders/profile")
    effort.show("a paginated API")
    charts(page, "price")
    expect(page.get_by_text("100 rows")).to_be_visible()
    found = served.json("GET", "/pipeline/orders/data?limit=1")
    assert found["total_rows"] == PER_PAGE * PAGES
    assert [column["name"] for column in found["columns"]] == ["id", "placed", "price", "buyer_city"]
    assert {s["name"]: s["cron"] for s in served.json("GET", "/schedules")["items"]}["orders"] == "@hourly"


def test_what_cannot_be_read_says_why_and_asks_for_a_login(visits: Visits, site: Site) -> None:
    page = visits.open("/new")
    page.get_by_label("Address of an API, a file or a web page").fill(f"{site.address}/nothing")
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_role("alert")).to_contain_text("404")
    page.get_by_role("link", name="Another source").click()
    page.get_by_label("Address of an API, a file or a web page").fill(f"{site.address}/private")
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_role("alert")).to_contain_text("401")
    page.get_by_label("Who may read it").select_option("a token (Bearer)")
    page.get_by_label("Token", exact=True).fill(TOKEN)
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_role("region", name="Sample of the rows")).to_be_visible()
    assert TOKEN not in page.url
    visits.faults[:] = [fault for fault in visits.faults if "400" not in fault]  # the refusals


def test_by_keyboard_on_a_telephone_in_the_dark(visits: Visits, served: Served) -> None:
    served.json("PUT", "/files/small.csv", status=201, content=b"day,kept\n01.02.2026,x\n02.02.2026,y\n")
    page = visits.open("/new?file=small.csv", phone=True, dark=True)
    column = page.get_by_role("button", name="Column day")
    column.focus()
    page.keyboard.press("Enter")
    panel = page.get_by_role("region", name="Column day")
    expect(panel.get_by_role("heading", name="day")).to_be_focused()
    panel.get_by_label("Name").fill("on_day")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Column on_day")).to_be_visible()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.reload()
    expect(page.get_by_role("button", name="Column on_day")).to_be_visible()  # what was chosen outlives a reload


def test_a_file_is_replaced_only_if_somebody_says_so(visits: Visits, served: Served, tmp_path: Path) -> None:
    served.json("PUT", "/files/twice.csv", status=201, content=b"kept\nfirst\n")
    (tmp_path / "twice.csv").write_bytes(b"kept\nsecond\n")
    page = visits.open("/new")
    files = page.get_by_label("Files", exact=True)
    with page.expect_event("dialog", lambda dialog: "Replace it?" in dialog.message):
        page.once("dialog", lambda dialog: dialog.dismiss())
        files.set_input_files(tmp_path / "twice.csv")
    expect(page.get_by_role("button", name="Choose files")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    files.set_input_files([])
    files.set_input_files(tmp_path / "twice.csv")
    expect(page.get_by_role("cell", name="second")).to_be_visible()


def steps(served: Served, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.json("GET", f"/pipeline/{name}/config")["processors"]
    return found


def test_choices_become_steps(visits: Visits, served: Served) -> None:
    served.json(
        "PUT", "/files/people.csv", status=201, content=b"id,mail,age,note\n1,a@b.example,31,x\n2,c@d.example,44,y\n"
    )
    page = visits.open("/new?file=people.csv")
    page.get_by_role("button", name="Column note").click()
    page.get_by_role("button", name="Leave this column out").click()
    page.get_by_role("button", name="Column mail").click()
    page.get_by_label("Secret values").select_option("put a fingerprint in their place (SHA-256)")
    page.get_by_role("button", name="Column age").click()
    page.get_by_label("Check that it").select_option("lies between")
    page.get_by_label("Least").fill("18")
    page.get_by_label("Greatest").fill("40")
    page.get_by_label("Greatest").press("Tab")
    expect(page.get_by_text("1 of the first 2 rows remains, 1 goes to quarantine")).to_be_visible()
    page.get_by_role("button", name="Create and run").click()
    page.wait_for_url("**/pipelines/people/profile")
    assert [step["type"] for step in steps(served, "people")] == ["cleaner", "validator", "sql", "analyzer"]
    row = served.json("GET", "/pipeline/people/data")["data"][0]
    assert (list(row), len(row["mail"])) == (["id", "mail", "age"], 64)
