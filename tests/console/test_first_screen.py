"""What a browser shows first: a sign-in that leads where somebody wanted to go, and pages that know where they are."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.acceptance.served import PASSWORD
from tests.console.visits import Visits


def test_the_root_leads_through_the_sign_in_to_the_pipelines(visits: Visits) -> None:
    page = visits.open(user=None)
    page.goto("/")
    assert page.url.endswith("/console/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Pipelines", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Pipelines", exact=True)).to_be_visible()


def test_an_address_without_a_screen_says_so(visits: Visits) -> None:
    page = visits.open("/nowhere")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    page.get_by_role("link", name="See all pipelines").click()
    expect(page.get_by_role("heading", name="Pipelines", exact=True)).to_be_visible()


def test_an_empty_installation_says_what_to_do_next(page: Page) -> None:
    expect(page.get_by_text("No pipelines yet")).to_be_visible()
    expect(page.get_by_text("penstock demo --serve")).to_be_visible()
    page.get_by_role("link", name="what each page is for").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("The console")
    page.go_back()
    page.get_by_role("link", name="Make the first one").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("New pipeline")
    expect(page.get_by_role("heading", level=1)).to_be_focused()  # the link is gone, and the keys go on from here
