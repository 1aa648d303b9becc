"""Versions are pinned, tagged and deleted over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from tests.api.conftest import bearer

Client = TestClient[Litestar]
P = "/api/v1/pipeline/orders"


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def numbers(client: Client) -> list[int]:
    return [v["version"] for v in client.get(f"{P}/versions").json()["items"]]


def test_a_deleted_version_is_gone_and_its_number_is_not_used_again(orders: Client) -> None:
    answer = orders.delete(f"{P}/versions/1")
    assert (answer.status_code, answer.content) == (204, b"")
    assert numbers(orders) == [2]
    assert code(orders.get(f"{P}/versions/1")) == (404, "VERSION_NOT_FOUND")
    assert code(orders.delete(f"{P}/versions/1")) == (404, "VERSION_NOT_FOUND")
    assert orders.get(f"{P}/versions/2").json()["schema_changes"] == []
    assert orders.post(f"{P}/execute").json()["version"] == 3


@pytest.mark.parametrize("mark", ["pin", "tag", "newest"])
def test_a_version_in_use_is_not_deleted(orders: Client, mark: str) -> None:
    number = 2 if mark == "newest" else 1
    if mark == "pin":
        assert orders.post(f"{P}/versions/1/pin").json()["pinned"] is True
    if mark == "tag":
        assert orders.post(f"{P}/versions/1/tag", json={"tag": "stable"}).json()["tags"] == ["stable"]
    assert code(orders.delete(f"{P}/versions/{number}")) == (409, "VERSION_IN_USE")
    assert numbers(orders) == [2, 1]
    if mark == "pin":
        assert orders.post(f"{P}/versions/1/unpin").json()["pinned"] is False
        assert orders.delete(f"{P}/versions/1").status_code == 204


def test_a_tag_names_one_version(orders: Client) -> None:
    for number in (1, 2):
        assert orders.post(f"{P}/versions/{number}/tag", json={"tag": "stable"}).status_code == 200
    assert [v["tags"] for v in orders.get(f"{P}/versions").json()["items"]] == [["stable"], []]
    tag = orders.get(f"{P}/data?version=stable").headers["etag"]
    assert tag == orders.get(f"{P}/data?version=2").headers["etag"]
    for part in ("schema", "profile", "quarantine"):
        assert orders.get(f"{P}/{part}?version=stable").status_code == 200, part
    assert orders.delete(f"{P}/tags/stable").status_code == 204
    assert code(orders.delete(f"{P}/tags/stable")) == (404, "NOT_FOUND")
    assert code(orders.get(f"{P}/data?version=stable")) == (404, "VERSION_NOT_FOUND")


@pytest.mark.parametrize("tag", ["3", "Stable", "", "a" * 64, "a b", "\u0661"])
def test_what_cannot_be_a_tag_is_refused(orders: Client, tag: str) -> None:
    answer = orders.post(f"{P}/versions/1/tag", json={"tag": tag})
    assert code(answer) == (400, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"]["field"] == "tag"


def test_marks_need_a_version_and_a_role(orders: Client, services: Services) -> None:
    assert code(orders.post(f"{P}/versions/9/pin")) == (404, "VERSION_NOT_FOUND")
    assert code(orders.post(f"{P}/versions/9/tag", json={"tag": "a"})) == (404, "VERSION_NOT_FOUND")
    assert code(orders.delete(f"{P}/versions/1", headers=bearer(services, "operator"))) == (403, "FORBIDDEN")
    assert code(orders.post(f"{P}/versions/1/pin", headers=bearer(services, "viewer"))) == (403, "FORBIDDEN")


def test_the_etag_of_a_version_changes_with_its_marks(orders: Client) -> None:
    before = orders.get(f"{P}/versions/1").headers["etag"]
    orders.post(f"{P}/versions/1/pin")
    assert orders.get(f"{P}/versions/1").headers["etag"] != before


def test_a_restore_answers_the_new_version_or_the_newest(orders: Client) -> None:
    made = orders.post(f"{P}/versions/1/restore", headers={"idempotency-key": "a"})
    assert (made.status_code, made.json()["version"]) == (201, 3)
    assert made.headers["location"] == f"{P}/versions/3"
    again = orders.post(f"{P}/versions/1/restore", headers={"idempotency-key": "a"})
    assert (again.status_code, again.json()["version"]) == (201, 3)
    same = orders.post(f"{P}/versions/3/restore?state=true")
    assert (same.status_code, same.json()["version"]) == (200, 3)
    assert code(orders.post(f"{P}/versions/9/restore")) == (404, "VERSION_NOT_FOUND")
