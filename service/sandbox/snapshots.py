"""System tables in a confined connection, from the Parquet bytes that the API hands over.

They are tables in memory, not files, so that a connection whose settings are locked can be given them, too.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import duckdb
import polars as pl

from service.sandbox.quoting import quoted

SCHEMA = "penstock"
"""The schema of the system tables."""
PREFIX = f"{SCHEMA}."
_ARRIVED = "arrived snapshot"


def load(connection: duckdb.DuckDBPyConnection, snapshots: Mapping[str, bytes]) -> None:
    """Create the system tables, by their names with the schema, from Parquet files in memory; those before go."""
    connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    for name, content in snapshots.items():
        table = f"{SCHEMA}.{quoted(name.removeprefix(PREFIX))}"
        connection.register(_ARRIVED, pl.read_parquet(io.BytesIO(content)).to_arrow())
        try:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            connection.execute(f"CREATE TABLE {table} AS FROM {quoted(_ARRIVED)}")
        finally:
            connection.unregister(_ARRIVED)
