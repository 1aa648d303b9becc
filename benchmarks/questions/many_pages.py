"""How much memory does a run need that collects five million small records through 50,000 pages?

From a loopback server into a committed version (Parquet); the peak is what the kernel says of the run's process
(``peak_memory_bytes``). Rows and the sum of their ids are compared first. A tenth of the pages comes before, to see
what grows.
"""

from __future__ import annotations

from typing import Any

from benchmarks import measure, server, site
from benchmarks.options import Options

PAGES = (5_000, 50_000)


def ask(options: Options) -> dict[str, Any]:
    """Peak MiB, seconds by the clock and CPU microseconds a page, by number of pages."""
    table: dict[str, Any] = {}
    with site.running() as address, server.running(options.folder) as service:
        for pages in PAGES:
            name = f"pages_{pages}"
            collector = {
                "type": "api",
                "endpoint": f"{address}/records",
                "params": {"pages": pages},
                "concurrency": 4,
                "pagination": {"type": "page", "total_path": "total"},
                "completeness": "strict",
            }
            document = {"name": name, "collectors": [collector], "storage": [{"type": "parquet"}]}
            service.call("POST", "/pipeline/create", document)
            with measure.Watch(service.pid, every=1) as seen:
                run = service.execute(name)
            (row,) = service.sql(f"SELECT count(*) AS rows, sum(id)::BIGINT AS total FROM {name}")
            count = pages * site.SIZE
            table[str(pages)] = {
                "records": count,
                "peak_mib": run["peak_memory_bytes"] / measure.MIB,
                "wall": seen.wall,
                "cpu_us": seen.cpu / pages * 1e6,
                "differs": [] if row == {"rows": count, "total": sum(range(count))} else [str(row)],
            }
    return {"contestants": table}


def show(answer: dict[str, Any]) -> str:
    """The answer as a table for people."""
    return "\n".join(
        f"{int(pages):7,} pages {entry['records']:10,} records   peak {entry['peak_mib']:6.0f} MiB"
        f"   {entry['wall']:7.1f} s   CPU {entry['cpu_us']:6.0f} us a page   {'; '.join(entry['differs'])}"
        for pages, entry in answer["contestants"].items()
    )
