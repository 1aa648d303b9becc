"""The overview's memory: an answer is kept for those who see the same, and for no names that somebody made up."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.answer_cache import AnswerCache
from service.api.services import Services
from service.model.rights import Rights
from tests.api.conftest import a_pipeline, bearer

Client = TestClient[Litestar]
ROOT = Rights(username="root", role="admin")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Hashable]:
    """The keys under which answers are kept."""
    keys: list[Hashable] = []
    put = AnswerCache.put

    def note(self: AnswerCache, key: Hashable, *given: Any) -> None:
        keys.append(key)
        put(self, key, *given)

    monkeypatch.setattr(AnswerCache, "put", note)
    return keys


def names(client: Client, services: Services, who: str, query: str = "") -> list[str]:
    answer = client.get(f"/api/v1/overview{query}", headers=bearer(services, who))
    return [item["name"] for item in answer.json()["items"]]


def test_nobody_gets_what_was_kept_for_somebody_who_sees_more(anonymous: Client, services: Services) -> None:
    for name in ("open", "secret"):
        services.pipelines.create(name, name, a_pipeline(name), "cli")
    assert names(anonymous, services, "viewer") == ["open", "secret"]
    services.ownership.change("secret", ROOT, {"visibility": "private"})
    for _ in range(2):
        assert names(anonymous, services, "admin") == ["open", "secret"]
        assert names(anonymous, services, "viewer") == ["open"]
        assert names(anonymous, services, "viewer", "?pipelines=secret") == []


def test_names_that_somebody_made_up_are_not_kept(anonymous: Client, services: Services, kept: list[Hashable]) -> None:
    for number in range(3):
        assert names(anonymous, services, "viewer", f"?pipelines=made-up-{number}") == []
    assert kept == []
    assert names(anonymous, services, "viewer") == []
    assert len(kept) == 1
