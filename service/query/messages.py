"""The messages between the API and a query worker, as msgpack.

A message is one byte for its kind, then its payload:

======  =========  ==========================================================
kind    direction  payload
======  =========  ==========================================================
READY   to API     nothing: the worker is connected and waits for a query
NEED    to API     ``Need``: the stored tables that the statement names
HEAD    to API     ``Head``: the answer begins; every later error ends it early
BODY    to API     bytes of the answer
DONE    to API     nothing: the answer is complete
FAILED  to API     ``errors.Body``
======  =========  ==========================================================

The API sends a ``Query``, then, when asked, a ``Resolved``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from service.model.answers import ColumnType
from service.model.query_parameters import Kind
from service.sandbox.source import TableSource

READY, NEED, HEAD, BODY, DONE, FAILED = b"R", b"N", b"H", b"B", b"D", b"F"


class Resolved(msgspec.Struct, frozen=True):
    """The sources of the requested names (in any case); ``missing`` are names that are not stored tables.

    ``known`` may name other tables, for a hint. ``snapshots`` are system tables, as Parquet files in memory.
    """

    sources: list[TableSource]
    missing: list[str] = []
    known: list[str] = []
    snapshots: dict[str, bytes] = {}


class Need(msgspec.Struct, frozen=True):
    """Names of tables as the statement has them, with their positions; ``everything`` for SHOW TABLES."""

    tables: dict[str, int | None]
    everything: bool = False


class Head(msgspec.Struct, frozen=True):
    """The answer begins. ``whole``: it is complete in memory, so that nothing can fail any more."""

    media_type: str
    whole: bool
    headers: dict[str, str] = {}


class SqlQuery(msgspec.Struct, frozen=True, tag="sql"):
    """One statement of a user. ``limit`` None: all rows; ``max_bytes`` cuts a JSON answer.

    ``types`` are those of parameters that are given as texts (``query_parameters``). A ``rehearsal`` binds the
    statement and executes nothing; its answer is a ``Rehearsal`` as JSON.
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


class SchemaQuery(msgspec.Struct, frozen=True, tag="schema"):
    """The columns of one source with their statistics; in another ``form`` than JSON, see ``child.schema_forms``."""

    source: TableSource
    seconds: float
    form: str = "json"


Query = SqlQuery | DataQuery | SchemaQuery
