"""What an admin looks after: accounts, keys, the audit log, files and the service itself."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.acceptance.served import PASSWORD, Served
from tests.console.visits import Visits


def test_a_user_from_making_to_deleting(visits: Visits) -> None:
    page = visits.open("/accounts")
    page.get_by_role("button", name="New user").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("User name").fill("ulla")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_label("Role").select_option("operator")
    dialog.get_by_role("button", name="Save").click()
    role = page.get_by_label("Role of ulla")
    expect(role).to_have_value("operator")
    role.select_option("viewer")
    page.get_by_role("button", name="Disable ulla").click()
    expect(page.get_by_role("row").filter(has_text="ulla")).to_contain_text("disabled")
    page.reload()
    expect(role).to_have_value("viewer")
    page.once("dialog", lambda question: question.accept())
    page.get_by_role("button", name="Delete ulla").click()
    expect(page.get_by_text("ulla", exact=True)).to_have_count(0)


def test_the_last_admin_stays(visits: Visits) -> None:
    page = visits.open("/accounts/users")
    page.get_by_label("Role of admin").select_option("viewer")
    expect(page.get_by_role("alert")).to_contain_text("LAST_ADMIN")
    expect(page.get_by_label("Role of admin")).to_have_value("admin")
    visits.faults[:] = [fault for fault in visits.faults if "status of 409" not in fault]


def test_a_key_is_shown_once(visits: Visits, served: Served) -> None:
    page = visits.open("/accounts/keys")
    page.get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("the till")
    dialog.get_by_label("Ends").fill("2099-01-01T00:00")
    dialog.get_by_text("Bounds").click()
    dialog.get_by_label("Only these pipelines").fill("sales-*, shop")
    dialog.get_by_label("Requests a minute").fill("60")
    dialog.get_by_role("button", name="Save").click()
    key = dialog.locator("pre").inner_text()
    answer = served.http.get("/auth/me", headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    dialog.get_by_role("button", name="Close").click()
    row = page.get_by_role("row").filter(has_text="the till")
    expect(row).to_contain_text("sales-*, shop")
    expect(row).to_contain_text("60 a minute")
    expect(dialog).to_have_count(0)
    expect(page.locator("pre", has_text=key)).to_have_count(0)
    assert key not in page.content()
    page.once("dialog", lambda question: question.accept())
    row.get_by_role("button", name="Remove the key the till").click()
    expect(page.get_by_text("No keys")).to_be_visible()


def test_the_audit_log_by_filters_that_are_in_the_address(visits: Visits, served: Served) -> None:
    served.json("POST", "/users", status=201, json={"username": "oda", "password": PASSWORD, "role": "viewer"})
    page = visits.open("/accounts/audit")
    page.get_by_label("What").fill("user")
    page.get_by_label("Who").fill("admin")
    page.get_by_role("button", name="Show").press("Enter")
    expect(page).to_have_url(re.compile(r"actor=admin&action=user$"))
    expect(page.get_by_role("row").nth(1)).to_contain_text("user.")
    expect(page.get_by_role("cell", name="auth.login")).to_have_count(0)
    page.reload()
    expect(page.get_by_label("What")).to_have_value("user")
    page.get_by_label("Who").fill("nobody")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No events")).to_be_visible()


def dropped(page: Page, path: Path) -> None:
    page.get_by_label("Files", exact=True).set_input_files(path)


def test_a_file_from_dropping_to_a_pipeline(visits: Visits, tmp_path: Path) -> None:
    page = visits.open("/files")
    expect(page.get_by_text("No files yet")).to_be_visible()
    file = tmp_path / "fruit.csv"
    file.write_text("name,price\npear,1\nplum,2\n")
    dropped(page, file)
    row = page.get_by_role("row").filter(has_text="fruit.csv")
    expect(row).to_contain_text("25 B")
    row.get_by_role("link", name="New pipeline of fruit.csv").click()
    expect(page).to_have_url(re.compile(r"/console/new\?file=fruit\.csv$"))
    expect(page.get_by_role("main")).to_contain_text("price")
    page.goto("/console/files")
    page.once("dialog", lambda question: question.accept())
    page.get_by_role("button", name="Remove fruit.csv").click()
    expect(page.get_by_text("No files yet")).to_be_visible()


def test_the_service_and_its_care(visits: Visits, tmp_path: Path) -> None:
    page = visits.open("/system")
    expect(page.get_by_text("Ready", exact=True)).to_be_visible()
    expect(page.get_by_role("table", name="Processes of the installation")).to_contain_text("serve")
    page.get_by_role("button", name="Verify every checksum").press("Enter")
    expect(page.get_by_text("All is whole")).to_be_visible()
    expect(page.get_by_text("Last verified by hand")).to_be_visible()
    page.get_by_label("Back up to a folder").fill(str(tmp_path / "backup"))
    page.get_by_role("button", name="Back up", exact=True).click()
    expect(page.get_by_text("Backed up")).to_be_visible()


def test_who_is_no_admin_sees_how_the_service_is(visits: Visits, served: Served) -> None:
    served.json("POST", "/users", status=201, json={"username": "vito", "password": PASSWORD, "role": "viewer"})
    page = visits.open("/system", user="vito")
    expect(page.get_by_text("Ready", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Verify", exact=True)).to_have_count(0)


def test_every_list_on_a_telephone_and_in_the_dark(visits: Visits) -> None:
    page = visits.open("/", phone=True, dark=True)
    for path in (
        "/",
        "/runs",
        "/schedules",
        "/files",
        "/accounts/users",
        "/accounts/keys",
        "/accounts/audit",
        "/system",
    ):
        page.goto(f"/console{path}")
        page.locator("main[aria-busy=false], main:not([aria-busy])").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
