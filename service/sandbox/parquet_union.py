"""Several Parquet files with differing columns as one relation, columns by name (quarantine files).

DuckDB's own ``union_by_name`` fails on rows where a column is a number in one file and a struct in another; here a
column whose type differs is text in all of them. Names that differ only in case are one column, as SQL has them.
"""

# ruff: noqa: S608 - file names and columns are quoted

from __future__ import annotations

import duckdb

from service.sandbox.quoting import literal, quoted

ORDER = ("_step", "_file", "_line", "_row")
"""The columns of a quarantine that keep its rows in order."""
_LAYOUT = {
    "_rules": 'STRUCT("rule" VARCHAR, "column" VARCHAR, "value" VARCHAR, message VARCHAR)[]',
    "_step": "VARCHAR", "_source": "VARCHAR", "_file": "VARCHAR", "_line": "BIGINT", "_row": "BIGINT",
    "_text": "VARCHAR",
}  # fmt: skip


def relation(connection: duckdb.DuckDBPyConnection, files: list[str]) -> str:
    """``(SELECT …)`` over the files of a quarantine; without any, no rows in their layout."""
    if not files:
        nothing = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in _LAYOUT.items())
        return f"(SELECT {nothing} WHERE false)"
    schemas = [_described(connection, file) for file in files]
    names: dict[str, str] = {}
    kinds: dict[str, set[str]] = {}
    for schema in schemas:
        for name, kind in schema.items():
            names.setdefault(name.casefold(), name)
            kinds.setdefault(name.casefold(), set()).add(kind)
    parts = []
    for file, schema in zip(files, schemas, strict=True):
        wanted = [_read(n, names[n.casefold()], kind, kinds[n.casefold()]) for n, kind in schema.items()]
        parts.append(f"SELECT {', '.join(wanted)} FROM read_parquet({literal(file)})")
    return f"({' UNION ALL BY NAME '.join(parts)})"


def _described(connection: duckdb.DuckDBPyConnection, file: str) -> dict[str, str]:
    rows = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({literal(file)})").fetchall()
    return {str(row[0]): str(row[1]) for row in rows}


def _read(name: str, common: str, kind: str, kinds: set[str]) -> str:
    if len(kinds) == 1:
        return f"{quoted(name)} AS {quoted(common)}"
    nested = kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))
    text = f"to_json({quoted(name)})" if nested else quoted(name)
    return f"CAST({text} AS VARCHAR) AS {quoted(common)}"
