"""Many log-ins at once hash two passwords at a time, and everybody else is answered meanwhile."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from typing import Any

import httpx
import msgspec
import pytest

from service.api.app import create_app
from service.api.services import Services

LOG_INS = 200


def test_requirement_39_two_passwords_are_hashed_at_a_time(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    going, most, counted, may_end = 0, 0, threading.Lock(), threading.Event()

    def checked(username: str, password: str) -> None:
        nonlocal going, most
        with counted:
            going += 1
            most = max(most, going)
        may_end.wait(60)
        with counted:
            going -= 1

    monkeypatch.setattr(services.users, "log_in", checked)
    settings = msgspec.structs.replace(services.settings, login_rate_limit_per_minute=LOG_INS)
    transport = httpx.ASGITransport(create_app(dataclasses.replace(services, settings=settings)))  # type: ignore[arg-type]

    async def act() -> list[Any]:
        async with httpx.AsyncClient(transport=transport, base_url="http://x", timeout=60) as client:
            asked = [
                asyncio.create_task(client.post("/api/v1/auth/token", json={"username": f"u{n}", "password": "wrong"}))
                for n in range(LOG_INS)
            ]
            try:
                while going < 2:  # noqa: ASYNC110 - nobody tells of it
                    await asyncio.sleep(0)
                for path in ("/health", "/health/ready") * 5:
                    assert (await client.get(path)).status_code == 200
                assert (going, any(task.done() for task in asked)) == (2, False)
            finally:
                may_end.set()
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert asyncio.run(act()) == [401] * LOG_INS
    assert most == 2
