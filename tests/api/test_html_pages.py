"""``Accept: text/html`` gets a page of a run, a version and a difference; everybody else the JSON as before."""

from __future__ import annotations

import json
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api import examples
from tests.api.doubles import Tasks

Client = TestClient[Litestar]
P = "/api/v1/pipeline/orders"
PAGE = {"accept": "text/html"}
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
def addresses(orders: Client, tasks: Tasks) -> list[str]:
    tasks.content = json.dumps(examples.DIFF).encode()
    run_id = orders.get(f"{P}/versions/2").json()["run_id"]
    return [f"/api/v1/runs/{run_id}", f"{P}/versions/2", f"{P}/versions/2/diff"]


def test_each_has_both_forms(orders: Client, addresses: list[str]) -> None:
    for address in addresses:
        plain = orders.get(address)
        assert plain.headers["content-type"] == "application/json"
        assert "accept" in plain.headers["vary"].lower().split(", ")
        for headers in ({"accept": "*/*"}, {"accept": "application/json, text/html;q=0.9"}, {"accept": "image/png"}):
            assert orders.get(address, headers=headers).json() == plain.json()
        for headers in (PAGE, BROWSER):
            page = orders.get(address, headers=headers)
            assert page.status_code == 200, page.text
            assert page.headers["content-type"].startswith("text/html")
            assert "orders" in page.text
            assert "accept" in page.headers["vary"].lower().split(", ")
            assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_each_form_has_its_own_etag(orders: Client, addresses: list[str]) -> None:
    for address in addresses[1:]:
        plain, page = orders.get(address), orders.get(address, headers=PAGE)
        assert plain.headers["etag"].removeprefix("W/") != page.headers["etag"].removeprefix("W/")
        again = orders.get(address, headers={**PAGE, "if-none-match": page.headers["etag"]})
        assert (again.status_code, again.headers["etag"]) == (304, page.headers["etag"].removeprefix("W/"))
        assert orders.get(address, headers={**PAGE, "if-none-match": plain.headers["etag"]}).status_code == 200


def test_errors_stay_json(orders: Client) -> None:
    for address in ("/api/v1/runs/none", f"{P}/versions/99", f"{P}/versions/99/diff"):
        answer = orders.get(address, headers=PAGE)
        assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_the_description_names_both_forms(anonymous: Client) -> None:
    paths: dict[str, Any] = anonymous.get("/docs/openapi.json").json()["paths"]
    shown = {
        path for path, operations in paths.items()
        if set(operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {}))
        == {"application/json", "text/html"}
    }  # fmt: skip
    v1 = "/api/v1/pipeline/{name}"
    assert shown - {"/"} == {
        "/api/v1/runs/{run_id}", f"{v1}/versions/{{number}}", f"{v1}/versions/{{number}}/diff", f"{v1}/profile",
    }  # fmt: skip
