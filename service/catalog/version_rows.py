"""The rows of versions, as transactions write them."""

from __future__ import annotations

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Row, Transaction, naive
from service.model.version import Version

_SQL = load_sql("versions")
_decode = msgspec.json.Decoder(Version).decode


def read(value: str) -> Version:
    """The version in a row."""
    try:
        return _decode(value)
    except msgspec.ValidationError:
        document = msgspec.json.decode(value)
        for column in (column for profile in document.get("profiles", []) for column in profile["columns"]):
            if None in column.get("histogram", {}).get("edges", ()):  # infinite ones, which releases before 0.1 wrote
                column["histogram"] = {"edges": [], "counts": []}
        return _decode(msgspec.json.encode(document))


def _written(version: Version) -> str:
    """The value of a row. Raises ``msgspec.ValidationError`` for a version that could not be read again: the service
    would not start.
    """
    value = msgspec.json.encode(version)
    _decode(value)
    return value.decode()


def insert(transaction: Transaction, pipeline_id: str, version: Version) -> Row:
    """Add a version. Returns the row from which it is read."""
    value = _written(version)
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
            "value": _written(version), "held": version.held,
        },
    )  # fmt: skip
