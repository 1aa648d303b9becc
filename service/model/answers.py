"""Answers about stored rows: a page of data, the result of a statement, and the schema of a table, as in JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from service.model.version import Refusal

Records = list[dict[str, Any]]
"""Rows as JSON objects by column name."""


class ColumnType(msgspec.Struct, frozen=True, kw_only=True):
    """A column and its DuckDB type."""

    name: str
    type: str


class DataPage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a version. ``total_rows`` counts what the filter keeps.

    ``next`` is what ``cursor`` takes to read on in the same version; it and ``next_offset`` are null on the last page.
    """

    pipeline: str
    version: int
    columns: list[ColumnType]
    data: Records
    row_count: int
    total_rows: int
    limit: int
    offset: int
    next_offset: int | None
    next: str | None


class QuarantinePage(DataPage, frozen=True, kw_only=True):
    """Rows in quarantine; ``rules`` counts the rows of each rule that they broke."""

    rules: list[Refusal]


class QueryResult(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a statement. ``truncated``: the limit left rows out. ``elapsed_ms`` are milliseconds."""

    columns: list[ColumnType]
    data: Records
    row_count: int
    truncated: bool
    elapsed_ms: float


class ColumnSchema(msgspec.Struct, frozen=True, kw_only=True):
    """A column with its DuckDB and Polars types and statistics; ``bytes`` is its compressed size in Parquet.

    Statistics that its type does not have are null.
    """

    name: str
    type: str
    polars_type: str | None
    nullable: bool
    unique_values: int
    missing_values: int
    min: Any = None
    max: Any = None
    mean: float | None = None
    std: float | None = None
    q25: float | None = None
    q50: float | None = None
    q75: float | None = None
    bytes: int | None = None


class StorageSize(msgspec.Struct, frozen=True, kw_only=True):
    """Where a storage keeps a version, relative to the data directory, and its size in bytes."""

    type: str
    location: str
    bytes: int


class TableSchema(msgspec.Struct, frozen=True, kw_only=True):
    """The schema of a version; ``approximate`` says that the statistics are estimates."""

    pipeline: str
    version: int
    columns: list[ColumnSchema]
    row_count: int
    column_count: int
    data_types: dict[str, str]
    sample_data: Records
    storage: list[StorageSize]
    approximate: bool
