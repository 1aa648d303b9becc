"""What holds for every screen: nobody is shut out, nothing leaves the service, and what somebody scraped does nothing.

One page walks through all addresses over data whose names and values are hostile. Each screen is looked at light and
dark, wide and as a telephone shows it. The rules of axe are looked at where its script is (PENSTOCK_TEST_AXE, npm's
folder); ``.ci/browser`` gets it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.served import PASSWORD, Served
from tests.console.visits import DESKTOP, PHONE, Visits

HOSTILE = "<img src=x onerror=window.taken=1>"
LINK = "javascript:window.taken=1"
CSV = f"""id,{HOSTILE},address,amount
1,{HOSTILE},{LINK},0.1
2,"<script>window.taken=1</script>",{LINK},9007199254740993
3,&lt;b&gt;,data:text/html;{HOSTILE},-1
3,twice,none,2
"""
PIPELINE = {
    "name": "wild",
    "description": f"{HOSTILE} {LINK}",
    "collectors": [{"type": "csv", "file_path": "wild.csv"}],
    "processors": [
        {"type": "validator", "config": {
            "rules": [{"name": HOSTILE, "column": "amount", "check": "in_range", "min": 0}], "on_fail": "quarantine",
        }},
        {"type": "analyzer"},
    ],
    "schedule": {"cron": "0 6 * * *"},
}  # fmt: skip
SIDES = ("runs", "versions", "profile", "quarantine", "lineage", "access", "configuration")
SCREENS = {
    "pipelines": "/",
    **{f"pipeline, {side}": f"/pipelines/wild/{side}" for side in SIDES},
    "pipeline, two versions": "/pipelines/wild/versions?compare=2&with=1",
    "pipeline, old revision": "/pipelines/wild/configuration?revision=1",
    "pipeline, forms": "/pipelines/wild/configuration?view=forms",
    "run": "/runs/{run}",
    "failed run": "/runs/{failed}",
    "runs": "/runs",
    "tables": "/data",
    "data": "/data/wild",
    "data, a column": "/data/wild?filter=id%20%3E%200&filter=%22amount%22%20IS%20NOT%20NULL&panel=column&column=amount",
    "data, a row": "/data/wild?panel=row&row=2&cell=address",
    "data, columns": "/data/wild?panel=columns&columns=amount,id",
    "sql": "/sql?sql=SELECT%20*%20FROM%20wild",
    "sql, chart": "/sql?sql=SELECT%20*%20FROM%20wild&view=chart",
    "sql, lines": "/sql?sql=SELECT%20range%2C%20range%20%25%207%20AS%20rest%20FROM%20range(50)&view=chart",
    "sql, plan": "/sql?sql=FROM%20wild%20WHERE%20length(address)%20%3E%20%24least&view=timed&p.least=integer:1",
    "sql, saved query": "/sql?query=wild",
    "new pipeline": "/new",
    "new pipeline from a file": "/new?file=wild.csv",
    "files": "/files",
    "schedules": "/schedules",
    "keys": "/accounts/keys",
    "password": "/accounts/password",
    "users": "/accounts/users",
    "audit": "/accounts/audit",
    "system": "/system",
    "no such page": "/nowhere",
    "no such pipeline": "/pipelines/nowhere",
}
MISSING = {"no such pipeline"}
"""Screens of what is not there: the browser says, too, that a request got 404."""
TRAPPED = "Array.from(document.querySelectorAll('*')).filter((one) => one.matches('img[src=x]') || " \
          "/^(javascript|data):/i.test(one.getAttribute('href') ?? '')).map((one) => one.outerHTML)"  # fmt: skip
LEFT = """() => Array.from(document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]'))
  .filter((one) => one.tabIndex >= 0 && !one.disabled && one.type !== 'radio' && !('reached' in one.dataset) &&
    one.checkVisibility({ visibilityProperty: true })).map((one) => one.outerHTML.slice(0, 200))"""
STEP = """() => {
  const one = document.activeElement ?? document.body;
  const parts = Number(one.dataset.reached ?? 0);
  if (one === document.body || (parts > 0 && window.last !== one) || parts > 9) return false;
  window.last = one;
  one.dataset.reached = parts + 1;
  return true;
}"""
"""Notes where Tab has led to; a field for a time has several parts."""


@pytest.fixture(scope="module")
def made(served: Served) -> dict[str, str]:
    """Hostile data, and the ids of a run that stored a version and of one that failed."""
    served.http.put("/files/wild.csv", content=CSV).raise_for_status()
    served.json("POST", "/pipeline/create", status=201, json=PIPELINE)
    served.json("POST", "/pipeline/wild/execute?wait=60")
    served.json("PUT", "/pipeline/wild/config", json={**PIPELINE, "description": HOSTILE})
    served.http.put("/files/wild.csv", content=CSV + f"4,{LINK},{HOSTILE},7\n").raise_for_status()
    run = served.json("POST", "/pipeline/wild/execute?wait=60")
    broken = {"name": "broken", "collectors": [{"type": "csv", "file_path": "wild.csv"}],
              "processors": [{"type": "cleaner", "config": {"cast": {"address": {"type": "int64"}}}}]}  # fmt: skip
    served.json("POST", "/pipeline/create", status=201, json=broken)
    failed = served.http.post("/pipeline/broken/execute?wait=60").json()
    served.json("POST", "/keys", status=201, json={"name": HOSTILE, "role": "viewer"})
    parameters = {"least": {"type": "number", "default": 0, "description": HOSTILE}}
    served.json("PUT", "/queries/wild", status=201, json={
        "sql": "SELECT * FROM wild WHERE length(address) >= $least", "description": HOSTILE, "parameters": parameters,
    })  # fmt: skip
    listed = {"failed": served.json("GET", "/pipeline/broken/runs")["items"][0]["run_id"], "run": run["run_id"]}
    assert run["status"] == "completed", run
    assert "error" in failed, failed
    return listed


@pytest.fixture(scope="module")
def walk(chromium: Browser, served: Served, made: dict[str, str]) -> Iterator[tuple[Page, Visits]]:
    """The page that walks, and what was wrong on its way."""
    visits = Visits(chromium, served)
    yield visits.open(), visits
    visits.close()


@pytest.fixture(params=SCREENS)
def screen(request: pytest.FixtureRequest, walk: tuple[Page, Visits], made: dict[str, str]) -> Iterator[Page]:
    """A screen whose data are there; what was wrong in it fails the test in the end."""
    page, visits = walk
    visits.faults.clear()
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light")
    page.goto("/console" + SCREENS[request.param].format(**made))
    settle(page)
    yield page
    faults = [fault for fault in visits.faults if not (request.param in MISSING and "404" in fault)]
    assert faults == []


def settle(page: Page) -> None:
    expect(page.locator("main:not([aria-busy=true])")).to_have_count(1)
    expect(page.locator(".loading")).to_have_count(0)


def test_a_screen_is_for_everyone(screen: Page, axe: str | None) -> None:
    """One main part and a heading; all that can be used is reached by Tab; axe finds nothing serious; a telephone
    scrolls in one direction only."""
    expect(screen.get_by_role("main")).to_have_count(1)
    expect(screen.get_by_role("heading", level=1)).to_have_count(1)
    assert screen.title().endswith("Penstock")
    assert screen.evaluate(TRAPPED) == []
    assert unreached(screen) == []
    found = violations(screen, axe)
    screen.emulate_media(color_scheme="dark")
    found += violations(screen, axe, "color-contrast")
    screen.set_viewport_size(PHONE)
    found += violations(screen, axe)
    assert found == [], "\n".join(found)
    wide, room = screen.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room
    assert screen.evaluate("window.taken") is None


def unreached(page: Page) -> list[str]:
    """What Tab does not lead to. Parts that come while it walks are reached on the next way around."""
    left: list[str] = []
    for _ in range(3):
        page.locator("a[href], button, input").first.focus()
        while page.evaluate(STEP):
            page.keyboard.press("Tab")
        left = page.evaluate(LEFT)
        if not left:
            break
        page.evaluate("document.querySelectorAll('[data-reached]').forEach((one) => delete one.dataset.reached)")
    return left


@pytest.fixture(scope="session")
def axe() -> str | None:
    folder = os.environ.get("PENSTOCK_TEST_AXE")
    return (Path(folder) / "axe-core" / "axe.min.js").read_text() if folder is not None else None


def violations(page: Page, axe: str | None, *rules: str) -> list[str]:
    """What axe finds serious or critical: the rule, the element and why."""
    if axe is None:
        return []
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(axe)
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    answer = page.evaluate(f"axe.run(document, {json.dumps(options)})")
    return [
        f"{one['id']}: {node['html'][:200]} ({node['failureSummary'].splitlines()[-1].strip()})"
        for one in answer["violations"] if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]  # fmt: skip


def test_the_sign_in_is_for_everyone(visits: Visits, axe: str | None) -> None:
    page = visits.open(user=None)
    assert unreached(page) == []
    assert violations(page, axe) == []
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill("not " + PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page, axe) == []
    assert [fault for fault in visits.faults if "401" not in fault] == []
    visits.faults.clear()


def test_the_page_carries_its_policy(visits: Visits) -> None:
    answer = visits.open().request.get("/console/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.text().count("<script") == answer.text().count("<script type=") == 2
    assert "style=" not in answer.text()
