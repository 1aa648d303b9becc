"""A browser for the session, a service for each module, and visits that fail where a page has a fault.

These need Playwright, whose greenlet does not fit the development environment: ``.ci/browser`` puts it beside.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.served import PASSWORD, Served, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.console.visits import Visits

if importlib.util.find_spec("playwright") is None:
    collect_ignore_glob = ["test_*.py"]

MANY = {"PENSTOCK_RATE_LIMIT_PER_MINUTE": "100000", "PENSTOCK_LOGIN_RATE_LIMIT_PER_MINUTE": "1000"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import expect

    from tests.console import visits

    expect.set_options(timeout=visits.PATIENCE)
    with visits.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An empty service for the tests of one module, and its API with the rights of an admin."""
    data = tmp_path_factory.mktemp("console") / "data"
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD, **MANY) as served:
        served.login()
        yield served


@pytest.fixture
def visits(chromium: Browser, served: Served) -> Iterator[Visits]:
    """Opens pages; what is wrong in one of them fails the test in the end."""
    from tests.console.visits import Visits

    visits = Visits(chromium, served)
    yield visits
    visits.close()
    assert visits.faults == []


@pytest.fixture
def page(visits: Visits) -> Page:
    """The first screen, signed in as an admin."""
    return visits.open()
