"""Work for a client ends when the client goes away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service.api import disconnects
from service.kit import errors


class Client:
    """A client that sends its request, and disconnects when ``gone`` is set."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self._sent = False

    async def receive(self) -> Any:
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}


def test_the_result_and_the_error_of_work_come_through() -> None:
    async def work(value: int) -> int:
        if value < 0:
            raise errors.Invalid("negative")
        return value

    async def ask() -> None:
        client = Client()
        assert await disconnects.unless_gone(client.receive, work(3)) == 3
        with pytest.raises(errors.Invalid, match="negative"):
            await disconnects.unless_gone(client.receive, work(-1))

    asyncio.run(ask())


def test_work_is_cancelled_when_the_client_disconnects() -> None:
    ended: list[str] = []

    async def work(client: Client) -> None:
        try:
            client.gone.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def ask() -> None:
        client = Client()
        with pytest.raises(errors.Unavailable, match="disconnected"):
            await disconnects.unless_gone(client.receive, work(client))

    asyncio.run(ask())
    assert ended == ["cancelled"]


def test_nobody_listens_to_the_client_of_quick_work() -> None:
    async def receive() -> Any:
        raise AssertionError("listened")

    async def work() -> int:
        await asyncio.sleep(0)
        return 3

    assert asyncio.run(disconnects.unless_gone(receive, work())) == 3


def test_a_part_of_a_body_is_waited_for_without_more_ado() -> None:
    """A task for it costs two turns of the event loop."""

    async def scene() -> None:
        tasks = asyncio.all_tasks()

        async def receive() -> Any:
            return {"type": "http.request", "others": len(asyncio.all_tasks() - tasks)}

        hearing = disconnects.Hearing(receive, has_body=True)
        first: Any = await hearing()
        second: Any = await hearing()
        assert (first["type"], second["type"]) == ("http.request", "http.request")
        assert (first["others"], second["others"]) == (0, 1)

    asyncio.run(scene())


def test_a_message_that_nobody_waited_for_is_the_next_ones() -> None:
    """The server drops a message whose receiver is cancelled: a quick answer ended its stream before the first byte."""

    async def scene() -> None:
        arrived, kinds = asyncio.Event(), iter(["http.request", "http.disconnect", "http.disconnect"])

        async def receive() -> Any:
            kind = next(kinds)  # of a message that is lost if it is not waited for to the end
            await arrived.wait()
            return {"type": kind}

        hearing = disconnects.Hearing(receive)
        first = asyncio.ensure_future(hearing())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait({first})
        second = asyncio.ensure_future(hearing())
        arrived.set()
        assert (await second)["type"] == "http.request"
        assert (await hearing())["type"] == "http.disconnect"
        arrived.clear()
        waiting = asyncio.ensure_future(hearing())
        await asyncio.sleep(0)
        hearing.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(scene())
