"""The stream of all changes: whom each is told, when it ends, and how many of them one caller has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api import streams
from service.api.services import Services
from service.catalog.changes import Change
from service.kit import errors
from service.kit.clock import FixedClock
from service.model.rights import Rights
from service.runs.change_feed import Batch, Position
from tests.api.conftest import a_pipeline, bearer

Client = TestClient[Litestar]
Play = Callable[..., None]
ROOT = Rights(username="root", role="admin")
HERE = Position("0123abcd", 1, 1)
SHARED, PRIVATE = (None, "shared"), (None, "private")


def batch(name: str, *audiences: Any, deleted: bool = False) -> Batch:
    change = Change(pipeline=name, changed=["runs"], deleted=deleted, run_id="run_1", status="failed")
    return Batch(HERE, [change], audiences={name: audiences})


@pytest.fixture
def play(services: Services, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Lets the feed tell these batches; what is no batch is called in between."""

    def play(*scenes: Any) -> None:
        async def follow(*_: Any) -> AsyncGenerator[Batch, None]:
            yield Batch(HERE, ())
            for scene in scenes:
                if isinstance(scene, Batch):
                    yield scene
                else:
                    await asyncio.to_thread(scene)

        monkeypatch.setattr(services.changes, "follow", follow)

    return play


def told(client: Client, services: Services, who: str) -> list[dict[str, Any]]:
    """The changes that somebody is told until the feed ends."""
    answer = client.get("/api/v1/events", headers=bearer(services, who))
    assert answer.status_code == 200
    frames = [frame.splitlines() for frame in answer.text.split("\n\n") if frame.startswith("id: ")]
    data = [msgspec.json.decode(lines[2].removeprefix("data: ")) for lines in frames]
    return [change for one in data for change in one.get("changes", ())]


def hide(services: Services, name: str) -> None:
    services.ownership.change(name, ROOT, {"visibility": "private"})


def test_each_hears_of_what_it_sees(anonymous: Client, services: Services, play: Play) -> None:
    for name in ("open", "secret"):
        services.pipelines.create(name, name, a_pipeline(name), "cli")
    hide(services, "secret")
    play(batch("open", SHARED), batch("secret", PRIVATE), batch("gone", PRIVATE, deleted=True))
    assert [one["pipeline"] for one in told(anonymous, services, "viewer")] == ["open"]
    assert [one["pipeline"] for one in told(anonymous, services, "admin")] == ["open", "secret", "gone"]


def test_who_saw_a_pipeline_hears_that_it_has_gone_and_nothing_else(
    anonymous: Client, services: Services, play: Play
) -> None:
    services.pipelines.create("orders", "orders", a_pipeline(), "cli")
    hide(services, "orders")
    play(batch("orders", SHARED, PRIVATE), batch("other", SHARED, deleted=True))
    gone = {"changed": ["pipeline"], "deleted": True, "run_id": None, "status": None}
    assert told(anonymous, services, "viewer") == [{"pipeline": name, **gone} for name in ("orders", "other")]


@pytest.mark.parametrize("end", ["disable", "demote", "log out", "expire"])
def test_a_stream_ends_with_the_right_to_it(
    anonymous: Client, services: Services, play: Play, clock: FixedClock, end: str
) -> None:
    services.pipelines.create("orders", "orders", a_pipeline(), "cli")
    ends: dict[str, Callable[[], Any]] = {
        "disable": lambda: services.users.change("operator", disabled=True),
        "demote": lambda: services.users.change("operator", role="viewer"),
        "log out": lambda: services.sessions.end(services.tokens.read(token).family),
        "expire": lambda: clock.advance(services.tokens.seconds),
    }
    headers = bearer(services, "operator")
    token = headers["authorization"].removeprefix("Bearer ")
    play(batch("orders", SHARED), ends[end], batch("orders", SHARED))
    assert anonymous.get("/api/v1/events", headers=headers).text.count("event: changed") == 1


def test_a_caller_has_so_many_streams_and_no_more(
    anonymous: Client, services: Services, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST", 2)
    found: list[Any] = []

    def another() -> None:
        found.append(anonymous.get("/api/v1/events", headers=bearer(services, "viewer")))

    play(another)
    answer = anonymous.get("/api/v1/events", headers=bearer(services, "viewer"))
    assert answer.status_code == 200
    refused = [one for one in found if one.status_code == 429]
    assert len(refused) == 1
    assert refused[0].json()["error"]["code"] == "RATE_LIMITED"
    assert anonymous.get("/api/v1/events", headers=bearer(services, "admin")).status_code == 200
    assert refused[0].headers["retry-after"] == "5"


def test_a_stream_that_nobody_begins_to_read_counts_no_more(services: Services) -> None:
    async def parts() -> AsyncGenerator[bytes, None]:
        yield b""

    class Request:
        scope = {"user": ROOT}

    request: Any = Request()
    open_ = streams.Streams()
    held = [open_.counted(request, parts()) for _ in range(streams.MOST)]
    with pytest.raises(errors.Throttled):
        open_.counted(request, parts())
    asyncio.run(held[0].aclose())
    held.append(open_.counted(request, parts()))
    held.clear()
    assert open_.counted(request, parts())
