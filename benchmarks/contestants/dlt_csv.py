"""The job with dlt: its filesystem source and a CSV reader into DuckDB, then what dlt leaves to its user, as SQL.

dlt lists the file, reads it, normalizes names, keeps its state and loads a table. It does not fill, deduplicate,
profile, scale or encode, so that the SQL of ``duckdb_sql`` follows over the loaded table, in the same database, which
ends in a table. The third argument is the form of the rows on their way: ``records`` is what its guide begins with
(``read_csv``: chunks of pandas as dictionaries, in which missing values have to become None), ``arrow`` what it advises
where speed counts (``read_csv_duckdb`` with ``use_pyarrow`` in large chunks). Types that a reader would guess wrong are
given. Needs the extra ``bench``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import orders
from benchmarks.contestants import duckdb_sql

CHUNK = 100_000  # rows
RENAME = {"cust_email": "customer_email", "ship_cost": "shipping_cost"}
TEXTS = ["unit_price", *orders.TIMES]


def known(row: dict[str, Any]) -> dict[str, Any]:
    """The record without the NaN that pandas has for a missing value."""
    return {name: value for name, value in row.items() if value == value}


def load(source: Path, database: Path, form: str) -> None:
    """The rows of the file as the table ``loaded.orders``."""
    os.environ["DLT_DATA_DIR"] = str(database.parent / "dlt")
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt  # reads its settings now
    from dlt.sources.filesystem import filesystem, read_csv, read_csv_duckdb

    files = filesystem(bucket_url=source.parent.as_uri(), file_glob=source.name)
    if form == "arrow":
        rows = files | read_csv_duckdb(dtype=dict.fromkeys(TEXTS, "VARCHAR"), use_pyarrow=True, chunk_size=CHUNK)
    else:
        rows = files | read_csv(dtype=dict.fromkeys(TEXTS, str)).add_map(known)
    rows.apply_hints(columns={name: {"data_type": "text"} for name in TEXTS}, write_disposition="replace")
    pipeline = dlt.pipeline(
        "orders", destination=dlt.destinations.duckdb(str(database)), dataset_name="loaded",
        pipelines_dir=str(database.parent / "pipelines"),
    )  # fmt: skip
    pipeline.run(rows.with_name("orders"))


def main(source: Path, out: Path, form: str) -> None:
    database = out / "orders.duckdb"
    load(source, database, form)
    with duckdb.connect(database) as connection:
        columns = [name for name, *_ in connection.execute("DESCRIBE loaded.orders").fetchall()]
        drop = [*orders.DROP, *(name for name in columns if name.startswith("_dlt"))]
        duckdb_sql.clean(connection, "loaded.orders", RENAME, drop)
        found = duckdb_sql.finish(connection)
    (out / "found.json").write_text(json.dumps(found, default=str))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
