"""Versions are pinned, tagged and deleted over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from service.files import disk
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


def test_a_tag_stands_for_a_number_wherever_a_version_is_named(orders: Client) -> None:
    orders.post(f"{P}/versions/1/tag", json={"tag": "old"})
    orders.post(f"{P}/versions/2/tag", json={"tag": "stable"})
    assert orders.get(f"{P}/versions/stable").json()["version"] == 2
    assert orders.get(f"{P}/versions/stable/fitted").json()["version"] == 2
    assert orders.post(f"{P}/versions/stable/pin").json()["version"] == 2
    assert orders.post(f"{P}/versions/stable/tag", json={"tag": "other"}).json()["tags"] == ["other", "stable"]
    assert orders.post(f"{P}/apply?version=stable", json={"records": []}).status_code == 200
    assert orders.post(f"{P}/apply", json={"records": [], "version": "stable"}).status_code == 200
    differ = orders.post(f"{P}/apply?version=1", json={"records": [], "version": "stable"})
    assert (code(differ), "stable" in differ.json()["error"]["message"]) == ((400, "VALIDATION_ERROR"), True)
    assert orders.post(f"{P}/quarantine/replay", json={"version": "old"}).json()["replay_of"] == 1
    assert orders.post(f"{P}/quarantine/replay?version=stable").json()["replay_of"] == 2
    assert orders.post(f"{P}/versions/old/restore").status_code == 201


def test_the_etag_of_a_tag_changes_when_the_tag_moves(orders: Client) -> None:
    orders.post(f"{P}/versions/1/tag", json={"tag": "stable"})
    first = {path: orders.get(f"{P}/{path}").headers["etag"] for path in ("data?version=stable", "versions/stable")}
    orders.post(f"{P}/versions/2/tag", json={"tag": "stable"})
    for path, etag in first.items():
        again = orders.get(f"{P}/{path}", headers={"if-none-match": etag})
        assert (again.status_code, again.headers["etag"] == etag) == (200, False)


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "data?version=none", None, (404, "VERSION_NOT_FOUND")),
        ("GET", "versions/none", None, (404, "VERSION_NOT_FOUND")),
        ("GET", "versions/None", None, (404, "VERSION_NOT_FOUND")),
        ("GET", "versions/2/diff?against=none", None, (404, "VERSION_NOT_FOUND")),
        ("GET", "versions/none/diff", None, (404, "VERSION_NOT_FOUND")),
        ("POST", "apply?version=none", {"records": []}, (404, "VERSION_NOT_FOUND")),
        ("POST", "apply", {"records": [], "version": "none"}, (404, "VERSION_NOT_FOUND")),
        ("POST", "quarantine/replay?version=none", None, (404, "VERSION_NOT_FOUND")),
        ("POST", "versions/none/restore", None, (404, "VERSION_NOT_FOUND")),
        ("DELETE", "versions/none", None, (404, "VERSION_NOT_FOUND")),
        ("GET", "data?version=No!", None, (400, "VALIDATION_ERROR")),
        ("GET", "versions/2/diff?against=0", None, (400, "VALIDATION_ERROR")),
        ("POST", "apply", {"records": [], "version": "No!"}, (400, "VALIDATION_ERROR")),
        ("POST", "quarantine/replay?version=No!", None, (400, "VALIDATION_ERROR")),
    ],
)
def test_a_wrong_tag_is_named(
    orders: Client, method: str, path: str, body: dict[str, Any] | None, expected: tuple[int, str]
) -> None:
    answer = orders.request(method, f"{P}/{path}", json=body)
    assert code(answer) == expected
    error = answer.json()["error"]
    assert error["details"]["field"] == ("against" if "against=" in path else "version")
    assert "one'" in error["message"] or expected[0] == 400


def test_a_version_that_a_configuration_names_by_number_is_not_deleted(orders: Client, services: Services) -> None:
    reads = {"collectors": [{"type": "pipeline", "name": "orders", "version": 1}]}
    services.pipelines.create("copy", "copy", reads, None)
    refused = orders.delete(f"{P}/versions/1")
    assert code(refused) == (409, "VERSION_IN_USE")
    assert "'copy'" in refused.json()["error"]["message"]
    rule = {"column": "a", "check": "foreign_key", "pipeline": "orders", "to": "a", "version": 1}
    services.pipelines.update(
        "copy", "copy", {"processors": [{"type": "validator", "config": {"rules": [rule]}}]}, None
    )
    assert code(orders.delete(f"{P}/versions/1")) == (409, "VERSION_IN_USE")
    services.pipelines.update("copy", "copy", {"collectors": [{"type": "csv", "name": "orders", "version": 1}]}, None)
    assert orders.delete(f"{P}/versions/1").status_code == 204


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


def test_a_restore_that_failed_under_a_key_is_tried_again(
    orders: Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise disk.storage_full()

    key = {"idempotency-key": "a"}
    with monkeypatch.context() as patch:
        patch.setattr(services.history, "publish", full)
        assert code(orders.post(f"{P}/versions/1/restore", headers=key)) == (507, "STORAGE_FULL")
    assert numbers(orders) == [2, 1]
    again = orders.post(f"{P}/versions/1/restore", headers=key)
    assert (again.status_code, again.json()["version"], numbers(orders)) == (201, 3, [3, 2, 1])


def test_a_restore_that_was_committed_without_an_answer_answers_201(orders: Client, services: Services) -> None:
    made = orders.post(f"{P}/versions/1/restore", headers={"idempotency-key": "a"})
    services.store.execute("UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL")
    again = orders.post(f"{P}/versions/1/restore", headers={"idempotency-key": "a"})
    assert (again.status_code, again.json(), numbers(orders)) == (201, made.json(), [3, 2, 1])


def test_a_key_that_was_used_again_after_a_day_is_kept_for_a_day(orders: Client, services: Services) -> None:
    """Where nothing was made under it, only the answer is stored."""
    for _ in range(2):
        for replayed in (None, "true"):
            same = orders.post(f"{P}/versions/2/restore", headers={"idempotency-key": "a"})
            assert (same.status_code, same.headers.get("idempotency-replayed")) == (200, replayed)
        services.clock.advance(24 * 3600 + 1)  # type: ignore[attr-defined]
        orders.headers.update(bearer(services, "admin"))


def test_the_list_of_versions_shows_each_mark_at_once(orders: Client) -> None:
    def listed() -> list[tuple[int, bool, list[str]]]:
        return [(v["version"], v["pinned"], v["tags"]) for v in orders.get(f"{P}/versions").json()["items"]]

    assert listed()[-1] == (1, False, [])
    orders.post(f"{P}/versions/1/pin")
    assert listed()[-1] == (1, True, [])
    orders.post(f"{P}/versions/1/tag", json={"tag": "first"})
    assert listed()[-1] == (1, True, ["first"])
    orders.post(f"{P}/versions/1/unpin")
    assert listed()[-1] == (1, False, ["first"])
    tag = orders.get(f"{P}/versions").headers["etag"]
    assert orders.get(f"{P}/versions", headers={"If-None-Match": tag}).status_code == 304
    orders.post(f"{P}/execute")
    assert [number for number, _, _ in listed()] == [3, 2, 1]
    assert orders.get(f"{P}/versions", headers={"If-None-Match": tag}).status_code == 200
