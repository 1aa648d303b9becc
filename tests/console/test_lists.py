"""The lists of the console: they follow what happens by themselves, and ask once however much there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from service.catalog.duckdb_store import DuckDBStore
from service.catalog.pipelines import Pipelines
from service.files.layout import Layout
from service.kit.clock import SystemClock
from tests.acceptance.served import CSV, PASSWORD, Served, serving
from tests.console.visits import Visits

MANY = 300


def fill(data: Path) -> None:
    """A catalog with many pipelines over one file; none has run. Asking for each would take longer than the tests."""
    layout = Layout(data)
    layout.create()
    store = DuckDBStore(layout.catalog)
    pipelines = Pipelines(store, SystemClock())
    for number in range(MANY):
        name = f"towns-{number:03}"
        schedule = {"schedule": {"cron": "0 6 * * *", "timezone": "UTC"}} if number % 100 == 0 else {}
        collectors = [{"type": "csv", "file_path": "towns.csv"}]
        document = {"name": name, "description": f"Town number {number}", "collectors": collectors, **schedule}
        pipelines.create(name, name.replace("-", "_"), document, "cli")
    store.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with many pipelines."""
    data = tmp_path_factory.mktemp("lists") / "data"
    fill(data)
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD, PENSTOCK_RATE_LIMIT_PER_MINUTE="100000") as served:
        served.login()
        served.http.put("/files/towns.csv", content=CSV).raise_for_status()
        yield served


@pytest.fixture
def pipelines(served: Served, visits: Visits) -> Page:
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


def test_the_list_follows_what_others_do_without_being_asked(pipelines: Page, served: Served, visits: Visits) -> None:
    expect(row(pipelines, "towns-007")).to_contain_text("Never run")
    served.json("POST", "/pipeline/towns-007/execute?wait=30")
    expect(row(pipelines, "towns-007")).to_contain_text("Completed")
    served.json("POST", "/pipeline/create", status=201, json={
        "name": "another", "collectors": [{"type": "csv", "file_path": "towns.csv"}],
    })  # fmt: skip
    expect(row(pipelines, "another")).to_be_visible()
    served.http.delete("/pipeline/another").raise_for_status()
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


def test_run_and_pause_by_keyboard(pipelines: Page, served: Served) -> None:
    pipelines.get_by_role("button", name="Pause the schedule of towns-100").press("Enter")
    expect(pipelines.get_by_role("button", name="Resume the schedule of towns-100")).to_be_visible()
    assert served.json("GET", "/schedules?limit=1000")["items"][1]["paused"] is True
    pipelines.get_by_role("button", name="Run towns-001").press("Enter")
    expect(row(pipelines, "towns-001")).to_contain_text("Completed")


def test_thousands_of_events_are_a_few_requests(served: Served, visits: Visits) -> None:
    change = '{"pipeline": "towns-%03d", "changed": ["runs"], "deleted": false, "run_id": "run_1", "status": "running"}'
    storm = [f'id: 0123abcd-{n}-1\nevent: changed\ndata: {{"changes": [{change % (n % 7)}]}}\n\n' for n in range(2000)]
    page = visits.open("/accounts/password")
    told = []

    def tell(route: Route) -> None:
        told.append(route.request.url)
        body = "".join(storm) if len(told) == 1 else "event: end\ndata: {}\n\n"
        route.fulfill(content_type="text/event-stream", body=body)

    page.route("**/api/v1/events", tell)
    visits.requests.clear()
    with page.expect_request(lambda request: "overview?pipelines=" in request.url):
        page.get_by_role("link", name="Pipelines", exact=True).click()
    with page.expect_event("request", lambda request: request.url.endswith("/events")):
        pass  # all of the storm was read: the page asks for what comes after it
    expect(page.get_by_role("row")).to_have_count(MANY + 1)
    assert 1 <= len([path for path in asked(visits) if path.startswith("/overview?pipelines=")]) <= 4


def test_runs_by_filters_in_the_address_and_as_they_happen(served: Served, visits: Visits) -> None:
    page = visits.open("/runs?q=towns-05")
    expect(page.get_by_text("None fits what you look for.")).to_be_visible()
    served.json("POST", "/pipeline/towns-050/execute?wait=30")
    expect(row(page, "towns-050")).to_contain_text("Completed")
    page.get_by_label("Status").select_option("failed")
    expect(page).to_have_url(re.compile(r"\?q=towns-05&status=failed$"))
    expect(page.get_by_text("None fits what you look for.")).to_be_visible()
    page.get_by_role("button", name="Show all").first.press("Enter")
    expect(row(page, "towns-050")).to_be_visible()
    page.get_by_label("Asked for in").select_option("the last hour")
    expect(page).to_have_url(re.compile(r"\?hours=1$"))
    expect(row(page, "towns-050")).to_contain_text("3")


def test_schedules_and_what_starts_after_others(served: Served, visits: Visits) -> None:
    page = visits.open("/schedules")
    expect(page.get_by_role("table", name="Schedules, the next first").get_by_role("row")).to_have_count(4)
    collectors = [{"type": "csv", "file_path": "towns.csv"}]
    report = {"name": "report", "collectors": collectors, "trigger": {"after": ["towns-000"]}}
    served.json("POST", "/pipeline/create", status=201, json=report)
    table = page.get_by_role("table", name="Pipelines that start after others")
    expect(table).to_contain_text("towns-000")
    page.get_by_role("button", name="Pause the schedule of towns-200").press("Enter")
    expect(row(page, "towns-200")).to_contain_text("paused")
    page.keyboard.press("/")
    page.keyboard.type("towns-2")
    expect(page.get_by_role("table", name="Schedules, the next first").get_by_role("row")).to_have_count(2)
    served.http.delete("/pipeline/report").raise_for_status()
    expect(table).to_have_count(0)


def test_a_page_that_nobody_sees_asks_for_nothing(served: Served, visits: Visits) -> None:
    page = visits.open()
    expect(page.get_by_role("row")).to_have_count(MANY + 1)
    hidden = "Object.defineProperty(document, 'hidden', {configurable: true, get: () => %s});"
    page.evaluate(f"() => {{ {hidden % 'true'} document.dispatchEvent(new Event('visibilitychange')) }}")
    served.json("POST", "/pipeline/towns-060/execute?wait=30")
    expect(row(page, "towns-060")).to_contain_text("Never run")
    with page.expect_request(lambda request: request.url.endswith("/overview?pipelines=towns-060")):
        page.evaluate(f"() => {{ {hidden % 'false'} document.dispatchEvent(new Event('visibilitychange')) }}")
    expect(row(page, "towns-060")).to_contain_text("Completed")
