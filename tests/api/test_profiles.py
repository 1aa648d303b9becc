"""The profile: for programs as JSON, for people as a page."""

from __future__ import annotations

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.kit import errors
from tests.api.doubles import Tasks

Client = TestClient[Litestar]
P = "/api/v1/pipeline/orders/profile"


@pytest.fixture(autouse=True)
def page(tasks: Tasks) -> None:
    tasks.content = b"<!doctype html>"


def test_a_page_is_drawn_once_a_version(orders: Client, tasks: Tasks) -> None:
    for _ in range(2):
        answer = orders.get(P, params={"format": "html", "version": 1})
        assert (answer.status_code, answer.text) == (200, "<!doctype html>")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "script" not in answer.headers["content-security-policy"]
    assert [(a.pipeline, a.version) for a in tasks.asked] == [("orders", 1)]
    orders.get(P, headers={"accept": "text/html, application/json;q=0.5"})
    assert [a.version for a in tasks.asked] == [1, 2]


def test_json_stays_the_default(orders: Client, tasks: Tasks) -> None:
    for headers in ({}, {"accept": "*/*"}, {"accept": "application/json"}):
        assert orders.get(P, headers=headers).json()["version"] == 2
    assert tasks.asked == []


def test_what_cannot_be_drawn(orders: Client, tasks: Tasks) -> None:
    answer = orders.get(P, params={"format": "htlm"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (406, "NOT_ACCEPTABLE")
    assert "did you mean 'html'" in answer.json()["error"]["message"]
    assert orders.get(P, headers={"accept": "image/png"}).status_code == 406
    tasks.failure = errors.Unavailable("busy", retry_after=5)
    answer = orders.get(P, params={"format": "html"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    tasks.failure = None  # a failure is not kept
    assert orders.get(P, params={"format": "html"}).status_code == 200
