"""The messages between the API and a query worker, as msgpack.

A message is one byte for its kind, then its payload:

======  =========  ==========================================================
kind    direction  payload
======  =========  ==========================================================
READY   to API     nothing: the worker is connected and waits for a query
NEED    to API     ``Need``: the stored tables that the statement names
HEAD    to API     ``Head``: the answer comes through a pipe; every later error
                   ends it early
DONE    to API     ``FREE`` or ``USED``: the answer is complete
WHOLE   to API     ``FREE`` or ``USED``, then an answer of one piece (``whole``)
FAILED  to API     ``FREE`` or ``USED``, then ``errors.Body``
======  =========  ==========================================================

The API sends a ``Query``, then, when asked, a ``Resolved``, or ``Dismissed`` where another worker shall answer. A
worker that says ``FREE`` has put everything of the query away and waits for another one, also after an error of a query
that was not executed; any other ends.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from service.model.answers import ColumnType
from service.model.query_parameters import Kind
from service.sandbox.source import TableSource

READY, NEED, HEAD, DONE, WHOLE, FAILED = b"R", b"N", b"H", b"D", b"W", b"F"
FREE, USED = b"\x01", b"\x00"
_LENGTH = struct.Struct("!H")


def whole(media_type: str, chunks: list[bytes], *, free: bool) -> bytes:
    """The message of an answer in one piece."""
    name = media_type.encode()
    return b"".join([WHOLE, FREE if free else USED, _LENGTH.pack(len(name)), name, *chunks])


def opened(payload: bytes) -> tuple[str, bytes, bool]:
    """Media type and content of an answer in one piece, and whether its worker is free."""
    (length,) = _LENGTH.unpack_from(payload, 1)
    start = 1 + _LENGTH.size + length
    return payload[1 + _LENGTH.size : start].decode(), payload[start:], payload[:1] == FREE


class Resolved(msgspec.Struct, frozen=True, tag="resolved"):
    """The sources of the requested names (in any case); ``missing`` are names that are not stored tables.

    ``known`` may name other tables, for a hint. ``snapshots`` are system tables, as Parquet files in memory.
    """

    sources: list[TableSource]
    missing: list[str] = []
    known: list[str] = []
    snapshots: dict[str, bytes] = {}


class Dismissed(msgspec.Struct, frozen=True, tag="dismissed"):
    """The query needs sources that the worker does not have: another one answers it."""


class Need(msgspec.Struct, frozen=True):
    """Names of tables as the statement has them, with their positions; ``everything`` for SHOW TABLES.

    ``only_names``: the worker answers with the names of all tables, and reads none.
    """

    tables: dict[str, int | None]
    everything: bool = False
    only_names: bool = False


class Head(msgspec.Struct, frozen=True):
    """A streamed answer begins."""

    media_type: str


class SqlQuery(msgspec.Struct, frozen=True, tag="sql"):
    """One statement of a user. ``limit`` None: all rows; ``max_bytes`` cuts a JSON answer.

    ``types`` are those of parameters that are given as texts (``query_parameters``). A ``rehearsal`` binds the
    statement and executes nothing; its answer is a ``Rehearsal`` as JSON.
    ``known`` are the sources of the tables that it names, where they are known from an earlier time. In every query
    ``others`` are more sources for a worker that has none yet, for the queries that follow.
    """

    statement: str
    format: str
    limit: int | None
    max_bytes: int
    seconds: float
    parameters: list[Any] | dict[str, Any] | None = None
    escape_formulas: bool = True
    types: dict[str, Kind] | None = None
    rehearsal: bool = False
    known: Resolved | None = None
    others: list[TableSource] = []


class Rehearsal(msgspec.Struct, frozen=True):
    """The columns that a statement would answer, and the tables that it names; ``everything``: it lists the tables."""

    columns: list[ColumnType]
    tables: list[str]
    everything: bool


class DataQuery(msgspec.Struct, frozen=True, tag="data"):
    """Rows of one source. ``limit`` None: all of them; ``about`` is added to a page of JSON."""

    source: TableSource
    format: str
    limit: int | None
    offset: int
    max_bytes: int
    seconds: float
    columns: list[str] | None = None
    filter: str | None = None
    sort: str | None = None
    escape_formulas: bool = True
    about: dict[str, Any] = {}
    others: list[TableSource] = []


class LookupQuery(msgspec.Struct, frozen=True, tag="lookup"):
    """Rows of one source by the values of the columns ``key``, each a text of the kind in ``kinds``.

    ``only`` says that there is one key; an answer without content then says that no row has it.
    """

    source: TableSource
    key: list[str]
    kinds: list[Kind]
    values: list[list[str]]
    format: str
    max_bytes: int
    seconds: float
    columns: list[str] | None = None
    only: bool = False
    escape_formulas: bool = True
    others: list[TableSource] = []


class SchemaQuery(msgspec.Struct, frozen=True, tag="schema"):
    """The columns of one source with their statistics; in another ``form`` than JSON, see ``child.schema_forms``."""

    source: TableSource
    seconds: float
    form: str = "json"
    others: list[TableSource] = []


Query = SqlQuery | DataQuery | LookupQuery | SchemaQuery
