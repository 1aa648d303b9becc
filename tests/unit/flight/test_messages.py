"""The messages of Flight and Flight SQL: their bytes are those that Arrow's own Flight writes and reads."""

from __future__ import annotations

from typing import Any

import pyarrow.flight
import pytest
from pyarrow import lib

from service.flight import messages

flight: Any = pyarrow.flight  # pyarrow ships no types


def test_a_flight_info_is_one_that_arrow_reads() -> None:
    schema = lib.schema([("id", lib.int64()), ("city", lib.string())])
    ticket = messages.packed(messages.new("TicketStatementQuery", statement_handle=b"\x00handle"))
    endpoint = messages.new("FlightEndpoint", ticket=messages.new("Ticket", ticket=ticket))
    descriptor = messages.kind("FlightDescriptor").FromString(flight.FlightDescriptor.for_command(b"c").serialize())
    written = messages.new(
        "FlightInfo", schema=schema.serialize().to_pybytes(), flight_descriptor=descriptor, endpoint=[endpoint],
        total_records=-1, total_bytes=-1,
    )  # fmt: skip
    read = flight.FlightInfo.deserialize(written.SerializeToString())
    assert read.schema == schema
    assert read.descriptor == flight.FlightDescriptor.for_command(b"c")
    assert [found.ticket.ticket for found in read.endpoints] == [ticket]
    assert (read.total_records, read.total_bytes) == (-1, -1)


def test_what_arrow_writes_is_read() -> None:
    action = flight.Action("CreatePreparedStatement", b"body")
    read = messages.kind("Action").FromString(action.serialize())
    assert (read.type, read.body) == (action.type, b"body")
    assert messages.kind("Ticket").FromString(flight.Ticket(b"t").serialize()).ticket == b"t"


def test_the_body_of_data_has_its_number() -> None:
    data = messages.new("FlightData", data_header=b"h", data_body=b"body").SerializeToString()
    assert data == b"\x12\x01h" + b"\xc2\x3e\x04body"  # field 2; field 1000 is 8002 as a varint


def test_commands_travel_with_their_type() -> None:
    sent = messages.packed(messages.new("CommandGetTables", catalog="", table_types=["TABLE"], include_schema=True))
    assert b"type.googleapis.com/arrow.flight.protocol.sql.CommandGetTables" in sent
    name, read = messages.unpacked(sent)
    assert name == "CommandGetTables"
    assert (read.HasField("catalog"), read.catalog, read.HasField("table_name_filter_pattern")) == (True, "", False)
    assert (list(read.table_types), read.include_schema) == (["TABLE"], True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xff",
        b"CREATE TABLE",
        b"\n\x03abc",
        messages.packed(messages.new("Ticket", ticket=b"t")),
        b"\n4type.googleapis.com/arrow.flight.protocol.sql.Nothing",
        messages.packed(messages.new("CommandGetTables", catalog="x"))[:-1] + b"\xff",
    ],
)
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"Flight SQL|cannot be read"):
        messages.unpacked(content)
