"""The Protobuf messages of Arrow Flight and Flight SQL, by the field numbers that Arrow publishes.

No package has them for Python servers, so they are declared here for the Protobuf runtime.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message, message_factory

Message = Any
"""A Protobuf message; the runtime makes the classes when this module is imported."""

FLIGHT, FLIGHT_SQL = "arrow.flight.protocol", "arrow.flight.protocol.sql"
# Message -> its fields as "[optional|repeated] type name [number]"; without a number they are counted from 1.
_HANDSHAKE = ("uint64 protocol_version", "bytes payload")
_FLIGHT: dict[str, tuple[str, ...]] = {
    "HandshakeRequest": _HANDSHAKE,
    "HandshakeResponse": _HANDSHAKE,
    "Empty": (),
    "Criteria": ("bytes expression",),
    "ActionType": ("string type", "string description"),
    "Action": ("string type", "bytes body"),
    "Result": ("bytes body",),
    "SchemaResult": ("bytes schema",),
    "FlightDescriptor": ("int32 type", "bytes cmd", "repeated string path"),
    "Ticket": ("bytes ticket",),
    "Location": ("string uri",),
    "FlightEndpoint": ("Ticket ticket", "repeated Location location"),
    "FlightInfo": (
        "bytes schema", "FlightDescriptor flight_descriptor", "repeated FlightEndpoint endpoint",
        "int64 total_records", "int64 total_bytes",
    ),
    "FlightData": (
        "FlightDescriptor flight_descriptor", "bytes data_header", "bytes app_metadata", "bytes data_body 1000",
    ),
    "PutResult": ("bytes app_metadata",),
}  # fmt: skip
_KEYS = ("optional string catalog", "optional string db_schema", "string table")
_STATEMENT = ("string query", "optional bytes transaction_id")
_HANDLE = ("bytes prepared_statement_handle",)
_FLIGHT_SQL: dict[str, tuple[str, ...]] = {
    "CommandStatementQuery": _STATEMENT,
    "CommandStatementUpdate": _STATEMENT,
    "CommandStatementIngest": (),
    "CommandPreparedStatementQuery": _HANDLE,
    "CommandPreparedStatementUpdate": _HANDLE,
    "TicketStatementQuery": ("bytes statement_handle",),
    "CommandGetCatalogs": (),
    "CommandGetDbSchemas": ("optional string catalog", "optional string db_schema_filter_pattern"),
    "CommandGetTables": (
        "optional string catalog", "optional string db_schema_filter_pattern",
        "optional string table_name_filter_pattern", "repeated string table_types", "bool include_schema",
    ),
    "CommandGetTableTypes": (),
    "CommandGetPrimaryKeys": _KEYS,
    "CommandGetExportedKeys": _KEYS,
    "CommandGetImportedKeys": _KEYS,
    "CommandGetCrossReference": (),
    "CommandGetSqlInfo": ("repeated uint32 info",),
    "CommandGetXdbcTypeInfo": ("optional int32 data_type",),
    "ActionCreatePreparedStatementRequest": _STATEMENT,
    "ActionCreatePreparedStatementResult": (*_HANDLE, "bytes dataset_schema", "bytes parameter_schema"),
    "ActionClosePreparedStatementRequest": _HANDLE,
    "DoPutPreparedStatementResult": ("optional bytes prepared_statement_handle",),
}  # fmt: skip


def _file(package: str, layouts: dict[str, tuple[str, ...]]) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in layouts.items():
        declared = file.message_type.add(name=name)
        for place, text in enumerate(fields, 1):
            words = text.split()
            label = words.pop(0) if words[0] in ("optional", "repeated") else None
            kind, field, *number = words
            added = declared.field.add(name=field, number=int(number[0]) if number else place, label="LABEL_OPTIONAL")
            if kind in layouts:
                added.type, added.type_name = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                added.type = descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
            if label == "repeated":
                added.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
            elif label == "optional":  # proto3 says so by a group of one
                added.proto3_optional, added.oneof_index = True, len(declared.oneof_decl)
                declared.oneof_decl.add(name=f"_{field}")
    return file


def _classes(package: str, layouts: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file(package, layouts))
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in layouts}


_SQL_CLASSES = _classes(FLIGHT_SQL, _FLIGHT_SQL)
_CLASSES = _classes(FLIGHT, _FLIGHT) | _SQL_CLASSES


def kind(name: str) -> Any:
    """The class of a message of Flight or Flight SQL."""
    return _CLASSES[name]


def new(name: str, **fields: Any) -> Message:
    """A message by its name in Flight or Flight SQL."""
    return _CLASSES[name](**fields)


def packed(content: Message) -> bytes:
    """A message of Flight SQL as clients and tickets carry it."""
    wrapped = any_pb2.Any()
    wrapped.Pack(content)
    return bytes(wrapped.SerializeToString())


def unpacked(content: bytes) -> tuple[str, Message]:
    """The name and the message in what ``packed`` or a client made. Raises ``ValueError``."""
    wrapped = any_pb2.Any()
    try:
        wrapped.ParseFromString(content)
    except message.DecodeError:
        raise ValueError("this is not a message of Flight SQL") from None
    package, _, name = wrapped.TypeName().rpartition(".")
    if package != FLIGHT_SQL or name not in _SQL_CLASSES:
        raise ValueError(f"'{wrapped.TypeName()[:100]}' is not a message of Flight SQL that is served")
    found = new(name)
    try:
        found.ParseFromString(wrapped.value)
    except message.DecodeError:
        raise ValueError(f"the {name} cannot be read") from None
    return name, found
