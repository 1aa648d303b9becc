"""The job as DuckDB SQL: one database file, tables for the steps, SUMMARIZE-like aggregates written out.

The third argument says how far it goes: ``queryable`` ends with the table, ``table`` adds the unique index on the key
and a zstd Parquet file.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import orders

Connection = duckdb.DuckDBPyConnection


def _row(connection: Connection, query: str) -> dict[str, Any]:
    cursor = connection.execute(query)
    values = cursor.fetchone()
    assert values is not None
    return dict(zip([d[0] for d in cursor.description], values, strict=True))


def csv(source: Path) -> str:
    """The rows of the file with the types that they are known to have."""
    types = dict.fromkeys(orders.HEADER, "VARCHAR") | dict.fromkeys([orders.KEY, *orders.INTEGERS], "BIGINT")
    types |= dict.fromkeys(["discount", "Ship Cost", "weight_kg", "rating"], "DOUBLE") | {orders.BOOLEAN: "BOOLEAN"}
    return f"read_csv('{source}', columns = {types}, header = true)"


def clean(connection: Connection, rows: str, rename: Mapping[str, str], drop: Sequence[str]) -> None:
    """The view ``cleaned``: the parsed ``rows`` without the later ones of a key."""
    replaced = [f"coalesce({c}, {v!r}) AS {c}" for c, v in orders.FILL.items()]
    replaced += [f"try_strptime({c}, '{f}') AS {c}" for c, f in orders.TIMES.items()]
    replaced.append("try_cast(unit_price AS DOUBLE) AS unit_price")
    renamed = ", ".join(f'"{old}" AS {new}' for old, new in rename.items())
    connection.execute(f"""
        CREATE TEMP TABLE parsed AS
        SELECT * EXCLUDE ({", ".join(drop)}) REPLACE ({", ".join(replaced)}) RENAME ({renamed}) FROM {rows}
    """)
    first = f"SELECT min(rowid) FROM parsed GROUP BY {orders.KEY}"
    connection.execute(f"CREATE TEMP VIEW cleaned AS SELECT * FROM parsed WHERE rowid IN ({first})")


def profile(connection: Connection) -> dict[str, Any]:
    found: dict[str, Any] = {}
    parts = ["count(*) AS rows"]
    for column in orders.PROFILED:
        parts += [
            f'count(*) - count({column}) AS "{column}|missing"',
            f'count(DISTINCT {column}) AS "{column}|distinct"',
        ]
    for column in orders.NUMBERS:
        parts += [f'avg({column}) AS "{column}|mean"', f'stddev_samp({column}) AS "{column}|std"']
        parts += [f'quantile_cont({column}, {orders.QUANTILES}) AS "{column}|quantiles"']
    for column in (*orders.NUMBERS, *orders.STRINGS, *orders.TIMES):
        parts += [f'min({column}) AS "{column}|min"', f'max({column}) AS "{column}|max"']
    parts += [f'corr({a}, {b}) AS "{a}~{b}|corr"' for a, b in itertools.combinations(orders.NUMBERS, 2)]
    found |= _row(connection, f"SELECT {', '.join(parts)} FROM filled")
    for column in orders.STRINGS:
        found[f"{column}|top"] = connection.execute(
            f"SELECT {column}, count(*) n FROM filled WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY n DESC, 1"
            f" LIMIT {orders.TOP}"
        ).fetchall()
    return found


def finish(connection: Connection) -> dict[str, Any]:
    """The table ``orders`` out of ``cleaned``, and what was found on the way."""
    medians = _row(connection, f"SELECT {', '.join(f'median({c}) AS {c}' for c in orders.MEDIANS)} FROM cleaned")
    filled = ", ".join(f"coalesce({c}, {v}) AS {c}" for c, v in medians.items())
    connection.execute(f"CREATE TEMP VIEW filled AS SELECT * REPLACE ({filled}) FROM cleaned")
    found = profile(connection)
    found["medians"] = medians
    query = f"SELECT DISTINCT {orders.ENCODED} FROM filled WHERE {orders.ENCODED} IS NOT NULL ORDER BY 1"
    categories = [c for (c,) in connection.execute(query).fetchall()]
    names = {"weekday": "isodow"}
    new = [f"date_part('{names.get(p, p)}', {orders.DATED}) AS {orders.DATED}_{p}" for p in orders.PARTS]
    new += [f"coalesce({orders.ENCODED} = '{c}', false)::UTINYINT AS {orders.ENCODED}_{c}" for c in categories]
    scaled = [f"({c} - {found[f'{c}|mean']!r}) / {orders.scale(found, c)!r} AS {c}" for c in orders.SCALED]
    result = f"SELECT * EXCLUDE ({orders.ENCODED}) REPLACE ({', '.join(scaled)}), {', '.join(new)} FROM filled"
    connection.execute(f"CREATE TABLE orders AS {result}")
    return found


def main(source: Path, out: Path, goal: str) -> None:
    with duckdb.connect(out / "orders.duckdb") as connection:
        clean(connection, csv(source), orders.RENAME, orders.DROP)
        found = finish(connection)
        if goal == "table":
            connection.execute(f"CREATE UNIQUE INDEX orders_key ON orders ({orders.KEY})")
            connection.execute(f"COPY orders TO '{out / 'orders.parquet'}' (COMPRESSION zstd)")
    (out / "found.json").write_text(json.dumps(found, default=str))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
