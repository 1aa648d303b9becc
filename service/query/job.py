"""Job: what the API asks of a query worker, and what it answers. Plain values, msgpack between the two.

A message is one byte that says its kind, then its payload:

======  =========  ==========================================================
kind    direction  payload
======  =========  ==========================================================
READY   to API     nothing: the worker is connected and waits for a job
NEED    to API     ``Need``: the stored tables that the statement names
HEAD    to API     ``Head``: the answer begins; every later error ends it early
BODY    to API     bytes of the answer
DONE    to API     nothing: the answer is complete
FAILED  to API     ``errors.Body``
======  =========  ==========================================================

The API sends a ``Job``, then, when asked, a ``Resolved``.
"""

from __future__ import annotations

from typing import Any

import msgspec

READY, NEED, HEAD, BODY, DONE, FAILED = b"R", b"N", b"H", b"B", b"D", b"F"

MEDIA_TYPES = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}


class Source(msgspec.Struct, frozen=True):
    """A stored table: the name SQL knows it by and the files of one version.

    ``parts`` and ``native`` are paths below the warehouse. Where ``native`` is given, the table
    ``native_table`` of that DuckDB file is read instead of the Parquet parts. ``united`` says that the parts are
    quarantine files: they may differ in their columns, and there may be none.
    """

    table: str
    pipeline: str
    version: int
    parts: list[str]
    native: str | None = None
    native_table: str | None = None
    rows: int = 0
    united: bool = False


class Resolved(msgspec.Struct, frozen=True):
    """The sources of the names asked for (any case); ``missing`` are those that are no stored table.

    ``known`` may name other tables, for a hint.
    """

    sources: list[Source]
    missing: list[str] = []
    known: list[str] = []


class Need(msgspec.Struct, frozen=True):
    """Names of tables as the statement has them, with their place in it; ``everything`` for SHOW TABLES."""

    tables: dict[str, int | None]
    everything: bool = False


class Head(msgspec.Struct, frozen=True):
    """The answer begins. ``whole`` says that nothing can fail any more: it is complete in memory."""

    media_type: str
    whole: bool
    headers: dict[str, str] = {}


class Sql(msgspec.Struct, frozen=True, tag="sql"):
    """One statement of a user. ``limit`` None: all rows; ``max_bytes`` cuts a JSON answer."""

    statement: str
    format: str
    limit: int | None
    max_bytes: int
    seconds: float
    parameters: list[Any] | dict[str, Any] | None = None
    escape_formulas: bool = True


class Data(msgspec.Struct, frozen=True, tag="data"):
    """Rows of one source. ``limit`` None: all of them; ``about`` is told with a page of JSON, as it is."""

    source: Source
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


class Schema(msgspec.Struct, frozen=True, tag="schema"):
    """The columns of one source with their statistics."""

    source: Source
    seconds: float


Job = Sql | Data | Schema


class Order(msgspec.Struct, frozen=True):
    """How a worker sets itself up before it knows its job. Sizes are bytes."""

    warehouse: str
    spill: str
    memory_bytes: int
    spill_bytes: int
    threads: int
