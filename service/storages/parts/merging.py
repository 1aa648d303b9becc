"""Merging: rows with a known key take the place of the earlier ones. Only parts with changed rows are written.

Which parts have a key of the batch is found by a join of the batch with the key columns alone, over the row groups
whose statistics allow it; nothing is stored for it beside the parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from service.kit import errors, lazy
from service.storages.parts import partitions, row_numbers, setting_columns, sizes
from service.storages.parts.batch import INDEX, PLACE, Batch, Lookup
from service.storages.parts.part import MARK, NUMBER, Part, PartWriter
from service.values.version_mode import VersionMode

if TYPE_CHECKING:
    import polars as pl

    from service.engine import kept_rows, memory
else:
    pl = lazy.module("polars")
    kept_rows, memory = lazy.module("service.engine.kept_rows"), lazy.module("service.engine.memory")

_PATH = f"{MARK}path"
_ROW = f"{MARK}row"


@dataclass
class Merged:
    """The parts with the changed rows; the rows that must move to another place, with their numbers; and which rows
    of the batch have a new key (a mask)."""

    parts: list[Part]
    new: pl.Series
    moved: list[pl.DataFrame] = field(default_factory=list)


def merge(parts: Sequence[Part], batch: Batch, mode: VersionMode, writer: PartWriter, folder: Path) -> Merged:
    """Put the rows of the batch, which have different keys, in the place of the rows with their keys."""
    matched = _matched(parts, batch, mode.key)
    new = pl.Series([True]).new_from_index(0, batch.rows) if batch.rows else pl.Series([], dtype=pl.Boolean)
    new = new.scatter(matched[INDEX], False) if matched.height else new
    merged = Merged([], new)
    lookup = Lookup(batch, matched, folder / "matched")
    removes = mode.on_delete == "remove"
    for place, part in enumerate(parts):
        hits = lookup.count(place)
        if hits == 0 and not removes:
            merged.parts.append(part)
        elif hits:
            _update(part, lookup.rows(place), mode, writer, merged)
    lookup.close()
    return merged


def check_key(key: Sequence[str], schema: pl.Schema, step: str) -> None:
    """Raise ``errors.Permanent`` for columns that cannot be a key."""
    for column in key:
        if setting_columns.type_of(column, schema, step, "key").is_nested():
            raise errors.Permanent(f"the column '{column}' has lists or objects, which cannot be a key", step=step,
                                   field="key")  # fmt: skip


def check_earlier(parts: Sequence[Part], key: Sequence[str], version: int, step: str) -> None:
    """Check the rows of a version that another mode or key made.

    Raises ``errors.Permanent`` if rows have no key or that of another one: a merge would never make them unique.
    """
    if not parts:
        return
    keys = pl.scan_parquet([part.path for part in parts], glob=False, hive_partitioning=False).select(key)
    present = pl.all_horizontal(pl.col(list(key)).is_not_null())
    missing = int(keys.select((~present).sum()).collect(engine="streaming").item())
    repeated = kept_rows.repeats(keys.filter(present), key, memory.Memory()) if not missing else 0
    for count, what in ((missing, "do not have the key"), (repeated, "repeat the key")):
        if count:
            raise errors.Permanent(
                f"{count} rows of version {version} {what} ({', '.join(key)}), which identifies a row under merge; "
                "choose another key, store unique rows with the mode replace first, or execute with full_refresh",
                step=step, field="key",
            )  # fmt: skip


def _matched(parts: Sequence[Part], batch: Batch, key: Sequence[str]) -> pl.DataFrame:
    """``INDEX`` of each row of the batch with a known key, and ``PLACE`` of the part that has it."""
    nothing = pl.DataFrame(schema={INDEX: pl.UInt32, PLACE: pl.UInt32})
    if not parts or not batch.rows:
        return nothing
    keys = batch.keys(key)
    scan = pl.scan_parquet(
        [part.path for part in parts], glob=False, hive_partitioning=False, include_file_paths=_PATH
    ).select(*key, _PATH)
    low, high = keys.select(pl.col(key[0]).min().alias("low"), pl.col(key[0]).max().alias("high")).row(0)
    dtype = keys.schema[key[0]]
    if not dtype.is_float() and not isinstance(dtype, pl.Enum | pl.Categorical | pl.Binary | pl.Boolean):
        bounds = pl.lit(low, dtype=dtype), pl.lit(high, dtype=dtype)
        scan = scan.filter(pl.col(key[0]) >= bounds[0], pl.col(key[0]) <= bounds[1])
    places = pl.DataFrame({_PATH: [str(p.path) for p in parts]}).with_row_index(PLACE)
    found = scan.join(keys.lazy(), on=list(key), how="inner").select(INDEX, _PATH).collect(engine="streaming")
    return found.join(places, on=_PATH, how="inner").select(INDEX, PLACE).sort(INDEX)


def _update(part: Part, rows: pl.DataFrame, mode: VersionMode, writer: PartWriter, merged: Merged) -> None:
    """Add ``part`` with the rows of the batch in it to ``merged``: the same part if they change nothing."""
    numbers = row_numbers.read(part.path) if mode.arranged else None
    written: list[Part] = []
    moved: list[pl.DataFrame] = []
    changed, offset = False, 0
    for chunk in part.chunks(_chunk_rows(part)):
        before = chunk
        if numbers is not None:
            before = chunk.with_columns(numbers.slice(offset, chunk.height).alias(NUMBER))
        offset += chunk.height
        after, gone = _updated(before, rows, mode)
        changed |= after is not before
        moved += [gone] if gone is not None else []
        if after.height:
            written.append(writer.frame(after, part.key, part.number if not written else None))
    if changed:
        merged.parts += written
        merged.moved += moved
        return
    for one in written:
        one.path.unlink()
    merged.parts.append(part)


def _chunk_rows(part: Part) -> int:
    return part.rows if part.rows <= 2 * sizes.CHUNK else sizes.CHUNK // 2


def _updated(before: pl.DataFrame, rows: pl.DataFrame, mode: VersionMode) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """``before`` itself if nothing changes, else its rows after the merge; and rows that belong elsewhere now."""
    names = [n for n in before.columns if n != NUMBER]
    hits = _hits(before.select(mode.key).with_row_index(_ROW), rows.select(mode.key).with_row_index(INDEX), mode.key)
    removed = before.height - hits.height if mode.on_delete == "remove" else 0
    old, new = before[hits[_ROW]], rows.select(names)[hits[INDEX]]
    if not removed and old.select(names).equals(new):
        return before, None
    if NUMBER in before.columns:
        new = new.with_columns(old[NUMBER])
    moves = _moves(old, new, mode)
    gone = new.filter(moves) if moves is not None and moves.any() else None
    stay = ~moves if gone is not None and moves is not None else None
    places = pl.DataFrame({_ROW: hits[_ROW], INDEX: pl.int_range(hits.height, eager=True) + before.height})
    order = pl.int_range(before.height, dtype=pl.Int64, eager=True)
    kept = pl.Series([mode.on_delete != "remove"]).new_from_index(0, before.height)
    kept = kept.scatter(hits[_ROW], True if stay is None else stay)
    order = order.scatter(places[_ROW], places[INDEX])
    return pl.concat([before, new.select(before.columns)])[order.filter(kept)], gone


def _hits(before: pl.DataFrame, rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """The rows of ``before`` with those that have their keys; NaN is a key, which the engine for data in memory misses
    where one row meets one."""
    joined = before.lazy().join(rows.lazy(), on=list(key), how="inner", maintain_order="left")
    return joined.collect(engine="streaming" if before.height == rows.height == 1 else "in-memory")


def _moves(old: pl.DataFrame, new: pl.DataFrame, mode: VersionMode) -> pl.Series | None:
    """Which of the new rows belong to another partition, or to another place in it, than the old ones."""
    if not mode.arranged:
        return None
    made = [*partitions.expressions(mode.partition_by), *(pl.col(c) for c in mode.cluster_by)]
    before, after = old.select(made), new.select(made)
    differs = [before[name].ne_missing(after[name]) for name in before.columns]
    return pl.DataFrame(differs).select(pl.any_horizontal(pl.all())).to_series()


def every(moved: Iterable[pl.DataFrame]) -> pl.DataFrame | None:
    """All moved rows by their numbers; None without any."""
    rows = list(moved)
    return pl.concat(rows).sort(NUMBER) if rows else None
