"""``GET /metrics``: open on loopback, with a token elsewhere; labels are templates, whatever is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.testing import TestClient
from litestar.types import Receive, Scope, Send
from prometheus_client.parser import text_string_to_metric_families

from service.api.services import Services
from service.kit.settings import Settings
from tests.api.conftest import bearer

Client = TestClient[Any]


@pytest.fixture
def here(app: Litestar) -> Iterator[Client]:
    """A client on the machine of the service."""

    async def on_loopback(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            scope["client"] = ("127.0.0.1", 1)
        await app(scope, receive, send)

    with TestClient(on_loopback, raise_server_exceptions=False) as client:
        yield client


def values(client: Client, name: str, *wanted: str) -> dict[tuple[str, ...], float]:
    """The samples of a metric, by the values of these labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.text)
    found = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sample.labels[label] for label in wanted): sample.value for sample in found}


def test_a_client_elsewhere_needs_a_token(anonymous: Client, services: Services) -> None:
    refused = anonymous.get("/metrics")
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    assert anonymous.get("/metrics", headers=bearer(services, "viewer")).status_code == 200


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Proto", "X-Client-IP"]
)
def test_a_proxy_on_the_machine_is_not_its_client(here: Client, header: str) -> None:
    assert here.get("/metrics").status_code == 200
    assert here.get("/metrics", headers={header: "127.0.0.1"}).status_code == 401


def test_requests_are_counted_by_the_template_of_their_route(here: Client, services: Services) -> None:
    for number in range(30):
        here.get(f"/api/v1/pipeline/p{number}/status", headers=bearer(services, "viewer"))
        here.get(f"/nothing/{number}")
    here.post("/health")
    found = values(here, "penstock_requests_total", "method", "route", "status")
    assert found == {
        ("GET", "/api/v1/pipeline/{name}/status", "404"): 30.0,
        ("GET", "(no route)", "404"): 30.0,
        ("POST", "(no route)", "405"): 1.0,
    }


class TestLimits:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(rate_limit_per_minute=3)

    def test_a_refused_request_is_counted_by_its_limit(self, here: Client, services: Services) -> None:
        codes = [here.get("/docs/guide").status_code for _ in range(5)]
        assert codes == [200] * 3 + [429] * 2
        answer = here.get("/metrics", headers=bearer(services, "viewer"))
        assert 'penstock_limits_hit_total{limit="requests",status="429"} 2.0' in answer.text
