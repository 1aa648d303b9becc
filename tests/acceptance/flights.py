"""A real ``penstock flight`` before a real service, with ADBC's driver and plain gRPC to call it."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from adbc_driver_flightsql import dbapi
from grpc import StatusCode

from service.flight import messages
from service.flight.statements import Statement
from tests.acceptance import documents, service
from tests.acceptance.served import PASSWORD, PATIENCE, Served, serving, upload_and_create

CITIES = [{"id": 1, "city": "Bern"}, {"id": 2, "city": "Rome"}, {"id": 3, "city": None}]


@contextlib.contextmanager
def serving_cities(data: Path) -> Iterator[Served]:
    """A service with a table, two accounts, and a single place for queries."""
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD, PENSTOCK_MAX_CONCURRENT_QUERIES="1") as running:
        running.login()
        upload_and_create(running)
        running.json("POST", "/pipeline/cities/execute?wait=60", json={})
        viewer = {"username": "viewer", "password": PASSWORD, "role": "viewer"}
        running.json("POST", "/users", status=201, json=viewer)
        yield running


class Flight:
    """A running ``penstock flight`` and the service behind it."""

    def __init__(self, process: subprocess.Popen[str], address: str, served: Served) -> None:
        self.process, self.address, self.served = process, address, served

    @property
    def token(self) -> str:
        return str(self.served.http.headers["authorization"]).removeprefix("Bearer ")

    def connect(self, **options: str) -> Any:
        """A connection of ADBC's DB-API."""
        given = options or {"username": "admin", "password": PASSWORD}
        return dbapi.connect(self.address, db_kwargs=given, autocommit=True)

    def call(self, method: str, kind: str, request: Any, token: str | None = None, seconds: float = PATIENCE) -> Any:
        """The answers to a call of gRPC, with the token of the admin by default; DoPut takes several requests."""
        channel = grpc.insecure_channel(self.address.removeprefix("grpc://"))  # takes messages of 4 MiB
        makes = {"GetFlightInfo": channel.unary_unary, "DoPut": channel.stream_stream}
        make = makes.get(method, channel.unary_stream)(
            f"/{messages.FLIGHT}.FlightService/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=messages.kind(kind).FromString,
        )
        headers = (("authorization", f"Bearer {token or self.token}"),)
        return make(request, metadata=headers, timeout=seconds)

    def rows(self, sql: str, seconds: float = PATIENCE) -> Any:
        """A DoGet of a statement."""
        handle = Statement(sql).handle
        ticket = messages.packed(messages.new("TicketStatementQuery", statement_handle=handle))
        return self.call("DoGet", "FlightData", messages.new("Ticket", ticket=ticket), seconds=seconds)

    @property
    def peak_bytes(self) -> int:
        """The most memory that the process had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) << 10


@contextlib.contextmanager
def flying(served: Served, *flags: str) -> Iterator[Flight]:
    """``penstock flight`` for a service; it is killed in the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "service", "flight", "--port", "0", "--url", served.address, *flags],
        env=service.clean_environment(PYTHONPATH=str(documents.ROOT)), cwd=served.data.parent,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield Flight(process, next(word for word in line.split() if word.startswith("grpc")), served)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def asked(cursor: Any, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    """The rows of a statement, by ADBC."""
    cursor.execute(sql, *parameters)
    found: list[dict[str, Any]] = cursor.fetch_arrow_table().to_pylist()
    return found


def status(call: Callable[[], Any]) -> StatusCode:
    """The status of a call that is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        list(call())
    code: StatusCode = caught.value.code()
    return code
