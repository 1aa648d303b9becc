"""The next version: its parts from those of the version before and the rows of the run, by the mode of the pipeline."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from service.files import checksums, layout
from service.kit import errors, lazy
from service.steps.context import Context, StorageContext
from service.steps.frame import Frame
from service.steps.storage import Written
from service.storages.parts import compaction, merging, partitions, schema_change, setting_columns, sizes
from service.storages.parts.batch import Batch, deduplicated
from service.storages.parts.inserting import Inserter, order_of
from service.storages.parts.part import Part, PartWriter, check_names
from service.storages.parts.rearranging import numbered, rearranged
from service.values.version_mode import BaseVersion, File, Layout

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_NAME = re.compile(r"part-(\d+)\.parquet$")
_MOST_NUMBER = 99_999


class NextVersion:
    """Makes the parts of a version in ``folder``."""

    def __init__(self, folder: Path, ctx: Context, writer: PartWriter) -> None:
        self._folder = folder
        self._ctx = ctx
        of_pipeline = ctx if isinstance(ctx, StorageContext) else StorageContext(ctx.step, ctx.folder)
        self._mode = of_pipeline.mode
        self._base: BaseVersion | None = of_pipeline.base if self._mode.mode != "replace" else None
        self._writer = writer
        self._scratch = folder / ".parts"

    def write(self, frame: Frame) -> Written:
        """Execute the frame and write what it changes.

        Raises ``errors.Permanent``: a key that is missing, columns that do not fit the settings or the version before.
        """
        mode, step = self._mode, self._ctx.step
        check_names(frame.schema.names(), step)
        merging.check_key(mode.key, frame.schema, step)
        self._scratch.mkdir()
        try:
            parts, run_rows, next_row = self._parts(frame)
            return self._published(parts, run_rows, next_row)
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _parts(self, frame: Frame) -> tuple[list[Part], int, int]:
        """The parts in order, how many rows the run had, and the number of the next new row."""
        mode, base = self._mode, self._base
        before = self._schema_before()
        kept = self._kept()
        fits = before is None or _fits(before, frame.schema)
        if fits and mode.mode != "merge" and not mode.arranged and (base is None or not base.layout.partition_by):
            added = self._appended(frame, before)
            return self._compacted([*kept, *added], mode.mode), sum(p.rows for p in added), 0
        batch, schema = self._batch(frame, before)
        partitions.check(mode.partition_by, schema, self._ctx.step)
        for column in mode.cluster_by:
            setting_columns.type_of(column, schema, self._ctx.step, "cluster_by")
        next_row = base.layout.next_row if base is not None else 0
        if base is not None and before is not None:
            kept, next_row = rearranged(kept, before, schema, base, mode, self._writer, self._scratch)
        if mode.mode == "merge":
            if base is not None and base.layout.key != mode.key:
                merging.check_earlier(kept, mode.key, base.version, self._ctx.step)
            return self._merged(kept, batch, schema, next_row)
        chunks = batch.chunks()
        parts = self._inserted(kept, schema, numbered(chunks, next_row) if mode.arranged else chunks, batch.rows,
                               next_row)  # fmt: skip
        return parts, batch.rows, next_row + batch.rows

    def _merged(self, kept: list[Part], batch: Batch, schema: pl.Schema, next_row: int) -> tuple[list[Part], int, int]:
        mode, run_rows = self._mode, batch.rows
        batch = deduplicated(batch, mode.key, self._scratch, self._ctx)
        merged = merging.merge(kept, batch, mode, self._writer, self._scratch)
        chunks = batch.chunks(merged.new)
        if mode.arranged:
            chunks = numbered(chunks, next_row)
        added = int(merged.new.sum() or 0)
        parts = self._inserted(merged.parts, schema, chunks, added, next_row, merging.every(merged.moved))
        return parts, run_rows, next_row + added

    def _inserted(
        self,
        parts: list[Part],
        schema: pl.Schema,
        chunks: Iterator[pl.DataFrame],
        added: int,
        next_row: int,
        moved: pl.DataFrame | None = None,
    ) -> list[Part]:
        """The parts with the rows of ``chunks`` and those that ``moved`` in their places."""
        mode = self._mode
        total = sum(p.rows for p in parts) + added + (moved.height if moved is not None else 0)
        target = sizes.of_a_part(mode, total)
        inserter = Inserter(parts, mode, self._writer, target, next_row)
        if mode.cluster_by:
            chunks = self._sorted(chunks, moved)
        elif moved is not None:
            inserter.add(moved)
        for chunk in chunks:
            inserter.add(chunk)
        found = inserter.finish(schema)
        if not found:
            found = [self._writer.frame(pl.DataFrame(schema=schema))]
        return compaction.compacted(found, mode, self._writer, target)

    def _sorted(self, chunks: Iterator[pl.DataFrame], moved: pl.DataFrame | None) -> Iterator[pl.DataFrame]:
        """The rows of all, sorted by cluster key and number."""
        folder = self._scratch / "unsorted"
        folder.mkdir()
        for number, chunk in enumerate(itertools.chain([moved] if moved is not None else [], chunks)):
            chunk.write_parquet(folder / f"{number:06d}.parquet", compression="lz4")
        files = sorted(folder.iterdir())
        if not files:
            return
        scan = pl.scan_parquet(files, glob=False, hive_partitioning=False)
        target = self._scratch / "sorted.parquet"
        scan.sort(order_of(self._mode.cluster_by, scan.collect_schema()), nulls_last=True).sink_parquet(
            target, compression="lz4", engine="streaming"
        )
        shutil.rmtree(folder)
        rows = int(pl.scan_parquet(target, glob=False).select(pl.len()).collect().item())
        for offset in range(0, rows, sizes.CHUNK):
            yield pl.scan_parquet(target, glob=False).slice(offset, sizes.CHUNK).collect()

    def _appended(self, frame: Frame, before: pl.Schema | None) -> list[Part]:
        """The rows of the run as one part, in one execution; none if there are no rows beside others."""
        target = self._writer.path()
        if before is not None:
            names = before.names()
            frame = frame.rows(lambda lf: lf.select(names))
        with checksums.Following(target) as followed:
            rows = frame.write(target, **self._writer.options())
        counted = pl.scan_parquet(target, glob=False).select(pl.len()).collect().item()  # from the footer
        if counted != rows:
            raise errors.Permanent(f"{rows} rows were written but {counted} are in the file", step=self._ctx.step)
        if not rows and self._base is not None and any(f.rows for f in self._base.files):
            return []
        return [Part(target, rows, sha256=followed.hexdigest())]

    def _compacted(self, parts: list[Part], mode: str) -> list[Part]:
        if mode == "replace":
            return parts
        target = sizes.of_a_part(self._mode, sum(p.rows for p in parts))
        return compaction.compacted(parts, self._mode, self._writer, target)

    def _schema_before(self) -> pl.Schema | None:
        if self._base is None:
            return None
        return pl.Schema(pl.read_parquet_schema(self._base.path(self._base.files[0])))

    def _kept(self) -> list[Part]:
        """The parts of the version before that have rows."""
        if self._base is None:
            return []
        by, found = self._base.layout.partition_by, []
        for file in self._base.files:
            if file.rows:
                named = _NAME.search(file.name)
                number = int(named[1]) if named is not None else None
                found.append(Part(self._base.path(file), file.rows, partitions.key_of(by, file.name), file, number))
        return found

    def _batch(self, frame: Frame, before: pl.Schema | None) -> tuple[Batch, pl.Schema]:
        """The rows of the run in the schema of the version."""
        path = self._scratch / "batch.parquet"
        rows = frame.write(path, compression="lz4", compression_level=None, row_group_size=None)
        lf = pl.scan_parquet(path, glob=False)
        schema = pl.Schema(lf.collect_schema())
        if before is not None and self._base is not None:
            parts = [self._base.path(file) for file in self._base.files]
            version = self._base.version
            schema = schema_change.united(
                before, schema, schema_change.blank_in(parts), schema_change.blank_in([path]), version
            )
            lf = schema_change.cast(lf, schema, version)
        return Batch(lf, rows), schema

    def _published(self, parts: list[Part], run_rows: int, next_row: int) -> Written:
        """The parts under their names: new ones are in place and flushed, others are links."""
        by = self._mode.partition_by
        files: list[File] = []
        links: dict[str, str] = {}
        for name, part in _named(parts, by, self._ctx.step):
            if part.file is not None:
                files.append(File(name, part.file.bytes, part.file.rows, part.file.sha256))
                links[name] = str(part.path)
                continue
            target = self._folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            part.path.rename(target)
            layout.flush(target)
            target.chmod(0o400)
            files.append(File(name, target.stat().st_size, part.rows, part.sha256))
        for folder in {above for f in files if f.name not in links for above in (self._folder / f.name).parents}:
            if folder.is_relative_to(self._folder):
                layout.flush(folder)
        rows = sum(f.rows for f in files)
        arranged = Layout(
            partition_by=by, cluster_by=self._mode.cluster_by, next_row=next_row if self._mode.arranged else 0,
            key=self._mode.key if self._mode.mode == "merge" else [],
        )  # fmt: skip
        return Written("parquet", files, rows, links, run_rows if self._base is not None else None, arranged)


def _fits(before: pl.Schema, now: pl.Schema) -> bool:
    return len(before) == len(now) and all(before.get(name) == dtype for name, dtype in now.items())


def _named(parts: list[Part], by: partitions.By, step: str) -> Iterator[tuple[str, Part]]:
    """The parts with their names, which sort by their order in each folder; names stay where that allows it."""
    previous: dict[str, int] = {}
    names = []
    for part in parts:
        folder = partitions.folder(by, part.key, step) if part.key else ""
        last = previous.get(folder, -1)
        number = part.number if part.number is not None and part.number > last else last + 1
        previous[folder] = number
        names.append((folder, number))
    if max(previous.values(), default=0) > _MOST_NUMBER:
        previous.clear()
        for place, (folder, _) in enumerate(names):
            previous[folder] = previous.get(folder, -1) + 1
            names[place] = (folder, previous[folder])
    for (folder, number), part in zip(names, parts, strict=True):
        yield f"{folder}/part-{number:05d}.parquet" if folder else f"part-{number:05d}.parquet", part
