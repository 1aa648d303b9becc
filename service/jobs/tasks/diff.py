"""Diff: the task that compares two versions of a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
import polars as pl

from service.jobs.comparison import comparison, version_rows
from service.jobs.comparison.comparison import Comparison
from service.jobs.comparison.pairs import ROW, ColumnPair, Pairs, SideName
from service.jobs.comparison.tally import Tally
from service.jobs.comparison.unmatched import Repeated, Room
from service.jobs.comparison.version_rows import VersionRows
from service.jobs.job import Job
from service.jobs.tasks.task import Comparing
from service.model.version_diff import BeforeAfter, ColumnDiff, RowCounts
from service.query.child import inline
from service.values import drift, dtypes

_SAMPLE_BYTES = 16 << 20
"""Of one kind of sample, about. Longer rows leave room for fewer."""
_BUCKET_SHARE = 12
_BASE_BYTES, _LEAST_BYTES = 320 << 20, 48 << 20
"""What the process holds before it reads anything and what allocators keep, and what is left at least for batches."""


def diff(task: Comparing, job: Job) -> bytes:
    """A ``VersionDiff`` as JSON.

    Raises ``errors.Invalid`` for a key that is not in both versions, ``errors.Conflict`` if rows repeat a key.
    """
    compared = _Compared(task, job)
    compared.run()
    return msgspec.json.encode(compared.answer())


class _Compared:
    """The comparison of a task."""

    def __init__(self, task: Comparing, job: Job) -> None:
        self._task = task
        self._folder = job.folder
        self._memory = max(job.grants.memory_bytes - _BASE_BYTES, _LEAST_BYTES)
        self._schemas: dict[SideName, pl.Schema] = {
            "b": version_rows.schema_of((*task.before.parts, *task.shared)),
            "a": version_rows.schema_of((*task.after.parts, *task.shared)),
        }
        self._pairs = Pairs(self._schemas["b"], self._schemas["a"], task.key)
        self._tally = Tally(self._pairs, task.limit)

    def run(self) -> None:
        """Read both versions once."""
        own = {side: VersionRows(parts, self._schemas[side]) for side, parts in self._parts().items()}
        row_bytes = max(rows.row_bytes() for rows in own.values())
        batch = version_rows.batch_rows(row_bytes, self._memory)
        room = Room(batch, max(self._memory // _BUCKET_SHARE, 1 << 20), Path(self._folder))
        compared = Comparison(own, self._pairs, self._tally, room)
        try:
            compared.run()
        except Repeated:
            compared.ascending = dict.fromkeys(ROW, False)
            self._reject_repeated(own, compared)
            raise
        if not self._task.unique and compared.in_order:
            self._reject_repeated(own, compared)
        self._unpaired = {side: compared.unpaired(side) for side in ROW}
        self._read_shared(batch)

    def _parts(self) -> dict[SideName, tuple[str, ...]]:
        return {"b": self._task.before.parts, "a": self._task.after.parts}

    def _reject_repeated(self, own: dict[SideName, VersionRows], compared: Comparison) -> None:
        versions = {"b": self._task.before.version, "a": self._task.after.version}
        for side, rows in own.items():
            if self._task.key and not compared.ascending[side]:
                comparison.reject_repeated(
                    rows.lazy, self._pairs, side, versions[side], rows.count(), self._memory // 4
                )

    def _read_shared(self, batch: int) -> None:
        """Measure the parts that both versions have; their rows are the same."""
        if not self._task.shared:
            return
        for side in ROW:
            rows = VersionRows(self._task.shared, self._schemas[side])
            for shared in rows.batches(self._pairs.read_columns(side), batch, ROW[side]):
                self._tally.read(side, shared)
                self._tally.paired += shared.height if side == "a" else 0

    def answer(self) -> dict[str, Any]:
        """The fields of the ``VersionDiff``."""
        tally, task = self._tally, self._task
        before, after = tally.rows["b"], tally.rows["a"]
        return {
            "pipeline": task.pipeline,
            "version": task.after.version,
            "against": task.before.version,
            "key": self._pairs.key,
            "rows": RowCounts(
                before=before, after=after, added=after - tally.paired, removed=before - tally.paired,
                changed=tally.changed_rows, unchanged=tally.paired - tally.changed_rows,
            ),
            "columns": self._columns(),
            "samples": {
                "added": self._records(self._unpaired["a"], "a"),
                "removed": self._records(self._unpaired["b"], "b"),
                "changed": self._changed(tally.samples.rows),
            },
        }  # fmt: skip

    def _columns(self) -> list[ColumnDiff]:
        psi = drift.by_column(self._task.before.profiles, self._task.after.profiles)
        return [self._column(i, pair, psi.get(pair.name)) for i, pair in enumerate(self._pairs.columns)]

    def _column(self, number: int, pair: ColumnPair, psi: float | None) -> ColumnDiff:
        sums = {side: self._tally.sums[side, number] if pair.type_in(side) is not None else None for side in ROW}
        rows = self._tally.rows
        missing = {side: s.missing / rows[side] if s and rows[side] else None for side, s in sums.items()}
        mean = {side: s.mean if s else None for side, s in sums.items()}
        dtype = pair.after if pair.after is not None else pair.before
        assert dtype is not None
        return ColumnDiff(
            name=pair.name, change=_change(pair), type=dtypes.name_of(dtype), changed=self._tally.changed[number],
            missing_share=BeforeAfter(before=missing["b"], after=missing["a"]),
            mean=BeforeAfter(before=mean["b"], after=mean["a"]), psi=psi,
        )  # fmt: skip

    def _changed(self, rows: pl.DataFrame | None) -> list[dict[str, msgspec.Raw]]:
        if rows is None:
            return []
        keys = self._json(self._pairs.rows(rows, "a").select(self._pairs.key))
        before, after = self._records(rows, "b"), self._records(rows, "a")
        return [{"key": k, "before": b, "after": a} for k, b, a in zip(keys, before, after, strict=False)]

    def _records(self, rows: pl.DataFrame | None, side: SideName) -> list[msgspec.Raw]:
        return [] if rows is None else self._json(self._pairs.rows(rows, side))

    def _json(self, rows: pl.DataFrame) -> list[msgspec.Raw]:
        """The rows in the form in which ``GET …/data`` answers them."""
        rows = rows.head(max(1, _SAMPLE_BYTES * rows.height // max(int(rows.estimated_size()), _SAMPLE_BYTES)))
        path = Path(self._folder / "sample.parquet")
        rows.write_parquet(path, compression="uncompressed", statistics=False)
        found = msgspec.json.decode(inline.rendered(path, {}, {}), type=_Rendered)
        return found.data


class _Rendered(msgspec.Struct):
    data: list[msgspec.Raw]


def _change(pair: ColumnPair) -> Literal["added", "removed", "retyped"] | None:
    if pair.before is None:
        return "added"
    if pair.after is None:
        return "removed"
    return "retyped" if pair.before != pair.after else None
