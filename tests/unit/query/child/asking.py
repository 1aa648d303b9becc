"""The API's end of a query worker in a thread, and what is asked of it."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import msgspec

from service.processes import pipe
from service.processes.channel import Channel
from service.query import messages
from service.query.child.answers import Gone
from service.query.child.worker import QueryWorker
from service.query.messages import Resolved, SqlQuery
from service.sandbox import confinement
from service.sandbox.source import TableSource, WorkerSetup


class Api:
    """The API's end of a worker that runs in a thread."""

    def __init__(self, warehouse: Path, spill: Path, **setup: Any) -> None:
        ours, theirs = socket.socketpair()
        self._spill = spill
        self.channel = Channel(ours)
        order = WorkerSetup(str(warehouse), str(spill), 768 << 20, 200 << 20, 2, **setup)
        self.connection = confinement.open_connection(order)
        self.worker = QueryWorker(Channel(theirs), order, self.connection)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        try:
            while self.worker.answers_next():
                pass
        except Gone:
            pass
        finally:
            self.worker._channel.close()

    def tell(self, message: Any) -> None:
        self.channel.send(msgspec.msgpack.encode(message))

    def hear(self) -> tuple[bytes, bytes] | None:
        message = self.channel.receive()
        return None if message is None else (message[:1], message[1:])

    def ask(self, query: messages.Query, known: Resolved | None = None) -> tuple[Any, bool]:
        """The document or the error of a query, and whether the worker waits for another one."""
        self.tell(query)
        kind, payload = self.heard()
        if kind == messages.NEED:
            assert known is not None
            self.tell(known)
            kind, payload = self.heard()
        if kind == messages.FAILED:
            return msgspec.msgpack.decode(payload[1:]), payload[:1] == messages.FREE
        if kind == messages.HEAD:
            content = (self._spill / pipe.NAME).read_bytes()
            return content, self.heard() == (messages.DONE, messages.FREE)
        media_type, content, free = messages.opened(payload)
        return msgspec.json.decode(content) if media_type == "application/json" else content, free

    def heard(self) -> tuple[bytes, bytes]:
        message = self.hear()
        assert message is not None
        return message

    def close(self) -> None:
        self.channel.close()
        self._thread.join()
        self.connection.close()


ORDERS = TableSource("orders", "orders", 1, ["orders/v000001/part-0.parquet"], rows=2)
NATIVE = msgspec.structs.replace(ORDERS, native="orders/v000001/orders.duckdb", native_table="orders")
OTHER = TableSource("other", "other", 1, ["other.parquet"], rows=2)


def sql(statement: str, known: list[TableSource] | None = None, **options: Any) -> SqlQuery:
    resolved = Resolved(known) if known is not None else None
    return SqlQuery(statement, options.pop("format", "json"), options.pop("limit", 10), 1 << 20, 5.0, known=resolved,
                    **options)  # fmt: skip
