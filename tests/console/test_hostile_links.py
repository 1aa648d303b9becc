"""What somebody else can do with a link, a shared tab or odd names: nothing that the person at the page did not do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from tests.acceptance.served import CSV, PASSWORD, Served, serving
from tests.console.conftest import MANY
from tests.console.visits import Visits
from tests.unit.network.site import Hit, Reply, Site
from tests.unit.network.site import serving as answering

ODD = "constructor,__proto__,toString,hasOwnProperty,length\n1,2,3,4,5\n6,7,8,9,x\n"
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    def answers(hit: Hit) -> Reply:
        return Reply.json([{"path": hit.path, "id": number} for number in range(3)])

    with answering(answers) as site:
        yield site


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[Served]:
    settings = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_ALLOWED_PRIVATE_HOSTS": f"127.0.0.1:{site.port}"}
    with serving(tmp_path_factory.mktemp("links") / "data", **settings, **MANY) as served:
        served.login()
        served.http.put("/files/orders.csv", content=CSV).raise_for_status()
        served.http.put("/files/odd.csv", content=ODD).raise_for_status()
        collector = {"type": "csv", "file_path": "orders.csv"}
        served.json("POST", "/pipeline/create", status=201, json={"name": "orders", "collectors": [collector]})
        served.json("POST", "/pipeline/orders/execute?wait=60")
        served.json("POST", "/users", status=201, json={"username": "vera", "password": PASSWORD, "role": "viewer"})
        yield served


@pytest.mark.parametrize("part", ["orders%2Fstatus%23", "..%2Fauth%2Fme%3F", "orders%3Fx=", "orders%5C", "%252e%252e"])
def test_a_name_in_an_address_leads_to_no_other_route(visits: Visits, part: str) -> None:
    page = visits.open(f"/pipelines/{part}")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    assert not [one for one in visits.requests if "/pipeline" in one.url.partition("/api/v1")[2]]


def test_a_side_of_a_pipeline_that_there_is_not(visits: Visits) -> None:
    page = visits.open("/pipelines/orders/constructor")
    expect(page.get_by_role("table").first).to_be_visible()


def test_a_link_lets_the_service_ask_no_address(visits: Visits, site: Site) -> None:
    address = f"http://127.0.0.1:{site.port}/lured"
    page = visits.open(f"/new?url={address}")
    look = page.get_by_role("button", name="Look at it")
    expect(look).to_be_visible()
    assert site.hits == []
    look.click()
    expect(page.get_by_text("Found to mend").or_(page.get_by_text("Nothing to mend"))).to_be_visible()
    assert {hit.path for hit in site.hits} >= {"/lured"}
    page.reload()
    expect(page.get_by_text("Found to mend").or_(page.get_by_text("Nothing to mend"))).to_be_visible()


def test_a_login_is_for_its_own_address(visits: Visits, site: Site) -> None:
    page = visits.open("/new")

    def look(path: str, token: str | None) -> None:
        page.get_by_label("Address of an API").fill(f"http://127.0.0.1:{site.port}{path}")
        if token is not None:
            page.get_by_text("It needs a login").click()
            page.get_by_label("Who may read it").select_option("bearer")
            page.get_by_label("Token", exact=True).fill(token)
        page.get_by_role("button", name="Look at it").click()
        expect(page.get_by_text("Clean and type")).to_be_visible()

    look("/first", None)
    page.get_by_role("link", name="Another source").click()
    look("/second", "a secret of the second")
    site.hits.clear()
    page.go_back()
    page.go_back()
    expect(page.locator(".source-line")).to_contain_text("/first")
    again = page.get_by_role("button", name="Look at it")
    expect(again.or_(page.get_by_text("Clean and type"))).to_be_visible()
    if again.is_visible():
        again.click()
        expect(page.get_by_text("Clean and type")).to_be_visible()
    asked = [hit for hit in site.hits if hit.path == "/first"]
    assert asked
    assert [hit.headers.get("authorization") for hit in asked] == [None] * len(asked)


def test_who_signs_in_next_finds_nothing_of_the_one_before(visits: Visits) -> None:
    page = visits.open("/sql?sql=SELECT%20%27a%20secret%27")
    expect(page.get_by_text(re.compile("1 rows? in"))).to_be_visible()
    page.goto("/console/new?from=-")
    editor = page.get_by_role("textbox", name=re.compile("configuration", re.IGNORECASE)).first
    editor.press("End")
    editor.press_sequentially("secret")
    page.wait_for_function("Object.keys(sessionStorage).some((key) => key.startsWith('penstock:new'))")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to Penstock")).to_be_visible()
    assert page.evaluate("Object.keys(sessionStorage)") == []


def test_drafts_outlast_a_session_but_not_for_another_user(visits: Visits) -> None:
    page = visits.open()
    page.evaluate("sessionStorage.setItem('penstock:new:-', '\"a draft\"')")
    page.context.request.delete("/api/v1/auth/session")
    page.reload()

    def sign_in(username: str) -> Any:
        page.get_by_label("User name").fill(username)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        return page.evaluate("sessionStorage.getItem('penstock:new:-')")

    assert sign_in("admin") == '"a draft"'
    page.context.request.delete("/api/v1/auth/session")
    page.reload()
    assert sign_in("vera") is None


def test_streams_are_closed_while_nobody_sees_the_page(visits: Visits, served: Served) -> None:
    page = visits.open()
    streams: list[Request] = []
    ended: list[Request] = []

    def begins(one: Request) -> None:
        streams.append(one)

    def ends(one: Request) -> None:
        ended.append(one)

    page.on("request", begins)
    page.on("requestfailed", ends)
    found = served.json("POST", "/pipeline/orders/execute?wait=60")
    run, going = found["run_id"], {**found, "status": "running"}
    page.route(f"**/api/v1/runs/{run}", lambda route: route.fulfill(json=going))
    page.route(f"**/api/v1/runs/{run}/events", lambda _: None)  # never answered
    page.goto(f"/console/runs/{run}")

    def mine(found: list[Request]) -> int:
        return len({id(one) for one in found if f"{run}/events" in one.url})

    wait(page, lambda: mine(streams) == 1)
    page.evaluate(HIDE, True)
    wait(page, lambda: mine(ended) == 1)
    page.evaluate(HIDE, False)
    wait(page, lambda: mine(streams) == 2)


def wait(page: Page, there: Any) -> None:
    for _ in range(200):
        if there():
            return
        page.evaluate("new Promise(requestAnimationFrame)")
    raise AssertionError("it did not come")


def test_columns_that_are_called_as_parts_of_the_language(visits: Visits) -> None:
    page = visits.open("/new?file=odd.csv")
    table = page.get_by_role("region", name="Sample of the rows")
    for name in ("constructor", "to_string", "length"):
        table.get_by_role("button", name=f"Column {name},").click()
        expect(page.get_by_role("region", name=re.compile("^Column (constructor|toString|length)"))).to_be_visible()
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Create and run").click()
    expect(page.get_by_text("Completed").first).to_be_visible()


def test_nothing_of_the_session_is_kept_where_scripts_find_it(visits: Visits) -> None:
    page = visits.open("/runs")
    held = "[document.cookie, {...localStorage}, {...sessionStorage}, location.href, history.state]"
    assert page.evaluate(held) == ["", {}, {"penstock:owner": "admin"}, page.url, None]
    assert not [one for one in visits.requests if "token" in one.url]
