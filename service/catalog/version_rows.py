"""The rows of versions, as transactions write them."""

from __future__ import annotations

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Row, Transaction, naive
from service.model.version import Version

_SQL = load_sql("versions")


def insert(transaction: Transaction, pipeline_id: str, version: Version) -> Row:
    """Add a version. Returns the row from which it is read."""
    value = msgspec.json.encode(version).decode()
    transaction.execute(
        _SQL["insert"],
        {
            "pipeline_id": pipeline_id, "version": version.version, "run_id": version.run_id,
            "rows": version.rows, "bytes": version.bytes, "created": naive(version.created),
            "value": value, "held": version.held,
        },
    )  # fmt: skip
    return {"value": value}


def update(transaction: Transaction, pipeline_id: str, version: Version) -> None:
    """Write the present state of a version."""
    transaction.execute(
        _SQL["update"],
        {
            "pipeline_id": pipeline_id, "version": version.version, "bytes": version.bytes,
            "value": msgspec.json.encode(version).decode(), "held": version.held,
        },
    )  # fmt: skip
