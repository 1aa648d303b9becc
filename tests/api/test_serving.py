"""What was fitted, and a version applied to records: what is asked of the child, and what is refused before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from service.jobs.application import ApplyRequest
from service.kit import errors
from tests.api.conftest import a_pipeline, bearer
from tests.api.doubles import Tasks

Client = TestClient[Litestar]
P = "/api/v1/pipeline/orders"


@pytest.fixture
def orders(orders: Client, tasks: Tasks) -> Client:
    """Revision 2 of the pipeline has made no version yet."""
    orders.put(f"{P}/config", json=a_pipeline(description="another"))
    tasks.content = b'{"version":2,"data":[]}'
    return orders


def test_what_was_fitted(orders: Client) -> None:
    assert orders.get(f"{P}/versions/2/fitted").json() == {
        "pipeline": "orders", "version": 2, "revision": 1,
        "fitted": {"processors[0]": {"type": "cleaner", "parameters": {"least": 1.5}}},
    }  # fmt: skip
    assert orders.get(f"{P}/versions/9/fitted").json()["error"]["code"] == "VERSION_NOT_FOUND"
    assert orders.get(f"{P}/versions/x/fitted").json()["error"]["code"] == "VERSION_NOT_FOUND"


def asked_by(tasks: Tasks) -> list[ApplyRequest]:
    return [request for _, _, request in tasks.asked]


def test_records_go_to_a_child_as_they_came(orders: Client, tasks: Tasks, services: Services) -> None:
    orders.headers.update(bearer(services, "viewer"))
    answer = orders.post(
        f"{P}/apply", content=b'{"records": [ {"a": 1.50} ]}', headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()) == (200, {"version": 2, "data": []})
    assert (answer.headers["penstock-version"], answer.headers["penstock-dropped"]) == ("2", "3")
    ((version, document, asked),) = tasks.asked
    assert (version, asked) == (2, ApplyRequest(records=b'[ {"a": 1.50} ]'))
    assert document == a_pipeline()  # of the version's revision, not the newest


@pytest.mark.parametrize(
    ("media", "query", "accept", "wanted"),
    [
        ("application/x-ndjson", "", "application/x-ndjson", ("ndjson", "ndjson", None)),
        ("application/jsonl; charset=utf-8", "?index=row", None, ("ndjson", "json", "row")),
        ("application/vnd.apache.arrow.stream", "?format=arrow&version=2", "text/csv", ("arrow", "arrow", None)),
        ("application/vnd.apache.arrow.stream", "", "application/vnd.apache.arrow.stream", ("arrow", "arrow", None)),
    ],
)
def test_records_come_and_go_in_other_formats(
    orders: Client, tasks: Tasks, media: str, query: str, accept: str | None, wanted: tuple[Any, ...]
) -> None:
    headers = {"content-type": media, **({"accept": accept} if accept else {})}
    answer = orders.post(f"{P}/apply{query}", content=b"any bytes", headers=headers)
    assert answer.status_code == 200
    (asked,) = asked_by(tasks)
    assert (asked.given, asked.wanted, asked.index, asked.records) == (*wanted, b"any bytes")
    media_type = {"json": "application/json", "ndjson": "application/x-ndjson"}.get(wanted[1], media)
    assert answer.headers["content-type"].startswith(media_type)


def test_formats_that_rows_are_not_applied_in(orders: Client, tasks: Tasks) -> None:
    for query, accept in (("?format=csv", None), ("?format=parquet", None), ("", "text/csv")):
        answer = orders.post(f"{P}/apply{query}", json={"records": []}, headers={"accept": accept or "*/*"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (406, "NOT_ACCEPTABLE")
    assert orders.post(f"{P}/apply?index=", json={"records": []}).status_code == 400
    large = orders.post(f"{P}/apply", content=b"x" * 30_000, headers={"content-type": "application/x-ndjson"})
    assert large.status_code == 413
    assert tasks.asked == []


def test_the_version_may_be_named_as_elsewhere(orders: Client, tasks: Tasks) -> None:
    for answer in (
        orders.post(f"{P}/apply?version=2", json={"records": []}),
        orders.post(f"{P}/apply?version=2", json={"records": [], "version": 2}),
    ):
        assert answer.status_code == 200
    assert [version for version, _, _ in tasks.asked] == [2, 2]
    for wrong in ("version=9", "version=0", "version=null", "versions=2"):
        assert orders.post(f"{P}/apply?{wrong}", json={"records": []}).status_code in (400, 404)
    differing = orders.post(f"{P}/apply?version=1", json={"records": [], "version": 2})
    assert (differing.status_code, differing.json()["error"]["details"]["field"]) == (400, "version")


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"recods": []}, 400, "VALIDATION_ERROR", "recods"),
        ({"records": [], "version": "2"}, 400, "VALIDATION_ERROR", "version"),
        ({"records": [], "version": 0}, 400, "VALIDATION_ERROR", "version"),
        ({"records": [], "version": 9}, 404, "VERSION_NOT_FOUND", "version"),
        ({"records": [], "version": 1}, 404, "NO_DATA", "version"),
        ([], 400, "VALIDATION_ERROR", "body"),
    ],
)
def test_what_is_refused(orders: Client, tasks: Tasks, body: Any, status: int, code: str, field: str) -> None:
    answer = orders.post(f"{P}/apply", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"].get("field")) == (status, code, field)
    assert tasks.asked == []


def test_what_the_child_refuses(orders: Client, tasks: Tasks) -> None:
    tasks.failure = errors.Invalid("records[3].price: is missing", field="records[3].price")
    answer = orders.post(f"{P}/apply", json={"records": [{}]})
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (400, "records[3].price")


def test_bodies_that_are_no_json(orders: Client, tasks: Tasks) -> None:
    for text in (b'{"records": [nope]}', b"", b'{"records": ' + b"[" * 100_000):
        answer = orders.post(f"{P}/apply", content=text[:19_000], headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_JSON")
    answer = orders.post(f"{P}/apply", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415
    large = msgspec.json.encode({"records": [{"a": "x" * 30_000}]})
    answer = orders.post(f"{P}/apply", content=large, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert tasks.asked == []


def test_nothing_was_stored_yet(client: Client) -> None:
    client.post("/api/v1/pipeline/create", json=a_pipeline())
    assert client.post(f"{P}/apply", json={"records": []}).json()["error"]["code"] == "NO_DATA"
    assert client.post("/api/v1/pipeline/other/apply", json={"records": []}).status_code == 404
