"""Rearranging: all parts of the version before are written again, because its columns or its arrangement change.

Every part of a version has the same columns, so that any reader of the folder sees one table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from service.kit import lazy
from service.storages.parts import row_numbers, schema_change, sizes
from service.storages.parts.inserting import Inserter, order_of
from service.storages.parts.part import NUMBER, Part, PartWriter
from service.values.version_mode import BaseVersion, Layout, VersionMode

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")


def rearranged(
    parts: Sequence[Part],
    before: pl.Schema,
    schema: pl.Schema,
    base: BaseVersion,
    mode: VersionMode,
    writer: PartWriter,
    folder: Path,
) -> tuple[list[Part], int]:
    """The parts in the columns ``schema`` and the arrangement of ``mode``, and the number of the next new row.

    They are the same parts if neither changed.
    """
    same = _is_same(base.layout, mode)
    if same and list(before.items()) == list(schema.items()):
        return list(parts), base.layout.next_row
    if same:
        return [_recast(part, schema, base, mode, writer) for part in parts], base.layout.next_row
    chunks: Iterator[pl.DataFrame] = (_cast(c, schema, base) for part in parts for c in part.chunks())
    rows = sum(part.rows for part in parts)
    if mode.arranged:
        chunks = numbered(chunks, 0)
    if mode.cluster_by and rows:
        path = folder / "rearranged"
        path.mkdir()
        for number, chunk in enumerate(chunks):
            chunk.write_parquet(path / f"{number:06d}.parquet", compression="lz4")
        scan = pl.scan_parquet(sorted(path.iterdir()), glob=False)
        target = folder / "rearranged.parquet"
        scan.sort(order_of(mode.cluster_by, schema), nulls_last=True).sink_parquet(target, compression="lz4")
        chunks = Part(target, rows).chunks(sizes.CHUNK)
    inserter = Inserter([], mode, writer, sizes.of_a_part(mode, rows), 0)
    for chunk in chunks:
        inserter.add(chunk)
    return inserter.finish(schema), rows if mode.arranged else 0


def numbered(chunks: Iterable[pl.DataFrame], first: int) -> Iterator[pl.DataFrame]:
    """The rows with their numbers, from ``first`` on."""
    for chunk in chunks:
        yield chunk.with_columns(pl.int_range(first, first + chunk.height, dtype=pl.Int64).alias(NUMBER))
        first += chunk.height


def _is_same(layout: Layout, mode: VersionMode) -> bool:
    return list(layout.partition_by.items()) == list(mode.partition_by.items()) and layout.cluster_by == mode.cluster_by


def _recast(part: Part, schema: pl.Schema, base: BaseVersion, mode: VersionMode, writer: PartWriter) -> Part:
    metadata = row_numbers.encode(row_numbers.read(part.path)) if mode.arranged else None
    scan = pl.scan_parquet(part.path, glob=False, hive_partitioning=False)
    return writer.plan(schema_change.cast(scan, schema, base.version), part.key, part.number, metadata)


def _cast(chunk: pl.DataFrame, schema: pl.Schema, base: BaseVersion) -> pl.DataFrame:
    return schema_change.cast(chunk.lazy(), schema, base.version).collect()
