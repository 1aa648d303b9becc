"""dlt's rest_api source: every page into a loaded table.

``python -m benchmarks.contestants.dlt_rest ADDRESS PAGES SIZE FOLDER GOAL``, ``GOAL`` being ``duckdb`` or ``parquet``
(its filesystem destination), both as its documentation shows them. Prints what the run cost (CPU and seconds by the
clock, imports not counted), and how many rows there are with the sum of their ids.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import duckdb


def main(address: str, pages: int, size: int, folder: Path, goal: str) -> None:
    os.environ["DLT_DATA_DIR"] = str(folder / "dlt")
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt  # reads its settings now
    from dlt.sources.rest_api import rest_api_source

    paginator: Any = {
        "type": "page_number", "base_page": 1, "page_param": "page", "total_path": None, "stop_after_empty_page": True,
    }  # fmt: skip
    source = rest_api_source(
        {
            "client": {"base_url": address, "paginator": paginator},
            "resources": [
                {
                    "name": "records",
                    "endpoint": {"path": "records", "params": {"pages": pages, "size": size}, "data_selector": "items"},
                }
            ],
        }
    )
    stored = folder / "records.duckdb"
    into = (
        dlt.destinations.duckdb(str(stored)) if goal == "duckdb" else dlt.destinations.filesystem(str(folder / "out"))
    )
    pipeline: Any = dlt.pipeline(
        "records", destination=into, dataset_name="kept", pipelines_dir=str(folder / "pipelines")
    )  # fmt: skip
    cpu, wall = time.process_time(), time.perf_counter()
    pipeline.run(source, loader_file_format="parquet" if goal == "parquet" else None)
    cost = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    with duckdb.connect(str(stored) if goal == "duckdb" else ":memory:") as connection:
        table = "kept.records" if goal == "duckdb" else f"read_parquet('{folder}/out/kept/records/*.parquet')"
        found = connection.execute(f"SELECT count(*), sum(id)::BIGINT FROM {table}").fetchone()
    print(json.dumps({**cost, "found": found}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5])
