"""A source that is looked at again: another part of a page, another way to read a file, dates in several forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.acceptance.served import PASSWORD, Served, serving
from tests.console.conftest import MANY
from tests.console.visits import Visits
from tests.unit.network.site import Hit, Reply, Site
from tests.unit.network.site import serving as answering

MONTHS = "".join(f"<tr><td>2026-{n:02d}</td><td>{n}.000,50</td></tr>" for n in range(1, 13))
STAFF = "".join(f"<tr><td>Person {n}</td><td>Bern</td><td>0{n % 9 + 1}.02.2020</td></tr>" for n in range(1, 31))
PAGE = f"""<!doctype html><html><body><h1>Shop</h1>
<table id="sales"><tr><th>Month</th><th>Sum</th></tr>{MONTHS}</table>
<table id="staff"><tr><th>Name</th><th>Place</th><th>Since</th></tr>{STAFF}</table></body></html>"""
BARE = "<!doctype html><html><body><h1>Hello</h1><p>Nothing to see</p></body></html>"


def answers(hit: Hit) -> Reply:
    pages = {"/shop": PAGE, "/bare": BARE}
    if hit.path == "/empty":
        return Reply.json({"items": []})
    if hit.path not in pages:
        return Reply(status=404)
    return Reply(pages[hit.path].encode(), headers={"content-type": "text/html; charset=utf-8"})


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with answering(answers) as site:
        yield site


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[Served]:
    settings = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_ALLOWED_PRIVATE_HOSTS": f"127.0.0.1:{site.port}"}
    with serving(tmp_path_factory.mktemp("again") / "data", **settings, **MANY) as served:
        served.login()
        yield served


def sample(page: Page, column: str) -> None:
    expect(page.get_by_role("button", name=f"Column {column},")).to_be_visible()


def opened(visits: Visits, served: Served, name: str, content: bytes) -> Page:
    served.json("PUT", f"/files/{name}", status=201, content=content)
    return visits.open(f"/new?file={name}")


def looked(visits: Visits, address: str) -> Page:
    page = visits.open(f"/new?url={address}")
    page.get_by_role("button", name="Look at it").click()
    return page


def test_another_table_of_a_page_gets_proposals_of_its_own(visits: Visits, site: Site, served: Served) -> None:
    page = looked(visits, f"{site.address}/shop")
    sample(page, "since")
    page.get_by_label("When it runs").select_option("Every day")
    page.get_by_role("radio", name=re.compile("Table of 12 rows")).check()
    sample(page, "sum")
    expect(page.get_by_role("checkbox", name="Read “Sum” as number such as 1.234,5")).to_be_checked()
    expect(page.get_by_role("radio", name=re.compile("Table of 12 rows"))).to_be_focused()
    page.reload()
    sample(page, "sum")  # what was chosen outlives a reload
    expect(page.get_by_label("When it runs")).to_have_value("day")
    page.get_by_role("button", name="Create and run").click()
    page.wait_for_url("**/pipelines/shop/profile")
    assert served.json("GET", "/pipeline/shop/data?limit=1")["data"] == [{"month": "2026-01", "sum": 1000.5}]
    visits.faults[:] = [
        fault for fault in visits.faults if "status of 503" not in fault
    ]  # a busy machine is asked again


def test_a_preview_that_finds_the_service_busy_is_asked_again(visits: Visits, served: Served) -> None:
    served.json("PUT", "/files/busy.csv", status=201, content=b"a,b\n1,2\n3,4\n")
    page = visits.open("/new")
    answers = iter([503])

    def busy_once(route: Route) -> None:
        if next(answers, None) is None:
            route.continue_()
        else:
            route.fulfill(status=503, json={"error": {"code": "OVERLOADED", "message": "too many at once"}})

    page.route("**/api/v1/pipeline/preview*", busy_once)
    page.get_by_role("link", name="busy.csv").click()
    sample(page, "a")
    expect(page.get_by_role("alert")).to_have_count(0)
    assert next(answers, None) is None
    visits.faults[:] = [fault for fault in visits.faults if "status of 503" not in fault]


def test_a_page_without_a_table_says_so(visits: Visits, site: Site) -> None:
    page = looked(visits, f"{site.address}/bare")
    expect(page.get_by_text("Nothing repeats in this page: no table and no list was found")).to_be_visible()


def test_a_source_without_records_says_so(visits: Visits, site: Site) -> None:
    page = looked(visits, f"{site.address}/empty")
    expect(page.get_by_role("alert")).to_contain_text("there are no columns, because no source brought a record")
    visits.faults[:] = [fault for fault in visits.faults if "status of 400" not in fault]


def test_another_way_to_read_a_file_is_looked_at_anew(visits: Visits, served: Served) -> None:
    page = opened(visits, served, "names.csv", "Name;Preis\nŁódź;1,5\nKraków;2,5\n".encode("cp1250"))
    page.get_by_text("How the file is read").click()
    page.get_by_label("Encoding").select_option("cp1250")
    expect(page.get_by_role("cell", name="Łódź")).to_be_visible()
    page.get_by_role("checkbox", name="The first line has the names of the columns").uncheck()
    sample(page, "column_0")
    expect(page.get_by_role("cell", name="Preis")).to_be_visible()
    page.get_by_label("Between fields").select_option("space")
    expect(page.get_by_role("alert")).to_contain_text("names.csv")  # and what was found before stays
    expect(page.get_by_label("Between fields")).to_have_value(";")
    sample(page, "column_0")
    visits.faults[:] = [fault for fault in visits.faults if "status of 400" not in fault]


def test_dates_in_two_forms_and_few_that_are_none(visits: Visits, served: Served) -> None:
    days = [f"{n % 28 + 1:02d}.03.2026" if n % 3 else f"2026-03-{n % 28 + 1:02d}" for n in range(60)]
    page = opened(visits, served, "days.csv", "\n".join(["id,day", *(f"{n},{d}" for n, d in enumerate(days))]).encode())
    expect(page.get_by_role("checkbox", name="Read “day” as date such as 31.12.2026 or 2026-12-31")).to_be_checked()
    page.get_by_role("button", name="Column day,").click()
    expect(page.get_by_label("Written like")).to_have_value("%d.%m.%Y,%Y-%m-%d")
    page = opened(
        visits, served, "soon.csv", "\n".join(["id,day", "0,soon", *(f"{n},{d}" for n, d in enumerate(days))]).encode()
    )
    found = page.get_by_role("group", name="Found to mend")
    expect(found).to_contain_text("or 2026-12-31; 1 value of another form becomes missing")
    page.get_by_role("button", name="Column day,").click()
    page.get_by_label("Values that cannot be read").select_option("their rows go to quarantine")
    expect(found).to_contain_text("1 value of another form goes to quarantine with its row")
    expect(page.get_by_text("60 of the first 61 rows remain, 1 goes to quarantine")).to_be_visible()


def test_a_name_that_is_no_path_and_one_that_is_taken(visits: Visits, served: Served, tmp_path: Path) -> None:
    file = tmp_path / "orders [May] & June (1).csv"
    file.write_bytes(b"a,b\n1,2\n3,4\n")
    for name in ("orders-may-june-1", "orders-may-june-2"):
        page = visits.open("/new")
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_label("Files", exact=True).set_input_files(file)
        sample(page, "a")
        page.get_by_role("button", name="Create and run").click()
        if name.endswith("-2"):
            expect(page.get_by_role("alert")).to_contain_text("There is a pipeline orders-may-june-1 already")
            page.get_by_role("button", name=f"Name it {name}").click()
            expect(page.get_by_role("alert")).to_have_count(0)
            page.get_by_role("button", name="Create and run").click()
        page.wait_for_url(f"**/pipelines/{name}/profile")
    assert "orders May June 1.csv" in [one["path"] for one in served.json("GET", "/files")["items"]]
    visits.faults[:] = [fault for fault in visits.faults if "status of 409" not in fault]
