"""The child that ends what attempts of runs left behind on the Spark cluster: its order and its answers."""

from __future__ import annotations

import msgspec

from service.kit import errors
from service.processes.channel import Channel


class Session(msgspec.Struct, frozen=True):
    """The session of one attempt of a run."""

    run_id: str
    attempt: int


class Order(msgspec.Struct, frozen=True):
    """The sessions that are to end, and the URL of their server."""

    url: str
    sessions: list[Session]


class Interrupted(msgspec.Struct, frozen=True, tag=True):
    """What a session executed is interrupted, if it executed anything."""

    session: Session
    operations: int


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The server could not be asked."""

    error: errors.Body


def work(channel: Channel, order: bytes) -> None:
    """Interrupt every session and say so, then close them: a server may take its time over that."""
    from service.engine.spark.sessions import Left

    wanted = decode_order(order)
    left = []
    try:
        for session in wanted.sessions:
            one = Left(wanted.url, session.run_id, session.attempt)
            channel.send(encode(Interrupted(session, one.interrupt())))
            left.append(one)
    except errors.PenstockError as error:
        channel.send(encode(Failed(error.as_body())))
        return
    for one in left:
        one.release()


_orders = msgspec.msgpack.Decoder(Order)
_answers: msgspec.msgpack.Decoder[Interrupted | Failed] = msgspec.msgpack.Decoder(Interrupted | Failed)


def encode(message: Order | Interrupted | Failed) -> bytes:
    return msgspec.msgpack.encode(message)


def decode_order(data: bytes) -> Order:
    return _orders.decode(data)


def decode_answer(data: bytes) -> Interrupted | Failed:
    return _answers.decode(data)
