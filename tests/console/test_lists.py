"""The lists of the console: they follow what happens by themselves, and ask once however much there is."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.served import CSV, Served
from tests.console.visits import Visits

MANY = 300


@pytest.fixture(scope="module")
def made(served: Served) -> Served:
    """Many pipelines over one uploaded file; none has run."""
    served.http.put("/files/towns.csv", content=CSV).raise_for_status()
    for number in range(MANY):
        name = f"towns-{number:03}"
        collectors = [{"type": "csv", "file_path": "towns.csv"}]
        schedule = {"cron": "0 6 * * *"} if number % 100 == 0 else None
        served.json("POST", "/pipeline/create", status=201, json={
            "name": name, "description": f"Town number {number}", "collectors": collectors, "schedule": schedule,
        })  # fmt: skip
    return served


@pytest.fixture
def pipelines(made: Served, visits: Visits) -> Page:
    return visits.open()


def asked(visits: Visits) -> list[str]:
    """The requests for data, without those of the session."""
    paths = [request.url.partition("/api/v1")[2] for request in visits.requests]
    return [path for path in paths if path and not path.startswith("/auth/")]


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def test_all_pipelines_in_one_request(pipelines: Page, visits: Visits) -> None:
    expect(pipelines.get_by_role("row")).to_have_count(MANY + 1)
    expect(pipelines.get_by_role("button", name="All 300")).to_be_visible()
    assert [path for path in asked(visits) if path != "/events"] == ["/overview"]


def test_the_list_follows_what_others_do_without_being_asked(pipelines: Page, made: Served, visits: Visits) -> None:
    expect(row(pipelines, "towns-007")).to_contain_text("Never run")
    made.json("POST", "/pipeline/towns-007/execute?wait=30")
    expect(row(pipelines, "towns-007")).to_contain_text("Completed")
    made.json("POST", "/pipeline/create", status=201, json={
        "name": "another", "collectors": [{"type": "csv", "file_path": "towns.csv"}],
    })  # fmt: skip
    expect(row(pipelines, "another")).to_be_visible()
    made.http.delete("/pipeline/another").raise_for_status()
    expect(row(pipelines, "another")).to_have_count(0)
    whole = [path for path in asked(visits) if path == "/overview"]
    assert len(whole) == 1, "what changed is asked for, not everything"


def test_search_and_choice_are_in_the_address(pipelines: Page) -> None:
    pipelines.keyboard.press("/")
    expect(pipelines.get_by_role("searchbox", name="Search pipelines")).to_be_focused()
    pipelines.keyboard.type("number 20")
    expect(pipelines.get_by_role("row")).to_have_count(12)  # 20, 200 to 209, and the head
    pipelines.get_by_role("button", name="Scheduled").click()
    expect(pipelines.get_by_role("row")).to_have_count(2)
    expect(pipelines).to_have_url(re.compile(r"\?q=number\+20&show=scheduled$"))
    pipelines.reload()
    expect(pipelines.get_by_role("row")).to_have_count(2)


def test_run_and_pause_by_keyboard(pipelines: Page, made: Served) -> None:
    pipelines.get_by_role("button", name="Pause the schedule of towns-100").press("Enter")
    expect(pipelines.get_by_role("button", name="Resume the schedule of towns-100")).to_be_visible()
    assert made.json("GET", "/schedules?limit=1000")["items"][1]["paused"] is True
    pipelines.get_by_role("button", name="Run towns-001").press("Enter")
    expect(row(pipelines, "towns-001")).to_contain_text("Completed")
