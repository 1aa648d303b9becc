"""Compaction: once a version has many small parts, the next run writes neighbours together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from service.kit import lazy
from service.storages.parts import row_numbers, sizes
from service.storages.parts.part import Part, PartWriter
from service.values.version_mode import VersionMode

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")


def compacted(parts: Sequence[Part], mode: VersionMode, writer: PartWriter, target: int) -> list[Part]:
    """The parts; if too many are small, neighbours of one partition become parts of about ``target`` rows."""
    groups = _groups(parts, target)
    if sum(len(group) for group in groups if len(group) > 1) <= sizes.MOST_SMALL:
        return list(parts)
    return [_merged(group, mode, writer) if len(group) > 1 else group[0] for group in groups]


def _groups(parts: Sequence[Part], target: int) -> list[list[Part]]:
    groups: list[list[Part]] = []
    for _, neighbours in itertools.groupby(parts, key=lambda part: part.key):
        group: list[Part] = []
        for part in neighbours:
            small = part.rows < target // 2
            if group and not (small and sum(p.rows for p in group) + part.rows <= target):
                groups += _balanced(group)
                group = []
            group.append(part)
            if not small:
                groups.append(group)
                group = []
        if group:
            groups += _balanced(group)
    return groups


def _balanced(group: list[Part]) -> Iterator[list[Part]]:
    """The group without first parts that have more rows than all that follow: a row is merged once for each doubling
    of its part, and not each time that rows were appended."""
    rows = sum(part.rows for part in group)
    for place, part in enumerate(group):
        rows -= part.rows
        if part.rows <= rows or place == len(group) - 1:
            yield group[place:]
            return
        yield [part]


def _merged(group: Sequence[Part], mode: VersionMode, writer: PartWriter) -> Part:
    metadata = None
    if mode.arranged:
        metadata = row_numbers.encode(pl.concat([row_numbers.read(part.path) for part in group]))
    scan = pl.scan_parquet([part.path for part in group], glob=False, hive_partitioning=False)
    return writer.plan(scan, group[0].key, group[0].number, metadata)
