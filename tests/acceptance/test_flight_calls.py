"""Flight SQL where a driver would not go: wrong messages, calls that are left, who does not read; and the process."""

from __future__ import annotations

import asyncio
import functools
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.ipc as ipc
import pytest
from adbc_driver_flightsql import DatabaseOptions
from adbc_driver_manager import OperationalError
from grpc import StatusCode
from pyarrow import lib

from service.client.relay import Party, Relay
from service.flight import messages, metadata
from service.flight.metadata import Metadata
from service.flight.statements import Statement
from tests.acceptance import documents, service
from tests.acceptance.flights import CITIES, Flight, asked, flying, serving_cities, status
from tests.acceptance.served import PASSWORD, PATIENCE, Served, upload_and_create

new_stream: Any = ipc.new_stream  # pyarrow ships no types
ENDLESS = "SELECT count(*) AS n FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"
STALL = 2
FREE = 20.0  # seconds for what waits for a place; a query that goes on holds it for 30


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_cities(tmp_path_factory.mktemp("flight") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def flight(served: Served) -> Iterator[Flight]:
    with flying(served, "--stall-seconds", f"{STALL}") as running:
        yield running


def test_wrong_messages_are_refused(flight: Flight) -> None:
    def ticket(content: bytes) -> Callable[[], Any]:
        return lambda: flight.call("DoGet", "FlightData", messages.new("Ticket", ticket=content))

    def put(*data: Any) -> Callable[[], Any]:
        return lambda: flight.call("DoPut", "PutResult", iter(data))

    wrong = messages.packed(messages.new("TicketStatementQuery", statement_handle=b"forged"))
    assert status(ticket(b"")) is StatusCode.INVALID_ARGUMENT
    assert status(ticket(wrong)) is StatusCode.INVALID_ARGUMENT
    bind = messages.new("CommandPreparedStatementQuery", prepared_statement_handle=Statement("SELECT ?").handle)
    descriptor = messages.new("FlightDescriptor", type=2, cmd=messages.packed(bind))
    assert status(put()) is StatusCode.INVALID_ARGUMENT
    assert status(put(messages.new("FlightData", flight_descriptor=descriptor))) is StatusCode.INVALID_ARGUMENT
    garbage = messages.new("FlightData", flight_descriptor=descriptor, data_header=b"garbage", data_body=b"x")
    assert status(put(garbage)) is StatusCode.INVALID_ARGUMENT
    sink = lib.BufferOutputStream()
    schema = lib.schema([("x", lib.string())])
    with new_stream(sink, schema, options=lib.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(lib.table({"x": ["x" * (1 << 20)]}))
    read = [
        (m.metadata.to_pybytes(), m.body.to_pybytes() if m.body else b"")
        for m in lib.MessageReader.open_stream(sink.getvalue())
    ]
    bomb = [messages.new("FlightData", flight_descriptor=descriptor, data_header=h, data_body=b) for h, b in read]
    assert status(put(*bomb)) is StatusCode.INVALID_ARGUMENT
    half = messages.new("FlightData", flight_descriptor=descriptor, data_header=b"h", data_body=b"x" * 600_000)
    assert status(put(half, half)) is StatusCode.INVALID_ARGUMENT
    whole = messages.new("FlightData", flight_descriptor=descriptor, data_body=b"x" * (1 << 20))
    assert status(put(whole)) is StatusCode.RESOURCE_EXHAUSTED
    for kind, expected in (
        ("CancelQuery", StatusCode.UNIMPLEMENTED),
        ("ClosePreparedStatement", StatusCode.INVALID_ARGUMENT),
    ):
        action = messages.new("Action", type=kind, body=b"x")
        assert status(functools.partial(flight.call, "DoAction", "Result", action)) is expected


def test_tables_are_read_page_by_page(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["cities", "towns", "villages"]
    for name in names[1:]:
        upload_and_create(served, name)
        served.json("POST", f"/pipeline/{name}/execute?wait=60", json={})
    monkeypatch.setattr(metadata, "_PAGE", 1)

    async def listed() -> Any:
        relay = Relay(served.address, seconds=PATIENCE, connections=1)
        try:
            command = messages.new("CommandGetTables", table_types=["TABLE"])
            token = str(served.http.headers["authorization"]).removeprefix("Bearer ")
            return await Metadata(relay).answer("CommandGetTables", command, Party(token))
        finally:
            await relay.close()

    assert asyncio.run(listed()).column("table_name").to_pylist() == names


def test_columns_are_known_without_executing(flight: Flight) -> None:
    command = messages.packed(messages.new("CommandStatementQuery", query=ENDLESS))
    descriptor = messages.new("FlightDescriptor", type=2, cmd=command)
    info = flight.call("GetFlightInfo", "FlightInfo", descriptor, seconds=FREE)
    assert lib.read_schema(lib.py_buffer(info.schema)) == lib.schema([("n", lib.int64())])


# who goes away, and who does not read


def test_a_call_that_ends_early_ends_its_query(flight: Flight) -> None:
    assert status(lambda: flight.rows(ENDLESS, seconds=1)) is StatusCode.DEADLINE_EXCEEDED
    assert len(list(flight.rows("SELECT 1", seconds=FREE))) == 2  # before its first row
    call = flight.rows("SELECT range, repeat('x', 1000) AS text FROM range(1000000)")
    next(call)
    call.cancel()
    assert len(list(flight.rows("SELECT 1", seconds=FREE))) == 2  # and after it the single place is free again


@pytest.mark.slow
def test_who_does_not_read_is_cut_off(flight: Flight) -> None:
    call = flight.rows("SELECT range, repeat('x', 1000) AS text FROM range(1000000)")
    next(call)
    assert len(list(flight.rows("SELECT 1", seconds=FREE))) == 2  # what is not read holds no place
    time.sleep(2 * STALL)  # only reading would tell that it is over
    assert status(lambda: call) is StatusCode.DEADLINE_EXCEEDED


def test_one_user_does_not_take_all_calls(flight: Flight, served: Served) -> None:
    ended: queue.Queue[Any] = queue.Queue()
    over = threading.Event()

    def silent() -> Iterator[Any]:
        over.wait()
        yield from ()

    calls = [flight.call("DoPut", "PutResult", silent()) for _ in range(40)]
    for call in calls:
        call.add_done_callback(ended.put)
    refused = [ended.get(timeout=PATIENCE) for _ in range(8)]
    assert {(call.code(), "at most 32 calls" in call.details()) for call in refused} == {
        (StatusCode.RESOURCE_EXHAUSTED, True)
    }
    pair = served.json("POST", "/auth/token", json={"username": "viewer", "password": PASSWORD})
    actions = flight.call("ListActions", "ActionType", messages.new("Empty"), token=pair["access_token"])
    assert len(list(actions)) == 2
    for call in calls:
        call.cancel()
    over.set()


# the process


def test_it_ends_when_it_is_asked_to(served: Served) -> None:
    with flying(served) as running:
        with running.connect() as connection, connection.cursor() as cursor:
            assert asked(cursor, "SELECT 1 AS one") == [{"one": 1}]
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 0


@pytest.mark.slow
def test_a_reader_does_not_keep_it_from_ending(served: Served) -> None:
    with flying(served) as running:
        call = running.rows("SELECT range, repeat('x', 1000) AS text FROM range(1000000)")
        next(call)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE) == 0
        assert status(lambda: call) in (StatusCode.CANCELLED, StatusCode.UNAVAILABLE)


def test_a_service_that_is_not_there(served: Served) -> None:
    port = service.free_port()
    with flying(served, "--url", f"http://127.0.0.1:{port}") as running:
        with pytest.raises(OperationalError, match="the service cannot be reached"):
            running.connect()
        taken = running.address.rpartition(":")[2]
        again = service.penstock("flight", "--port", taken)
        assert (again.returncode, "PORT_IN_USE" in again.stderr) == (4, True)


class Stranger(BaseHTTPRequestHandler):
    """A server that is not Penstock."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_a_service_that_is_another(served: Served) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        try:
            with flying(served, "--url", f"http://127.0.0.1:{stranger.server_port}") as running:
                assert status(lambda: running.rows("SELECT 1")) is StatusCode.UNAVAILABLE
        finally:
            stranger.shutdown()


def test_tls(served: Served, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
               "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
               "-keyout", str(key), "-out", str(certificate)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    with flying(served, "--tls-certificate", str(certificate), "--tls-key", str(key)) as running:
        trusted = {
            "username": "admin",
            "password": PASSWORD,
            DatabaseOptions.TLS_ROOT_CERTS.value: certificate.read_text(),
        }
        with running.connect(**trusted) as connection, connection.cursor() as cursor:
            assert asked(cursor, "FROM cities ORDER BY id") == CITIES
        with pytest.raises(OperationalError, match="certificate"):
            running.connect(username="admin", password=PASSWORD)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--tls-key", "key.pem"], "give both"),
        (["--tls-key", "nowhere.pem", "--tls-certificate", "nowhere.pem"], "nowhere.pem cannot be read"),
    ],
)
def test_wrong_flags(flags: list[str], message: str) -> None:
    ended = service.penstock("flight", *flags)
    assert (ended.returncode, message in ended.stderr) == (2, True)


def test_without_the_extra_it_says_how_to_install_it(tmp_path: Path) -> None:
    program = "import sys; sys.modules['grpc'] = None; from service.__main__ import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program, "flight"], capture_output=True, text=True, cwd=tmp_path, check=False,
        env=service.clean_environment(PYTHONPATH=str(documents.ROOT)), timeout=PATIENCE,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "pip install 'penstock[flight]'" in ended.stderr
