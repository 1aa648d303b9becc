"""The console over HTTP: one page for all addresses, files to be kept for ever, and the overview that it reads."""

from __future__ import annotations

import re

from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from tests.api.conftest import a_pipeline, bearer

Client = TestClient[Litestar]


def test_each_address_answers_the_page(anonymous: Client) -> None:
    pages = [
        anonymous.get(f"/console{path}") for path in ("", "/", "/pipelines/orders/runs", "/data/x?filter=a%20%3E%201")
    ]
    assert {page.status_code for page in pages} == {200}
    assert len({page.content for page in pages}) == 1
    assert pages[0].headers["cache-control"] == "no-cache"
    assert "frame-ancestors 'none'" in pages[0].headers["content-security-policy"]


def test_its_files(anonymous: Client) -> None:
    page = anonymous.get("/console/")
    for path in re.findall(r'"(/console/assets/[^"]+)"', page.text):
        answer = anonymous.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-type"].split(";")[0] in ("text/javascript", "text/css", "image/svg+xml")
    missing = anonymous.get("/console/assets/app.000000000000.js")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "NOT_FOUND")


def test_the_overview(client: Client, services: Services) -> None:
    for name in ("orders", "customers"):
        assert client.post("/api/v1/pipeline/create", json=a_pipeline(name)).status_code == 201
    client.post("/api/v1/pipeline/orders/execute")
    found = client.get("/api/v1/overview", headers=bearer(services, "viewer")).json()
    assert found["total"] == 2
    assert [item["name"] for item in found["items"]] == ["customers", "orders"]
    idle, run = found["items"]
    assert (idle["status"], idle["recent_runs"], idle["recent_rows"], idle["version"]) == ("idle", [], [], None)
    assert (run["status"], run["version"]) == ("completed", 1)
    assert run["recent_rows"] == [run["rows"]]
    assert run["recent_runs"][0]["status"] == "completed"
    assert client.get("/api/v1/overview?limit=3").status_code == 400
