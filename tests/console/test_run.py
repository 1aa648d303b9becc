"""One run in a browser: it is followed without a reload, cancelled, tried again, and its log never grows the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.gated_source import Source, a_source
from tests.acceptance.served import PASSWORD, Served, serving
from tests.console.conftest import MANY
from tests.console.visits import Visits

LINES = 200_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("console") / "data"
    settings = {**MANY, "PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1"}
    with serving(data, **settings) as served:
        served.login()
        yield served


@pytest.fixture
def source() -> Iterator[Source]:
    with a_source() as source:
        yield source


def started(served: Served, source: Source, name: str, **more: Any) -> str:
    """A run that waits for its source to answer."""
    source.open.clear()
    collector = {"type": "api", "endpoint": source.address, "retry": {"max_attempts": 1}}
    served.json("POST", "/pipeline/create", status=201, json={"name": name, "collectors": [collector], **more})
    run: dict[str, Any] = served.json("POST", f"/pipeline/{name}/execute?wait=0", status=202)
    source.wait_for_a_request()
    return str(run["run_id"])


def log(page: Page) -> Any:
    return page.get_by_role("log", name="Lines of the log")


def test_a_run_is_followed_to_its_end(served: Served, visits: Visits, source: Source) -> None:
    page = visits.open(f"/runs/{started(served, source, 'followed')}")
    expect(page.get_by_text("Running")).to_be_visible()
    expect(log(page)).to_contain_text("run.started")
    expect(page.get_by_role("progressbar", name="Progress", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    source.open.set()
    expect(page.get_by_text("Completed")).to_be_visible()
    expect(log(page)).to_contain_text("storage.finished")
    steps = page.get_by_role("table", name="Steps")
    expect(steps.get_by_role("row", name="Collect 1")).to_contain_text("1 request")
    leads = page.get_by_role("navigation", name="What belongs to the run")
    expect(leads.get_by_role("link", name="Configuration, revision 1")).to_be_visible()
    leads.get_by_role("link", name="Data of version 1").click()
    expect(page).to_have_url(re.compile(r"/data/followed\?version=1"))


def test_a_run_is_cancelled_and_tried_again(served: Served, visits: Visits, source: Source) -> None:
    run = started(served, source, "cancelled")
    page = visits.open(f"/runs/{run}")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    assert served.json("GET", f"/runs/{run}")["status"] == "cancelled"
    source.open.set()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Completed")).to_be_visible()
    assert run not in page.url


def test_an_error_says_where_and_leads_there(served: Served, visits: Visits, source: Source) -> None:
    source.status = 404
    run = started(served, source, "missing")
    source.open.set()
    page = visits.open(f"/runs/{run}")
    error = page.get_by_role("alert")
    expect(error).to_contain_text("collectors[0]")
    expect(error).to_contain_text("404")
    page.get_by_role("link", name="Change the configuration there").click()
    expect(page).to_have_url(re.compile(r"configuration\?at=collectors"))
    expect(page.locator(".cm-activeLine", has_text="endpoint")).to_be_visible()


def test_a_finished_run_needs_no_stream(served: Served, visits: Visits, source: Source) -> None:
    run = started(served, source, "finished")
    source.open.set()
    served.http.get(f"/runs/{run}/events").raise_for_status()  # ends with the run
    page = visits.open(f"/runs/{run}")
    expect(log(page)).to_contain_text("storage.finished")
    assert not [request.url for request in visits.requests if request.url.endswith(f"/runs/{run}/events")]


def test_a_log_of_many_lines_is_windowed_searched_and_never_wrapped(
    served: Served, visits: Visits, source: Source
) -> None:
    run = started(served, source, "chatty")
    source.open.set()
    served.http.get(f"/runs/{run}/events").raise_for_status()
    file = Path(served.data) / "logs" / f"{run}.ndjson"
    with file.open("a") as out:
        for number in range(LINES):
            level = "error" if number == LINES // 2 else "info"
            line = {"time": "2026-01-01T00:00:00.000000Z", "level": level, "event": "said", "number": number}
            if number == LINES - 1:
                line["message"] = "long " * 100_000
            out.write(json.dumps({"id": 1_000 + number, "kind": "log", "data": line}, separators=(",", ":")) + "\n")
    page = visits.open(f"/runs/{run}")
    region = page.get_by_role("region", name="Log")
    expect(region).to_contain_text(re.compile(r"200,0\d\d lines"), timeout=60_000)
    assert log(page).locator(".line").count() < 100
    page.get_by_role("searchbox", name="Search the log").fill("number=77777")
    expect(log(page)).to_contain_text("number=77777")
    expect(region).to_contain_text("1 of 200,0")
    page.get_by_role("searchbox", name="Search the log").fill("")
    page.get_by_label("Level").select_option("error")
    expect(log(page)).to_contain_text(f"number={LINES // 2}")
    page.get_by_label("Level").select_option("")
    log(page).focus()
    page.keyboard.press("End")
    expect(log(page)).to_contain_text("more characters")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == f"{run}.ndjson"


def test_following_stops_for_whoever_scrolls_up(served: Served, visits: Visits, source: Source) -> None:
    source.status = 503
    run = started(served, source, "scrolled", execution={"max_attempts": 2, "retry_delay_seconds": 3600})
    source.open.set()
    page = visits.open(f"/runs/{run}")
    expect(log(page)).to_contain_text("run.retrying")
    log(page).evaluate("box => box.style.setProperty('height', '30px')")
    again = page.get_by_role("button", name="Follow again")
    log(page).evaluate("box => { box.scrollTop = box.scrollHeight }")
    expect(again).to_have_count(0)
    log(page).focus()
    page.keyboard.press("Home")
    expect(again).to_be_visible()
    again.click()
    expect(again).to_have_count(0)
    assert log(page).evaluate("box => box.scrollTop + box.clientHeight >= box.scrollHeight - 1")
    served.json("POST", f"/runs/{run}/cancel", status=202)
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_a_line_is_opened_by_key(served: Served, visits: Visits, source: Source) -> None:
    run = started(served, source, "keyed")
    source.open.set()
    served.http.get(f"/runs/{run}/events").raise_for_status()
    page = visits.open(f"/runs/{run}")
    expect(log(page)).to_contain_text("run.published")
    log(page).focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    second = log(page).get_by_role("button").nth(1)
    expect(second).to_be_focused()
    page.keyboard.press("Enter")
    opened = page.get_by_role("region", name="The line")
    expect(opened.get_by_role("heading")).to_be_focused()
    expect(opened).to_contain_text(run)
    page.keyboard.press("Escape")
    expect(opened).to_have_count(0)
    expect(second).to_be_focused()


def test_a_run_fits_a_telephone(served: Served, visits: Visits, source: Source) -> None:
    run = started(served, source, "narrow")
    source.open.set()
    page = visits.open(f"/runs/{run}", phone=True, dark=True)
    expect(page.get_by_text("Completed")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
