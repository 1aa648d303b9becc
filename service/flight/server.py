"""The Flight SQL server: each call becomes requests to the REST API with the token of its caller.

Tokens, roles, limits and the gate of SQL are those of the API; nothing is decided here. Rows are relayed message by
message, never more than one at a time: a caller who reads slowly holds the service up, and ends after a while.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
import msgspec
from grpc import StatusCode, aio
from pyarrow import lib

from service.client.errors import NoService, ServiceError
from service.client.relay import Party, Relay
from service.flight import arrow_stream, errors, messages, metadata, parameters, statements
from service.flight.arrow_stream import Piece
from service.flight.callers import Callers
from service.flight.errors import Refused
from service.flight.messages import Message
from service.flight.metadata import Metadata
from service.flight.statements import RecentColumns, Statement

MOST_CALLS = 128
MOST_REQUEST_BYTES = 1 << 20
_PUT_SECONDS = 30.0
_OPTIONS = [
    ("grpc.max_receive_message_length", MOST_REQUEST_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),  # a second server on the port is an error
    ("grpc.keepalive_time_ms", 60_000),  # a caller whose machine has gone is noticed
]
_ACTIONS = {
    "CreatePreparedStatement": "Binds a SELECT; values for its parameters may follow.",
    "ClosePreparedStatement": "Drops a prepared statement.",
}
_WRITES = {
    "CommandStatementUpdate": "an update", "CommandPreparedStatementUpdate": "an update",
    "CommandStatementIngest": "an ingestion",
}  # fmt: skip


class Server:
    """Flight SQL over ``relay``. A caller who takes nothing for ``stall_seconds`` is cut off."""

    def __init__(self, relay: Relay, *, stall_seconds: float) -> None:
        self._relay = relay
        self._stall_seconds = stall_seconds
        self._callers = Callers(relay)
        self._columns = RecentColumns(relay)
        self._metadata = Metadata(relay)
        self._server = aio.server(options=_OPTIONS, maximum_concurrent_rpcs=MOST_CALLS)
        self._server.add_generic_rpc_handlers([self._handlers()])

    async def start(self, address: str, tls: tuple[bytes, bytes] | None = None) -> int:
        """Listen on ``address``; answers the port. ``tls`` is a certificate and its key in PEM. Raises ``OSError``."""
        try:
            if tls is None:
                port = self._server.add_insecure_port(address)
            else:
                certificate, key = tls
                port = self._server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
        except RuntimeError as error:
            raise OSError(str(error)) from None
        await self._server.start()
        return int(port)

    async def stop(self, grace: float) -> None:
        """Take no more calls, and cut those off that last longer than ``grace`` seconds."""
        await self._server.stop(grace)

    def _handlers(self) -> grpc.GenericRpcHandler:
        unary, streamed = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        both = grpc.stream_stream_rpc_method_handler
        served: dict[str, tuple[Callable[..., Any], Callable[..., Any], str, str]] = {
            "Handshake": (both, self._handshake, "HandshakeRequest", "HandshakeResponse"),
            "ListActions": (streamed, self._list_actions, "Empty", "ActionType"),
            "DoAction": (streamed, self._do_action, "Action", "Result"),
            "GetFlightInfo": (unary, self._get_flight_info, "FlightDescriptor", "FlightInfo"),
            "GetSchema": (unary, self._get_schema, "FlightDescriptor", "SchemaResult"),
            "DoGet": (streamed, self._do_get, "Ticket", "FlightData"),
            "DoPut": (both, self._do_put, "FlightData", "PutResult"),
        }
        handlers = {
            method: make(
                self._called(handler),
                request_deserializer=messages.kind(request).FromString,
                response_serializer=messages.kind(response).SerializeToString,
            )
            for method, (make, handler, request, response) in served.items()
        }
        return grpc.method_handlers_generic_handler(f"{messages.FLIGHT}.FlightService", handlers)

    def _called(self, handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """A handler that knows its caller, and whose errors are statuses."""

        async def call(request: Any, context: Any) -> Any:
            try:
                async with self._callers.entered(context) as party:
                    return await handler(request, context, party)
            except Refused as error:
                await context.abort(error.code, str(error))
            except (ServiceError, NoService) as error:
                refused = errors.refusal(error)
                await context.abort(refused.code, str(refused))
            except arrow_stream.Cut as error:
                await context.abort(StatusCode.UNAVAILABLE, str(error))
            except msgspec.MsgspecError:
                await context.abort(StatusCode.UNAVAILABLE, "the answer of the service is not one of Penstock")

        return call

    async def _write(self, context: Any, message: Message) -> None:
        """Send a message. Raises ``Refused`` if the caller does not take it."""
        try:
            async with asyncio.timeout(self._stall_seconds):
                await context.write(message)
        except TimeoutError:
            text = f"nothing was read for {self._stall_seconds:g} s"
            raise Refused(text, StatusCode.DEADLINE_EXCEEDED) from None

    async def _handshake(self, requests: Any, context: Any, party: Party) -> None:
        """The log-in was in the headers, and so is its answer."""
        await self._write(context, messages.new("HandshakeResponse"))

    async def _list_actions(self, request: Message, context: Any, party: Party) -> None:
        for name, text in _ACTIONS.items():
            await self._write(context, messages.new("ActionType", type=name, description=text))

    async def _get_flight_info(self, descriptor: Message, context: Any, party: Party) -> Message:
        """The columns of what the descriptor asks for, and the ticket with which DoGet answers the rows."""
        schema, ticket = await self._described(descriptor, party)
        endpoint = messages.new("FlightEndpoint", ticket=messages.new("Ticket", ticket=ticket))
        return messages.new(
            "FlightInfo", schema=schema, flight_descriptor=descriptor, endpoint=[endpoint],
            total_records=-1, total_bytes=-1,
        )  # fmt: skip

    async def _get_schema(self, descriptor: Message, context: Any, party: Party) -> Message:
        schema, _ = await self._described(descriptor, party)
        return messages.new("SchemaResult", schema=schema)

    async def _described(self, descriptor: Message, party: Party) -> tuple[bytes, bytes]:
        name, command = _message(descriptor.cmd)
        if (known := metadata.schema(name, command)) is not None:
            return known.serialize().to_pybytes(), descriptor.cmd
        if name == "CommandStatementQuery":
            _refuse_transaction(command)
            statement = Statement(command.query)
        elif name == "CommandPreparedStatementQuery":
            statement = Statement.of(command.prepared_statement_handle)
        else:
            raise errors.read_only(_WRITES[name]) if name in _WRITES else Refused(f"a {name} does not ask for rows")
        schema = await self._columns.of(party, statement)
        return schema, messages.packed(messages.new("TicketStatementQuery", statement_handle=statement.handle))

    async def _do_get(self, ticket: Message, context: Any, party: Party) -> None:
        name, command = _message(ticket.ticket)
        if name == "TicketStatementQuery":
            pieces = statements.rows(self._relay, party, Statement.of(command.statement_handle))
        elif metadata.schema(name, command) is not None:
            pieces = _listed(await self._metadata.answer(name, command, party))
        else:
            raise Refused(f"a {name} is not a ticket")
        async with aclosing(pieces):
            async for piece in pieces:
                data = messages.new("FlightData", data_header=piece.header, data_body=piece.body)
                await self._write(context, data)

    async def _do_put(self, requests: Any, context: Any, party: Party) -> None:
        """Bind parameters to a prepared statement; everything that writes is refused."""
        try:
            async with asyncio.timeout(_PUT_SECONDS):
                statement = await _bound(aiter(requests))
        except TimeoutError:
            text = f"the parameters did not arrive within {_PUT_SECONDS:g} s"
            raise Refused(text, StatusCode.DEADLINE_EXCEEDED) from None
        answer = messages.new("DoPutPreparedStatementResult", prepared_statement_handle=statement.handle)
        await self._write(context, messages.new("PutResult", app_metadata=answer.SerializeToString()))

    async def _do_action(self, action: Message, context: Any, party: Party) -> None:
        """Make or close a prepared statement."""
        if action.type not in _ACTIONS:
            text = f"the action '{action.type[:100]}' is not served: tables are read-only here"
            raise Refused(text, StatusCode.UNIMPLEMENTED)
        name, request = _message(action.body)
        if name != f"Action{action.type}Request":
            raise Refused(f"the action {action.type} does not take a {name}")
        if action.type == "CreatePreparedStatement":
            _refuse_transaction(request)
            prepared = messages.packed(await self._prepared(request.query, party))
            await self._write(context, messages.new("Result", body=prepared))

    async def _prepared(self, sql: str, party: Party) -> Message:
        """A statement without values. Its columns are unknown where SQL needs the types of the values to tell them."""
        names = parameters.names(parameters.placeholders(sql))
        try:
            columns = await self._columns.of(party, Statement(sql, parameters.nulls(names)))
        except ServiceError as error:
            if not names or error.code != "INVALID_SQL":
                raise
            columns = b""
        return messages.new(
            "ActionCreatePreparedStatementResult",
            prepared_statement_handle=Statement(sql).handle,
            dataset_schema=columns,
            parameter_schema=lib.schema([(name, lib.string()) for name in names]).serialize().to_pybytes(),
        )


def _message(content: bytes) -> tuple[str, Message]:
    try:
        return messages.unpacked(content)
    except ValueError as error:
        raise Refused(str(error)) from None


def _refuse_transaction(request: Message) -> None:
    if request.transaction_id:
        text = "there are no transactions: each statement reads the newest versions"
        raise Refused(text, StatusCode.UNIMPLEMENTED)


async def _listed(table: lib.Table) -> AsyncGenerator[Piece, None]:
    for piece in arrow_stream.of_table(table):
        yield piece


async def _bound(requests: AsyncIterator[Message]) -> Statement:
    """A prepared statement with the values that a DoPut has for it. Raises ``Refused``."""
    first = await anext(requests, None)
    name, command = _message(first.flight_descriptor.cmd if first is not None else b"")
    if name in _WRITES:
        raise errors.read_only(_WRITES[name])
    if name != "CommandPreparedStatementQuery":
        raise Refused(f"a {name} does not take rows")
    found, size, request = [], 0, first
    while request is not None:
        size += len(request.data_header) + len(request.data_body)
        if size > MOST_REQUEST_BYTES:
            raise Refused(f"parameters have at most {MOST_REQUEST_BYTES} bytes")
        if request.data_header:
            found.append(Piece(request.data_header, request.data_body))
        request = await anext(requests, None)
    try:
        if any(map(arrow_stream.is_compressed, found)):  # it could be of any size
            raise Refused("parameters must not be compressed")
        values = arrow_stream.table(found)
        values.validate(full=True)
    except (lib.ArrowInvalid, struct.error, OSError) as error:
        raise Refused(f"the parameters cannot be read: {error}") from None
    return parameters.bound(Statement.of(command.prepared_statement_handle), values)
