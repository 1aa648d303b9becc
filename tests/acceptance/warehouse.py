"""A warehouse of two tables with real query workers in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import msgspec
import polars as pl

from service.files.layout import Layout
from service.model.rights import Readable
from service.model.version import Column, Version
from service.query.answer import Answer
from service.query.engine import Engine
from service.query.messages import Resolved
from service.query.sources import source_of
from service.sandbox.source import TableSource
from service.steps.storage import File

T = TypeVar("T")
CANARY = "canary-of-another"
ROWS = 3000


@dataclass(frozen=True)
class Warehouse:
    layout: Layout
    sources: dict[str, TableSource]

    async def resolve(self, names: list[str] | None, readable: Readable = None) -> Resolved:
        there = {n: s for n, s in self.sources.items() if readable is None or s.pipeline in readable}
        if names is None:
            return Resolved(list(there.values()))
        lower = [n.casefold() for n in names]
        missing = [n for n in names if n.casefold() not in there]
        return Resolved([s for n, s in there.items() if n in lower], missing, list(there))


def build(root: Path) -> Warehouse:
    """``orders`` (Parquet, two parts), ``orders@1`` (native) and a file that no table names."""
    layout = Layout(root)
    layout.create()
    folder = layout.version("orders", 2)
    folder.mkdir(parents=True)
    frame = pl.select(id=pl.int_range(ROWS)).with_columns(
        name=pl.format("n{}", "id"),
        x=pl.when(pl.col("id") % 10 != 0).then(pl.col("id") * 1.5),
        group=pl.col("id") % 3,
        moment=pl.datetime(2024, 1, 1) + pl.duration(seconds="id"),
        tags=pl.concat_list("id"),
    )
    frame.head(2000).write_parquet(folder / "part-0.parquet")
    frame.tail(1000).write_parquet(folder / "part-1.parquet")
    first = layout.version("orders", 1)
    first.mkdir(parents=True)
    frame.head(5).write_parquet(first / "part-0.parquet")
    with duckdb.connect(str(first / "orders.duckdb")) as native:
        native.execute(f"CREATE TABLE orders AS FROM '{first / 'part-0.parquet'}'")
    other = layout.version("other", 1)
    other.mkdir(parents=True)
    pl.DataFrame({"v": [CANARY]}).write_parquet(other / "part-0.parquet")
    (root / "secret.key").write_text(CANARY)
    parts = [str(folder / f"part-{i}.parquet") for i in (0, 1)]
    return Warehouse(
        layout,
        {
            "orders": TableSource("orders", "orders", 2, parts, rows=ROWS),
            "orders@1": TableSource(
                "orders@1",
                "orders",
                1,
                [str(first / "part-0.parquet")],
                native=str(first / "orders.duckdb"),
                native_table="orders",
                rows=5,
            ),
        },
    )


def store(root: Path, frame: pl.DataFrame, *, native: bool = False) -> Warehouse:
    """A warehouse whose table ``orders`` is ``frame``, as a run would store it."""
    stored = build(root)
    folder = stored.layout.version("orders", 3)
    folder.mkdir(parents=True)
    frame.write_parquet(folder / "part-00000.parquet")
    if native:
        with duckdb.connect(str(folder / "orders.duckdb")) as connection:
            connection.execute(f"CREATE TABLE orders AS FROM '{folder / 'part-00000.parquet'}'")
    version = Version(
        pipeline="orders", version=3, run_id="run_1", revision=1, table="orders", rows=frame.height, bytes=1,
        columns=[Column(n, str(t)) for n, t in frame.schema.items()], files=[File("part-00000.parquet", 1, 1, "")],
        sources=[], created=dt.datetime.now(dt.UTC), native=File("orders.duckdb", 1, 1, "") if native else None,
    )  # fmt: skip
    stored.sources["orders"] = source_of(version)
    return stored


@contextlib.asynccontextmanager
async def engine(warehouse: Warehouse, **options: Any) -> AsyncIterator[Engine]:
    made = Engine(layout=warehouse.layout, resolve=warehouse.resolve, **options)
    try:
        yield made
    finally:
        await made.close()


def answered(warehouse: Warehouse, act: Callable[[Engine], Awaitable[T]], **options: Any) -> T:
    """Run ``act`` with an engine of its own, in a loop of its own."""

    async def whole() -> T:
        async with asyncio.timeout(60), engine(warehouse, **options) as made:
            return await act(made)

    return asyncio.run(whole())


async def body(answer: Answer) -> bytes:
    return b"".join([part async for part in answer.body])


def document(content: bytes | None) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(content or b"{}")
    return found
