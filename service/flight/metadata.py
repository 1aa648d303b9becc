"""What clients ask about the tables: catalogs, schemas, tables with their columns, keys and types.

Stored tables have neither a catalog nor a schema, as in SQL; the system tables have the schema ``penstock``.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import msgspec
from pyarrow import lib

from service.client.relay import Party, Relay
from service.flight import sql_info, statements
from service.flight.messages import Message
from service.flight.statements import Statement

SYSTEM_SCHEMA = "penstock"
SYSTEM_TABLES = ("columns", "pipelines", "quarantine", "queries", "runs", "steps", "versions")
_TYPES = ("SYSTEM TABLE", "TABLE")
_MOST_SCHEMAS = 1_000
_PAGE = 1_000


def _fields(text: str) -> lib.Schema:
    """A schema from ``name type`` pairs; ``!`` after a type: not null."""
    kinds = {"utf8": lib.string(), "int32": lib.int32(), "uint8": lib.uint8()}
    pairs = [pair.split() for pair in text.split(",")]
    return lib.schema([lib.field(name, kinds[kind.rstrip("!")], not kind.endswith("!")) for name, kind in pairs])


_CATALOGS = _fields("catalog_name utf8!")
_DB_SCHEMAS = _fields("catalog_name utf8, db_schema_name utf8!")
_TABLE_TYPES = _fields("table_type utf8!")
_TABLES = _fields("catalog_name utf8, db_schema_name utf8, table_name utf8!, table_type utf8!")
_TABLES_WITH_COLUMNS = _TABLES.append(lib.field("table_schema", lib.binary(), nullable=False))
_PRIMARY_KEYS = _fields(
    "catalog_name utf8, db_schema_name utf8, table_name utf8!, column_name utf8!, key_name utf8, key_sequence int32!"
)
_FOREIGN_KEYS = _fields(
    "pk_catalog_name utf8, pk_db_schema_name utf8, pk_table_name utf8!, pk_column_name utf8!, fk_catalog_name utf8, "
    "fk_db_schema_name utf8, fk_table_name utf8!, fk_column_name utf8!, key_sequence int32!, fk_key_name utf8, "
    "pk_key_name utf8, update_rule uint8!, delete_rule uint8!"
)
_SCHEMAS: dict[str, lib.Schema] = {
    "CommandGetCatalogs": _CATALOGS, "CommandGetDbSchemas": _DB_SCHEMAS, "CommandGetTableTypes": _TABLE_TYPES,
    "CommandGetPrimaryKeys": _PRIMARY_KEYS, "CommandGetExportedKeys": _FOREIGN_KEYS,
    "CommandGetImportedKeys": _FOREIGN_KEYS, "CommandGetCrossReference": _FOREIGN_KEYS,
    "CommandGetSqlInfo": sql_info.INFO_SCHEMA, "CommandGetXdbcTypeInfo": sql_info.TYPES_SCHEMA,
}  # fmt: skip


def schema(name: str, command: Message) -> lib.Schema | None:
    """The columns of the answer to a command; None if it is not one about metadata."""
    if name == "CommandGetTables":
        return _TABLES_WITH_COLUMNS if command.include_schema else _TABLES
    return _SCHEMAS.get(name)


class _Listed(NamedTuple):
    name: str
    version: int
    schema: str = ""

    @property
    def type(self) -> str:
        return "SYSTEM TABLE" if self.schema else "TABLE"

    @property
    def select(self) -> str:
        quoted = '"' + self.name.replace('"', '""') + '"'
        return f"FROM {self.schema}.{quoted}" if self.schema else f"FROM {quoted}"


class _TablePage(msgspec.Struct):
    class Table(msgspec.Struct):
        name: str
        version: int

    items: list[Table]
    total: int


class Metadata:
    """Answers commands about metadata with what the caller may see."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._known: OrderedDict[_Listed, bytes] = OrderedDict()  # the columns of a version never change

    async def answer(self, name: str, command: Message, party: Party) -> lib.Table:
        """The answer to a command for which ``schema`` has columns. Raises ``ServiceError``, ``NoService``."""
        if name == "CommandGetTables":
            return await self._tables(command, party)
        if name == "CommandGetSqlInfo":
            return sql_info.info(command.info)
        if name == "CommandGetXdbcTypeInfo":
            return sql_info.types(command.data_type if command.HasField("data_type") else None)
        rows: list[dict[str, str]] = []  # keys are not known to SQL
        if name == "CommandGetCatalogs":
            rows = [{"catalog_name": ""}]
        elif name == "CommandGetTableTypes":
            rows = [{"table_type": kind} for kind in _TYPES]
        elif name == "CommandGetDbSchemas" and _without_catalog(command):
            fits = pattern(command, "db_schema_filter_pattern")
            rows = [{"catalog_name": "", "db_schema_name": kind} for kind in ("", SYSTEM_SCHEMA) if fits(kind)]
        return lib.Table.from_pylist(rows, schema=schema(name, command))

    async def _tables(self, command: Message, party: Party) -> lib.Table:
        in_schema = pattern(command, "db_schema_filter_pattern")
        called = pattern(command, "table_name_filter_pattern")
        listed = self._listed(command, party)
        chosen = [table async for table in listed if in_schema(table.schema) and called(table.name)]
        columns: list[list[str] | list[bytes]] = [
            [""] * len(chosen), [t.schema for t in chosen], [t.name for t in chosen], [t.type for t in chosen],
        ]  # fmt: skip
        if command.include_schema:
            columns.append([await self._columns(table, party) for table in chosen])
        found = _TABLES_WITH_COLUMNS if command.include_schema else _TABLES
        return lib.Table.from_arrays([lib.array(c, f.type) for c, f in zip(columns, found, strict=True)], schema=found)

    async def _listed(self, command: Message, party: Party) -> AsyncIterator[_Listed]:
        wanted = command.table_types or _TYPES
        if not _without_catalog(command):
            return
        if "TABLE" in wanted:
            offset, total = 0, 1
            while offset < total:
                query = {"limit": _PAGE, "offset": offset}
                page = msgspec.json.decode(await self._relay.ask(party, "GET", "tables", query=query), type=_TablePage)
                for table in page.items:
                    yield _Listed(table.name, table.version)
                offset, total = offset + _PAGE, page.total
        if "SYSTEM TABLE" in wanted:
            for name in SYSTEM_TABLES:
                yield _Listed(name, 0, SYSTEM_SCHEMA)

    async def _columns(self, table: _Listed, party: Party) -> bytes:
        known = self._known.get(table)
        if known is None:
            known = await statements.columns(self._relay, party, Statement(table.select))
        self._known[table] = known
        self._known.move_to_end(table)
        if len(self._known) > _MOST_SCHEMAS:
            self._known.popitem(last=False)
        return known


def _without_catalog(command: Message) -> bool:
    """Whether a command is also about tables without a catalog."""
    return not command.HasField("catalog") or command.catalog == ""


def pattern(command: Message, field: str) -> Callable[[str], bool]:
    """Whether a name fits the pattern in a field of a command: ``%`` is any text, ``_`` any character."""
    if not command.HasField(field):
        return lambda name: True
    parts = re.findall(r"\\.|.", getattr(command, field), re.DOTALL)
    texts = {"%": ".*", "_": "."}
    fits = re.compile("".join(texts.get(part) or re.escape(part[-1]) for part in parts), re.DOTALL | re.IGNORECASE)
    return lambda name: fits.fullmatch(name) is not None
