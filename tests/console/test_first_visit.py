"""A first visit: the demo's link signs in without a password, once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.acceptance.demo_service import Demo, demo


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("demo")) as shown:
        yield shown


def test_the_link_opens_the_pipelines_once(chromium: Browser, shown: Demo) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(shown.link)
    expect(page.get_by_role("link", name="shop", exact=True)).to_be_visible()
    assert page.url == f"{shown.address}/console/"
    page.reload()  # the session is the browser's now
    expect(page.get_by_role("link", name="shop", exact=True)).to_be_visible()
    page.goto("about:blank")
    page.goto(shown.link)
    expect(page.get_by_role("link", name="shop", exact=True)).to_be_visible()
    context.close()
    other = chromium.new_context()
    page = other.new_page()
    page.goto(shown.link)
    expect(page.get_by_role("alert")).to_contain_text("was used already")
    expect(page.get_by_role("alert")).to_contain_text("penstock demo --serve")
    expect(page.get_by_label("Password")).to_be_visible()
    assert page.url == f"{shown.address}/console/"
    other.close()
