"""ETags: every GET whose answer a version or a revision decides has one, and answers 304 to it."""

from __future__ import annotations

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.app import create_app
from service.api.services import Services
from tests.api.conftest import a_pipeline
from tests.api.doubles import Engine, Tasks
from tests.api.route_list import routes

Client = TestClient[Litestar]
P = "/api/v1/pipeline/orders"

OF_A_VERSION = [
    "data",
    "schema",
    "profile",
    "profile?format=html",
    "versions/2",
    "versions/2/diff",
    "versions/2/fitted",
    "quarantine",
    "versions",
    "lineage",
]
READS = [*(f"{P}/{part}" for part in [*OF_A_VERSION, "config"]), "/api/v1/tables/orders", "/api/v1/tables"]
CHANGING = {  # what is read at these paths changes without a new version or revision
    "/api/v1/pipeline", "/api/v1/pipeline/{name}/runs",
    "/api/v1/pipeline/{name}/stats", "/api/v1/pipeline/{name}/status",
    "/api/v1/pipeline/{name}/notifications", "/api/v1/pipeline/{name}/revisions",
}  # fmt: skip
OF_KEYED_VERSIONS = {"/api/v1/pipeline/{name}/rows/{key}"}  # test_lookups has its ETags


@pytest.fixture(autouse=True)
def _traced(tasks: Tasks) -> None:
    tasks.content = b'{"columns": null, "why": "nothing to trace"}'


@pytest.mark.parametrize("path", READS)
def test_a_read_of_a_version_answers_304_to_its_etag(orders: Client, path: str) -> None:
    first = orders.get(path)
    tag = first.headers["etag"]
    assert (first.status_code, first.headers["cache-control"]) == (200, "private, no-cache")
    for given in (tag, f'"x", W/{tag}', "*"):
        same = orders.get(path, headers={"if-none-match": given})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert orders.get(path, headers={"if-none-match": '"other"'}).content == first.content


@pytest.mark.parametrize("part", ["data", "schema", "profile", "quarantine"])
def test_a_new_version_has_another_etag(orders: Client, engine: Engine, part: str) -> None:
    tag = orders.get(f"{P}/{part}").headers["etag"]
    assert orders.get(f"{P}/{part}?version=2").headers["etag"] == tag
    assert orders.get(f"{P}/{part}?version=1").headers["etag"] != tag
    orders.post(f"{P}/execute")
    assert orders.get(f"{P}/{part}", headers={"if-none-match": tag}).status_code == 200


def test_each_route_and_format_has_its_own_etag(orders: Client) -> None:
    paths = [
        *READS,
        f"{P}/versions?limit=1",
        f"{P}/data?format=csv",
        f"{P}/data?limit=1",
        f"{P}/quarantine?limit=1",
        "/api/v1/tables/orders@1",
    ]
    assert len({orders.get(path).headers["etag"] for path in paths}) == len(paths)


def test_a_new_revision_has_another_etag(orders: Client) -> None:
    tag = orders.get(f"{P}/config").headers["etag"]
    changed = orders.put(f"{P}/config", json=a_pipeline(description="new"), headers={"if-match": tag})
    assert changed.status_code == 200
    answer = orders.get(f"{P}/config", headers={"if-none-match": tag})
    assert (answer.status_code, answer.headers["etag"]) == (200, changed.headers["etag"])
    assert orders.get(f"{P}/config?revision=1", headers={"if-none-match": tag}).status_code == 304


def test_the_same_number_of_another_run_has_another_etag(services: Services, orders: Client) -> None:
    tag = orders.get(f"{P}/schema?version=1").headers["etag"]
    assert orders.delete(f"{P}?purge=true").status_code == 200
    assert orders.post("/api/v1/pipeline/create", json=a_pipeline()).status_code == 201
    orders.post(f"{P}/execute")
    assert orders.get(f"{P}/schema?version=1", headers={"if-none-match": tag}).status_code == 200


def test_what_does_not_exist_is_not_a_304(orders: Client) -> None:
    for path in (f"{P}/schema?version=9", f"{P}/versions/9", "/api/v1/tables/nothing", f"{P}/config?revision=9"):
        assert orders.get(path, headers={"if-none-match": "*"}).status_code == 404


def test_every_read_of_a_pipeline_or_table_is_listed_here(services: Services) -> None:
    """A new GET below these paths has an ETag, or is one that changes without a version."""
    paths = {
        p
        for m, p, _ in routes(create_app(services))
        if m == "GET" and p.startswith(("/api/v1/pipeline", "/api/v1/tables"))
    }
    tested = {
        path.partition("?")[0]
        .replace("/orders", "/{name}")
        .replace("/2", "/{number}")
        .replace("tables/{name}", "tables/{table}")
        for path in READS
    }
    assert paths - CHANGING - OF_KEYED_VERSIONS == tested
