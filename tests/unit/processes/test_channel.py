"""Messages arrive whole and in order however the bytes are cut, and a sender waits for a slow receiver."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from service.processes.channel import AsyncChannel, Channel

MESSAGES = [b"", b"a", b"bc" * 40_000, b"", b"d" * 100, b"e" * (3 << 20), b"f"]
WIRE = b"".join(struct.pack("!I", len(m)) + m for m in MESSAGES)


def run(act: Callable[[AsyncChannel, socket.socket], Awaitable[None]]) -> None:
    async def bounded() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        channel = await AsyncChannel.over(ours)
        async with asyncio.timeout(30):
            await act(channel, theirs)
        channel.close()
        theirs.close()

    asyncio.run(bounded())


@pytest.mark.parametrize("size", [1_013, 65_536, len(WIRE)])
def test_messages_arrive_whole_however_the_bytes_are_cut(size: int) -> None:
    async def act(channel: AsyncChannel, theirs: socket.socket) -> None:
        async def send() -> None:
            for at in range(0, len(WIRE), size):
                await asyncio.get_running_loop().sock_sendall(theirs, WIRE[at : at + size])
            theirs.shutdown(socket.SHUT_WR)

        sending = asyncio.create_task(send())
        assert [await channel.receive() for _ in MESSAGES] == MESSAGES
        assert await channel.receive() is None
        assert channel.has_ended
        await sending
        with pytest.raises(ConnectionError):
            await channel.send(b"more")

    run(act)


def test_a_header_and_a_message_may_be_cut_anywhere() -> None:
    async def act(channel: AsyncChannel, theirs: socket.socket) -> None:
        for at in range(len(wire := struct.pack("!I", 3) + b"abc" + struct.pack("!I", 0))):
            channel.data_received(wire[at : at + 1])
        assert [await channel.receive(), await channel.receive()] == [b"abc", b""]

    run(act)


def test_the_end_of_a_child_cuts_a_message_off() -> None:
    async def act(channel: AsyncChannel, theirs: socket.socket) -> None:
        theirs.send(struct.pack("!I", 10) + b"half")
        theirs.close()
        assert await channel.receive() is None

    run(act)


def test_a_message_is_not_lost_to_a_receiver_that_gives_up() -> None:
    async def act(channel: AsyncChannel, theirs: socket.socket) -> None:
        waiting = asyncio.create_task(channel.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        theirs.send(struct.pack("!I", 1) + b"a")
        assert await channel.receive() == b"a"

    run(act)


def test_nothing_is_read_while_many_bytes_wait() -> None:
    async def act(channel: AsyncChannel, theirs: socket.socket) -> None:
        message, sent = struct.pack("!I", 65_532) + bytes(65_532), 0

        async def send() -> None:
            nonlocal sent
            while sent < 400:
                await asyncio.get_running_loop().sock_sendall(theirs, message)
                sent += 1

        sending = asyncio.create_task(send())
        for _ in range(5_000):  # the loop has nothing else to do
            await asyncio.sleep(0)
        assert 0 < sent < 100
        for _ in range(400):
            assert await channel.receive() == message[4:]
        await sending

    run(act)


def test_a_sender_waits_for_a_slow_receiver() -> None:
    async def act(channel: AsyncChannel, theirs: socket.socket) -> None:
        large = bytes(8 << 20)
        sending = asyncio.create_task(channel.send(large))
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert not sending.done()
        left = len(large) + 4
        while left:
            left -= len(await asyncio.get_running_loop().sock_recv(theirs, 1 << 20))
        await sending

    run(act)


def test_a_child_reads_messages_that_came_together() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(theirs)
    ours.sendall(b"".join(struct.pack("!I", len(m)) + m for m in (b"", b"ab", b"c" * 50_000)))
    assert [channel.receive(), channel.receive(), channel.receive()] == [b"", b"ab", b"c" * 50_000]
    ours.sendall(struct.pack("!I", 5) + b"ha")
    ours.close()
    assert channel.receive() is None
    channel.close()
