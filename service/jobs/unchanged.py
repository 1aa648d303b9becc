"""Unchanged: whether a run made the rows of the newest version again.

Files that were written alike are equal if their rows are, so that their checksums, which exist anyway, decide; a worker
that is kept cannot read the newest version at all. Where they were not (another compression or size of row groups, an
upgrade, other parts), the rows are compared in step until two differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from pyarrow import parquet

from service.jobs.comparison import version_rows
from service.jobs.comparison.version_rows import VersionRows
from service.jobs.messages import Order, Quarantine
from service.model.pipeline import Pipeline
from service.model.version import Column
from service.steps.storage import File, Written

_NUMBER = "number"
_MEMORY = 512 << 20
"""Without a limit of the run."""

# pyarrow ships no types.
_metadata: Any = parquet.read_metadata


def unchanged(
    pipeline: Pipeline, order: Order, written: Written, parts: Sequence[Path], columns: list[Column],
    quarantine: Quarantine,
) -> int | None:  # fmt: skip
    """The number of the newest version if its rows are those of ``parts``, which this run has written; else None.

    A run that has other rows in quarantine is a change: they would be lost.
    """
    base = order.base
    if base is None or order.replay is not None or base.columns != columns:
        return None
    if base.table != pipeline.table or base.native != any(s.deferred for s in pipeline.storage):
        return None
    known = {f.sha256 for f in base.quarantine}
    layout = msgspec.structs.replace(written.layout, key=base.version.layout.key)  # says nothing about the rows
    if any(f.sha256 not in known for f in quarantine.files) or layout != base.version.layout:
        return None
    before = list(_placed(base.version.files, [base.version.path(file) for file in base.version.files]))
    after = list(_placed(written.files, parts))
    if base.alike:
        same = [f.sha256 for f in base.version.files] == [f.sha256 for f in written.files]
    else:
        same = _have_same_rows(before, after, order.grants.memory_bytes, revised=base.revision != order.revision)
    return base.version.version if same else None


_Placed = tuple[int, File, Path]
"""The number of the first row in a part, and the part."""


def _placed(files: Sequence[File], paths: Sequence[Path]) -> Iterator[_Placed]:
    first = 0
    for file, path in zip(files, paths, strict=True):
        if file.rows:
            yield first, file, path
        first += file.rows


def _have_same_rows(before: Sequence[_Placed], after: Sequence[_Placed], memory: int, *, revised: bool) -> bool:
    """``revised``: they were not written with the same settings."""
    if sum(file.rows for _, file, _ in before) != sum(file.rows for _, file, _ in after):
        return False
    earlier = {(first, file.rows): (file.sha256, path) for first, file, path in before}
    shared = set()
    for first, file, path in after:
        checksum, other = earlier.get((first, file.rows), ("", path))
        if checksum == file.sha256:
            shared.add((first, file.rows))
        elif checksum and not revised and _form(path) == _form(other):
            return False
    one, two = (
        [str(path) for first, file, path in side if (first, file.rows) not in shared] for side in (before, after)
    )
    return not one or _are_equal(one, two, memory or _MEMORY)


def _form(path: Path) -> tuple[Any, ...]:
    """What the bytes of a file follow from, beside its rows and the settings: the program and the row groups."""
    metadata = _metadata(path)
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    return metadata.created_by, metadata.metadata, groups


def _are_equal(before: list[str], after: list[str], memory: int) -> bool:
    """Whether two lists of files with equally many rows have the same rows in the same order."""
    schema = version_rows.schema_of(before)
    if version_rows.schema_of(after) != schema:
        return False
    sides = [VersionRows(parts, schema) for parts in (before, after)]
    rows = version_rows.batch_rows(max(side.row_bytes() for side in sides), memory)
    batches = [side.batches([pl.all()], rows, _NUMBER) for side in sides]
    left = sides[0].count()
    one, two = (next(side) for side in batches)
    while True:
        height = min(one.height, two.height)
        if not one.drop(_NUMBER).head(height).equals(two.drop(_NUMBER).head(height)):
            return False
        left -= height
        if not left:
            return True
        one, two = (
            rest.slice(height) if rest.height > height else next(side)
            for rest, side in zip((one, two), batches, strict=True)
        )
