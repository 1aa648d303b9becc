"""The root: a page for a browser, an index for programs."""

from __future__ import annotations

import pytest
from litestar import Litestar
from litestar.testing import TestClient

Client = TestClient[Litestar]


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
def test_programs_get_an_index(anonymous: Client, accept: str) -> None:
    answer = anonymous.get("/", headers={"accept": accept})
    assert answer.status_code == 200
    assert answer.json()["documentation"] == "/docs"
    assert all(
        anonymous.get(answer.json()[name]).status_code == 200
        for name in ("documentation", "guide", "openapi", "health")
    )


def test_browsers_get_a_page(anonymous: Client) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    answer = anonymous.get("/", headers={"accept": accept}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/")
    assert anonymous.get("/", headers={"accept": accept}).headers["content-type"].startswith("text/html")
