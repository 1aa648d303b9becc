"""``GET /health/ready`` is 503 while something is wrong, and says what; a check that hangs is made once."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
import threading
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.app import create_app
from service.api.readiness import Readiness
from service.api.services import Services
from service.catalog.leases import Lease
from service.files import disk
from service.kit import errors
from service.kit.clock import FixedClock

Client = TestClient[Litestar]


def checked(client: TestClient[Any], status: int) -> dict[str, str]:
    answer = client.get("/health/ready")
    assert answer.status_code == status, answer.text
    assert answer.json()["status"] == ("ready" if status == 200 else "not ready")
    return dict(answer.json()["checks"])


def failing(*_: Any) -> int:
    raise OSError(errno.EROFS, "Read-only file system", "/secret/place")


def test_requirement_24_a_fatal_error_of_the_catalog(
    client: Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checked(client, 200) == {"catalog": "ok", "disk": "ok", "workers": "ok"}
    monkeypatch.setattr(services.store, "_healthy", False)
    found = checked(client, 503)
    assert "only a restart" in found.pop("catalog")
    assert found == {"disk": "ok", "workers": "ok"}


def test_a_catalog_that_is_closed(client: Client, services: Services) -> None:
    services.store.close()
    assert checked(client, 503)["catalog"].startswith("failed: ")


def test_a_disk_that_cannot_be_written(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing)
    assert checked(client, 503)["disk"] == "failed: the data directory cannot be written (Read-only file system)"


def test_a_disk_with_room_for_little_more_than_the_probe(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "is_exhausted", lambda _: True)
    assert checked(client, 503)["disk"].startswith("full: ")


async def _never() -> bool:
    return False


def test_a_dead_forkserver(app: Any, client: Client, services: Services) -> None:
    app.bind(dataclasses.replace(services, workers_alive=_never))
    assert "starts workers" in checked(client, 503)["workers"]


def test_damaged_data_are_named(app: Any, client: Client, services: Services) -> None:
    app.bind(dataclasses.replace(services, condition=lambda: "damaged: orders@3"))
    assert checked(client, 503)["data"] == "damaged: orders@3"


def test_a_check_that_hangs_is_named_and_made_once(services: Services) -> None:
    goes_on, began = threading.Event(), []

    def hanging() -> str:
        began.append(1)
        goes_on.wait()
        return "ok"

    async def ask() -> list[dict[str, str]]:
        readiness = Readiness(dataclasses.replace(services, condition=hanging), seconds=0.2)
        try:
            found = [*await asyncio.gather(*(readiness.checks() for _ in range(20))), await readiness.checks()]
        finally:
            goes_on.set()
        patient = Readiness(dataclasses.replace(services, condition=hanging))
        return [*found, await patient.checks()]

    *hung, last = asyncio.run(ask())
    assert [found["data"] for found in hung] == ["no answer within 0.2 s"] * 21
    assert "data" not in last
    assert len(began) == 2


class Objects:
    """An object store that may be away."""

    away = False

    def check(self) -> None:
        if self.away:
            raise errors.Unavailable("the object store does not answer", code="STORE_UNAVAILABLE")


def test_an_object_store_that_does_not_answer(services: Services) -> None:
    objects = Objects()
    layout = dataclasses.replace(services.layout, objects=objects)  # type: ignore[arg-type]
    with TestClient(create_app(dataclasses.replace(services, layout=layout))) as client:
        assert checked(client, 200)["store"] == "ok"
        objects.away = True
        assert checked(client, 503)["store"] == "failed: the object store does not answer"
        objects.away = False
        assert checked(client, 200)["store"] == "ok"


def test_a_process_of_several_whose_lease_is_over_or_that_sees_nothing(
    services: Services, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = services.history
    lease = history.lease = Lease(services.store, clock, 15)
    monkeypatch.setattr(services.store, "shared", True, raising=False)
    with TestClient(create_app(services)) as client:
        assert checked(client, 200)["lease"] == "ok"
        clock.advance(16)
        assert checked(client, 503)["lease"].startswith("failed: the lease was renewed 16 s ago and holds for 15 s")
        lease.renew()
        assert checked(client, 200)["lease"] == "ok"
        monkeypatch.setattr(history.queue, "read_at", history.queue.read_at - 60)
        assert checked(client, 503)["lease"].startswith("failed: the queue of runs was read 6")
        monkeypatch.undo()
