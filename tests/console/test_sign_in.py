"""Signing in and out: errors, the way back to where somebody wanted to go, tabs that share a session, and silence."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.acceptance.served import PASSWORD, Served
from tests.console.visits import Visits

REFRESH = "**/api/v1/auth/session/refresh"


def sign_in(page: Page, username: str = "admin", password: str = PASSWORD) -> None:
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")


def forgive(visits: Visits, *parts: str) -> None:
    """Forget faults that a test means to cause: the browser's own lines about answers with these in them."""
    visits.faults[:] = [fault for fault in visits.faults if not any(part in fault for part in parts)]


def test_a_wrong_password_says_so_and_the_right_one_leads_on(visits: Visits) -> None:
    page = visits.open("/runs?status=failed", user=None)
    sign_in(page, password="not this one")
    expect(page.get_by_role("alert")).to_contain_text("The username or the password is wrong")
    expect(page.get_by_label("Password")).to_be_focused()
    sign_in(page)
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile(r"/console/runs\?status=failed$"))
    forgive(visits, "auth/session: Failed to load resource: the server responded with a status of 401")


def test_too_many_attempts_wait(visits: Visits) -> None:
    page = visits.open(user=None)
    page.route("**/api/v1/auth/session", lambda route: route.fulfill(
        status=429, headers={"retry-after": "3", "content-type": "application/json"},
        body='{"error": {"code": "RATE_LIMITED", "message": "too many attempts", "details": {}}}',
    ))  # fmt: skip
    sign_in(page)
    expect(page.get_by_role("button", name=re.compile(r"Wait \d s"))).to_be_disabled()
    expect(page.get_by_role("alert")).to_contain_text("Too many attempts")
    expect(page.get_by_role("button", name="Sign in")).to_be_enabled()
    forgive(visits, "status of 429")


@pytest.fixture
def tabs(visits: Visits) -> tuple[Page, Page]:
    """Two tabs of one browser."""
    first = visits.open("/runs")
    context: BrowserContext = first.context
    second = context.new_page()
    second.goto("/console/schedules")
    expect(second.get_by_role("heading", name="Schedules", exact=True)).to_be_visible()
    return first, second


def test_signing_out_in_one_tab_is_for_all(tabs: tuple[Page, Page]) -> None:
    first, second = tabs
    first.get_by_role("button", name="Sign out").click()
    for tab in tabs:
        expect(tab.get_by_role("heading", name="Sign in to Penstock")).to_be_visible()
    sign_in(second)
    expect(second.get_by_role("heading", name="Schedules", exact=True)).to_be_visible()


def test_a_session_that_ends_leads_back_to_the_same_address(visits: Visits, served: Served) -> None:
    page = visits.open("/files?offset=0")
    expect(page.get_by_role("heading", name="Files", exact=True)).to_be_visible()
    page.context.request.delete("/api/v1/auth/session")
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in to Penstock")).to_be_visible()
    sign_in(page)
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    forgive(visits, "status of 401")


def test_a_silent_service_is_a_calm_line_that_goes(visits: Visits) -> None:
    page = visits.open()
    silence = re.compile(r".*/(api/v1|health|console/assets)/.*")
    page.route(silence, lambda route: route.abort())
    page.get_by_role("link", name="Schedules", exact=True).click()
    line = page.get_by_text("The service does not answer. What you see may be old")
    expect(line).to_be_visible()
    page.unroute(silence)
    expect(line).to_have_count(0)
    expect(page.get_by_text("Nothing starts by itself")).to_be_visible()
    forgive(visits, "ERR_FAILED")


def test_a_service_that_starts_is_waited_for(visits: Visits) -> None:
    page = visits.open(user=None)
    expect(page.get_by_role("heading", name="Sign in to Penstock")).to_be_visible()
    starting = '{"error": {"code": "OVERLOADED", "message": "the service is starting; try again", "details": {}}}'
    checks = '{"status": "not ready", "version": "1", "checks": {"start": "running"}, "sandbox": "none"}'
    page.route(REFRESH, lambda route: route.fulfill(status=503, content_type="application/json", body=starting))
    page.route("**/health/ready", lambda route: route.fulfill(status=503, content_type="application/json", body=checks))
    page.reload()
    expect(page.get_by_text("The service is starting")).to_be_visible()
    page.unroute_all()
    expect(page.get_by_role("heading", name="Sign in to Penstock")).to_be_visible()
    forgive(visits, "status of 503")


@pytest.mark.parametrize(("path", "told"), [
    ("/nowhere/at/all", "There is no such page"), ("/pipelines/nobody", "nobody"), ("/runs/run_none", "run_none"),
])  # fmt: skip
def test_what_is_not_there_says_what_and_where(visits: Visits, path: str, told: str) -> None:
    page = visits.open(path)
    expect(page.get_by_role("main")).to_contain_text(told)
    assert page.get_by_role("main").get_by_role("link").count() + page.get_by_role("button").count() > 0
    forgive(visits, "status of 404")


def test_who_may_not_is_told_who_may(visits: Visits, served: Served) -> None:
    served.json("POST", "/users", status=201, json={"username": "vera", "password": PASSWORD, "role": "viewer"})
    page = visits.open("/accounts/users", user="vera")
    expect(page.get_by_role("main")).to_contain_text("Only an admin sees this")
    expect(page.get_by_role("link", name="Files", exact=True)).to_have_count(0)
    for screen in ("files", "new"):
        page.goto(f"/console/{screen}")
        expect(page.get_by_role("main")).to_contain_text("This screen is for operators")
    forgive(visits, "status of 403")


def test_pages_that_are_left_at_once_keep_the_session(visits: Visits) -> None:
    page = visits.open()
    for number in range(6):
        page.goto(f"/console/runs?q={number}", wait_until="commit")
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")
