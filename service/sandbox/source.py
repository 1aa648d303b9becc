"""What a confined connection is given: the stored tables that it may read, and its limits."""

from __future__ import annotations

import msgspec


class TableSource(msgspec.Struct, frozen=True):
    """A stored table: the name SQL knows it by and the files of one version.

    ``parts`` and ``native`` are paths below the warehouse. Where ``native`` is given, the table
    ``native_table`` of that DuckDB file is read instead of the Parquet parts. ``united`` says that the parts are
    quarantine files: they may differ in their columns, and there may be none. ``logical`` names the columns with a type
    that DuckDB does not read from Parquet as it was written (``logical_types``). ``run`` made the version: a pipeline
    that was deleted and created again has other files under the same names. ``row_filter`` is a condition in SQL on its
    columns: rows for which it is not true do not exist for the reader (``row_filters``).
    """

    table: str
    pipeline: str
    version: int
    parts: list[str]
    native: str | None = None
    native_table: str | None = None
    rows: int = 0
    united: bool = False
    logical: list[str] = []
    run: str = ""
    row_filter: str = ""


class WorkerSetup(msgspec.Struct, frozen=True):
    """How a worker sets itself up before it knows its job. Sizes are bytes; no query takes longer than
    ``seconds``, and a worker ends after ``queries`` queries.
    """

    warehouse: str
    spill: str
    memory_bytes: int
    spill_bytes: int
    threads: int
    seconds: float = 3600.0
    queries: int = 5_000
