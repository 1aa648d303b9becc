"""Fetching pages of JSON: ``python -m benchmarks.contestants.page_loop CONTESTANT ADDRESS PAGES TASKS``.

Prints what it cost (seconds of CPU of all its threads, seconds by the clock, imports not counted) and what came.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import polars as pl

from service.collectors.api import ApiCollector
from service.engine.polars_frame import PolarsFrame
from service.network.pacing import HostLimiters
from service.network.policy import Network
from service.steps.context import CollectContext

Found = tuple[int, int] | None  # rows, and the sum of their ids, where anybody looked


async def bare(address: str, pages: int, tasks: int) -> Found:
    """A bare loop, a client a task: pages are fetched, and that is all."""
    trust, read = httpx.create_ssl_context(), 0  # once: it takes as long as twenty pages

    async def task(first: int) -> None:
        nonlocal read
        async with httpx.AsyncClient(verify=trust) as client:
            for page in range(first, pages + 1, tasks):
                answer = await client.get(f"{address}/records", params={"page": page, "pages": pages})
                answer.raise_for_status()
                read += len(answer.content)

    await asyncio.gather(*(task(n + 1) for n in range(tasks)))
    assert read > pages * 1000
    return None


async def parsed(address: str, pages: int, tasks: int) -> Found:
    """What one would write by hand: the same, each page parsed, the records kept in a list."""
    trust = httpx.create_ssl_context()
    kept: list[dict[str, Any]] = []

    async def task(first: int) -> None:
        async with httpx.AsyncClient(verify=trust) as client:
            for page in range(first, pages + 1, tasks):
                answer = await client.get(f"{address}/records", params={"page": page, "pages": pages})
                answer.raise_for_status()
                kept.extend(answer.json()["items"])

    await asyncio.gather(*(task(n + 1) for n in range(tasks)))
    return len(kept), sum(record["id"] for record in kept)


async def penstock(address: str, pages: int, tasks: int) -> Found:
    """The collector: checked connections, governor, evidence, and typed Parquet parts on disk."""
    config = {
        "type": "api", "endpoint": f"{address}/records", "params": {"pages": pages}, "concurrency": tasks,
        "pagination": {"type": "page", "total_path": "total"}, "completeness": "strict",
    }  # fmt: skip
    collector = msgspec.convert(config, ApiCollector)
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder, "pages"), Path(folder, "pace")]
        for place in places:
            place.mkdir()
        ctx = CollectContext(
            "collectors[0]",
            places[0],
            network=Network(("127.0.0.1",)),
            limiters=HostLimiters(places[1]),
            frames=PolarsFrame,
        )
        frame = await collector.collect(ctx)
        assert isinstance(frame, PolarsFrame)
        measured.append(used())
        rows = frame.lazy.select(pl.len(), pl.sum("id").alias("sum")).collect().row(0)
    return int(rows[0]), int(rows[1])


def used() -> tuple[float, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, time.perf_counter()


CONTESTANTS: dict[str, Callable[[str, int, int], Awaitable[Found]]] = {
    "bare": bare, "parsed": parsed, "penstock": penstock
}  # fmt: skip
measured: list[tuple[float, float]] = []


async def main(name: str, address: str, pages: int, tasks: int) -> None:
    await CONTESTANTS[name](address, min(pages, 2 * tasks), tasks)  # what is done once a process
    measured.clear()
    cpu, wall = used()
    found = await CONTESTANTS[name](address, pages, tasks)
    end = measured[0] if measured else used()
    print(json.dumps({"cpu": end[0] - cpu, "wall": end[1] - wall, "found": found}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
