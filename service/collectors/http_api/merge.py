"""Accumulation: records that came before and those that came now, as one; and what to remember of them.

What a collector remembers (``State``) are the records themselves, as they came, and the cursors. So a version is
always made of all records, by the configuration of now, as if all of them had been fetched: an average is one of all
rows, and a processor that was changed sees the old rows, too. A part of them whose records all stand stays as it is;
one that has records which were changed is written again without them.

With a primary key the new one of two equal records stands. Without one the boundary, which is asked for again, is
compared record by record: what came again, as often as it came before, is no new record.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from service.collectors.http_api import incremental
from service.collectors.http_api.for_each import PARENT
from service.collectors.http_api.incremental import Cursor, Incremental, Order
from service.collectors.records.spool import Spool
from service.kit import errors, lazy
from service.steps.context import CollectContext

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

FILE = "state.json"
_ROW, _AT, _START, _HASH, _TIMES = (f"_penstock_{name}" for name in ("row", "at", "start", "hash", "times"))
_MOST_PARTS = 32
_SMALL = 1024 * 1024  # bytes; so small ones are put together where there are too many parts
_EARLIER = "earlier versions"


class Memory(msgspec.Struct, frozen=True):
    """What is remembered beside the records: what they were asked for by, how far, and their files in order."""

    asked: dict[str, Any]
    cursors: dict[str, Cursor]
    parts: list[str]


class Accumulation:
    """One collection. ``asked`` is what the records depend on: where it changed, all begins anew.

    ``foreign`` are columns that are not the records' own: without a key, records are equal whatever stands there.
    """

    def __init__(
        self,
        settings: Incremental,
        key: list[str],
        asked: Mapping[str, Any],
        ctx: CollectContext,
        foreign: Collection[str] = (),
    ) -> None:
        self._settings, self._key, self._ctx, self._foreign = settings, key, ctx, foreign
        self._asked = msgspec.to_builtins(asked)
        self._before = self._remembered()
        self._number = max((int(Path(n).stem.split("-")[-1]) for n in self._before.parts), default=-1)
        self._starts: dict[str, Cursor | None] = {}

    def spool(self) -> Spool:
        """A spool that has what is remembered already."""
        found = Spool(self._ctx.folder)
        for path in self._known:
            found.adopt(path, _EARLIER)
        return found

    def start(self, listing: str) -> Cursor | None:
        """From where to ask for that list of records (``children.Listing.key``)."""
        self._starts[listing] = self._settings.start(self._before.cursors.get(listing), self._ctx)
        return self._starts[listing]

    def finish(self, spool: Spool, cut: Collection[str]) -> Spool:
        """All records, after the new ones were compared; what is to be remembered is written.

        ``cut`` are the lists that were not read to their end. Raises ``errors.Permanent``.
        """
        first, rows = len(self._known), _Rows(spool, len(self._known))
        cursors = dict(self._before.cursors)
        dropped: list[pl.Series] = []
        gone: list[pl.Series] = []
        if first < len(spool.parts):
            column = self._settings.column(rows.new.collect_schema().names(), self._ctx)
            starts = [start for start in self._starts.values() if start is not None]
            order = incremental.order_of(rows.new, column, [*cursors.values(), *starts], self._ctx)
            at = incremental.comparable(pl.col(column), order)
            asked = self._started(order)
            dropped.append(self._older(rows.new, at, asked, column))
            fresh = _without(rows.new, dropped)
            cursors |= self._reached(fresh, column, at, order, cut)
            found = self._by_key(rows, fresh, at) if self._key else self._by_value(rows, fresh, at, asked)
            dropped.append(found[0])
            gone.append(found[1])
        self._account(rows, dropped, gone, cursors)
        whole = self._compact(self._written(spool, first, _sorted(gone), _sorted(dropped)))
        self._remember(whole, cursors)
        return whole

    @property
    def _known(self) -> list[Path]:
        state = self._ctx.state
        if state is None or state.earlier is None:
            return []
        return [state.earlier / name for name in self._before.parts]

    def _remembered(self) -> Memory:
        state, nothing = self._ctx.state, Memory(self._asked, {}, [])
        if state is None or state.earlier is None or not (state.earlier / FILE).is_file():
            return nothing
        memory = msgspec.json.decode((state.earlier / FILE).read_bytes(), type=Memory)
        changed = [n for n in {**memory.asked, **self._asked} if memory.asked.get(n) != self._asked.get(n)]
        if not changed:
            return memory
        self._ctx.warn(
            "starts_again",
            f"{', '.join(sorted(changed))} changed since the last version, so that its records may be others; all are "
            "fetched again",
            changed=sorted(changed),
        )  # fmt: skip
        return nothing

    def _started(self, order: Order) -> pl.DataFrame:
        found = pl.DataFrame(
            {PARENT: list(self._starts), _START: [None if s is None else str(s) for s in self._starts.values()]},
            schema={PARENT: pl.String, _START: pl.String},
        )
        return found.with_columns(incremental.comparable(pl.col(_START), order))

    def _older(self, new: pl.LazyFrame, at: pl.Expr, starts: pl.DataFrame, column: str) -> pl.Series:
        """Records of before the start, which nobody asked for."""
        asked = new.select(PARENT, _ROW, at.alias(_AT)).join(starts.lazy(), on=PARENT)
        found = asked.filter(pl.col(_AT) < pl.col(_START)).select(_ROW).collect(engine="streaming")[_ROW]
        if len(found):
            self._ctx.warn(
                "older_records",
                f"{len(found)} records have a '{column}' of before what was asked for, and are left out; does the "
                f"source know the parameter '{self._settings.param}'?",
                rows=len(found),
            )  # fmt: skip
        return found

    def _reached(
        self, fresh: pl.LazyFrame, column: str, at: pl.Expr, order: Order, cut: Collection[str]
    ) -> dict[str, Cursor]:
        """The cursor after the new records, by list. One that was cut stays where it is, unless its records ascend."""
        seen = fresh.select(PARENT, _ROW, pl.col(column), at.alias(_AT))
        tops = seen.group_by(PARENT).agg(pl.col(_AT).max(), pl.col(_AT).null_count().alias(_TIMES))
        found = tops.collect(engine="streaming")
        missing = int(found[_TIMES].sum())
        if missing:
            self._ctx.warn(
                "no_cursor", f"{missing} records have no '{column}'; changes of them are not noticed", rows=missing
            )
        where = seen.join(found.select(PARENT, _AT).lazy(), on=[PARENT, _AT])
        texts = where.group_by(PARENT).agg(pl.col(column).last()).collect(engine="streaming")
        reached: dict[str, Cursor] = {}
        held = self._descending(seen, cut)
        for listing, value in texts.iter_rows():
            before = self._before.cursors.get(listing)
            top = incremental.newest([v for v in (before, value) if v is not None], order)
            if top is not None and listing not in held:
                reached[listing] = top
        if held:
            self._ctx.warn(
                "cursor_held",
                "the cursor stays where it was: not all records were read, and they do not come in the order of "
                f"'{column}'",
            )
        return reached

    def _descending(self, seen: pl.LazyFrame, cut: Collection[str]) -> set[str]:
        if not cut:
            return set()
        stopped = seen.filter(pl.col(PARENT).is_in(list(cut))).sort(_ROW).collect()
        falls = stopped.group_by(PARENT).agg((pl.col(_AT) < pl.col(_AT).shift()).any().alias("falls"))
        return set(falls.filter("falls")[PARENT])

    def _by_key(self, rows: _Rows, fresh: pl.LazyFrame, at: pl.Expr) -> tuple[pl.Series, pl.Series]:
        """New rows that are no news, and known ones in whose place new ones stand."""
        names = fresh.collect_schema().names()
        for name in self._key:
            if name not in names:
                hint = errors.did_you_mean(name, names)
                raise errors.Permanent(f"no record has '{name}'{hint}", step=self._ctx.step, field="primary_key")
        keys = [PARENT, *self._key]
        keyed = fresh.select(*keys, _ROW, at.alias(_AT)).filter(pl.all_horizontal(pl.col(self._key).is_not_null()))
        twice = keyed.group_by(keys).agg(pl.len().alias(_TIMES)).filter(pl.col(_TIMES) > 1)
        among = keyed.join(twice.select(keys), on=keys, how="semi").collect(engine="streaming")
        last = among.sort(_AT, _ROW, nulls_last=False).group_by(keys).agg(pl.col(_ROW).last())
        dropped = among.join(last, on=_ROW, how="anti")[_ROW]
        if not rows.split:
            return dropped, _none()
        left = _without(keyed, [dropped]).select(*keys, _ROW)
        known = rows.known.select(*keys, _ROW).join(left, on=keys).rename({f"{_ROW}_right": _TIMES})
        both = known.select(_ROW, _TIMES).collect(engine="streaming")  # a known row, and the new one of its key
        old, new = rows.hashed(both[_ROW], known=True), rows.hashed(both[_TIMES], known=False)
        same = both.join(old, on=_ROW).join(new, left_on=_TIMES, right_on=_ROW)
        unchanged = same.filter(pl.col(_HASH) == pl.col(f"{_HASH}_right"))[_TIMES]
        changed = both.filter(~pl.col(_TIMES).is_in(unchanged.implode()))[_ROW]
        return pl.concat([dropped, unchanged]), changed

    def _by_value(
        self, rows: _Rows, fresh: pl.LazyFrame, at: pl.Expr, starts: pl.DataFrame
    ) -> tuple[pl.Series, pl.Series]:
        """New rows that are there already: those that were asked for again, as often as they are known."""
        if not rows.split:
            return _none(), _none()
        near = rows.known.select(PARENT, _ROW, at.alias(_AT)).join(starts.lazy(), on=PARENT)
        unsure = pl.col(_START).is_null() | pl.col(_AT).is_null()
        again = near.filter(unsure | (pl.col(_AT) >= pl.col(_START))).select(_ROW).collect(engine="streaming")
        if not again.height:
            return _none(), _none()
        whose = [PARENT, _HASH]
        times = rows.hashed(again[_ROW], known=True, without=self._foreign).group_by(whose).agg(pl.len().alias(_TIMES))
        places = fresh.select(_ROW).collect(engine="streaming")[_ROW]
        came = rows.hashed(places, known=False, without=self._foreign).sort(_ROW)
        came = came.with_columns(pl.int_range(pl.len()).over(whose).alias(_AT)).join(times, on=whose)
        return came.filter(pl.col(_AT) < pl.col(_TIMES))[_ROW], _none()

    def _account(
        self, rows: _Rows, dropped: list[pl.Series], gone: list[pl.Series], cursors: Mapping[str, Cursor]
    ) -> None:
        """The evidence of it."""
        changed, known = sum(map(len, gone)), sum(rows.spool.heights[: rows.split])
        brought = sum(rows.spool.heights[rows.split :]) - sum(map(len, dropped))
        self._ctx.add_evidence({
            "cursor_before": self._shown(self._before.cursors.values()),
            "cursor_after": self._shown(cursors.values()),
            "known_rows": known,
            "added_rows": brought - changed,
            "changed_rows": changed,
        })  # fmt: skip
        self._ctx.set_row_count(known + brought - changed)

    def _shown(self, cursors: Iterable[Cursor]) -> Cursor | None:
        """The cursor; of several lists the greatest."""
        every = list(cursors)
        nothing = pl.LazyFrame(schema={_AT: pl.String})
        return incremental.newest(every, incremental.order_of(nothing, _AT, every, self._ctx))

    def _written(self, spool: Spool, first: int, gone: pl.Series, dropped: pl.Series) -> Spool:
        """The parts that are left, in their order: new files, and known ones that stay as they are."""
        whole = Spool(self._ctx.folder)
        offsets = [*itertools.accumulate(spool.heights[:first], initial=0)][:first]
        offsets += [*itertools.accumulate(spool.heights[first:], initial=0)][: len(spool.parts) - first]
        for place, (path, label, begin) in enumerate(zip(spool.parts, spool.labels, offsets, strict=True)):
            without = gone if place < first else dropped
            low, high = bisect.bisect_left(without, begin), bisect.bisect_left(without, begin + spool.heights[place])
            if high - low == spool.heights[place]:
                continue
            if low == high and place < first:
                whole.adopt(path, label)
                continue
            target = self._target()
            if low == high:
                path.replace(target)
            else:
                every = pl.read_parquet(path, glob=False).with_row_index(_ROW)
                left = every.filter(~pl.col(_ROW).is_in((without[low:high] - begin).implode())).drop(_ROW)
                left.write_parquet(target, compression="lz4", statistics=False)
            whole.adopt(target, label)
        return whole

    def _compact(self, spool: Spool) -> Spool:
        """The same rows in fewer parts, where there are too many: small ones that are neighbours become one."""
        if len(spool.parts) <= _MOST_PARTS:
            return spool
        fewer, place = Spool(self._ctx.folder), 0
        small = [path.stat().st_size < _SMALL for path in spool.parts]
        while place < len(small):
            end = place + 1
            while end < min(len(small), place + _MOST_PARTS) and small[place] and small[end]:
                end += 1
            path, label = spool.parts[place], spool.labels[place]
            if end > place + 1:
                path = self._target()
                spool.scan(place, end).collect(engine="streaming").write_parquet(path, compression="lz4")
            fewer.adopt(path, label)
            place = end
        return fewer

    def _target(self) -> Path:
        """A file for a part."""
        folder = self._ctx.folder if self._ctx.state is None else self._ctx.state.folder
        folder.mkdir(parents=True, exist_ok=True)
        self._number += 1
        return folder / f"rows-{self._number:06d}.parquet"

    def _remember(self, whole: Spool, cursors: dict[str, Cursor]) -> None:
        state = self._ctx.state
        if state is None:
            return
        memory = Memory(self._asked, cursors, [path.name for path in whole.parts])
        state.folder.mkdir(parents=True, exist_ok=True)
        (state.folder / FILE).write_bytes(msgspec.json.encode(memory))
        self._ctx.keep_state(path.name for path in whole.parts if path.parent == state.earlier)
        kept = {FILE, *memory.parts}
        for path in state.folder.iterdir():
            if path.name not in kept:  # what was put together with others
                path.unlink()


class _Rows:
    """Known rows (of the first ``split`` parts) and new ones, both with their number and whose they are."""

    def __init__(self, spool: Spool, split: int) -> None:
        self.spool, self.split = spool, split
        self.known = spool.scan(last=split).with_row_index(_ROW)
        self.new = spool.scan(first=split).with_row_index(_ROW)

    def hashed(self, rows: pl.Series, *, known: bool, without: Collection[str] = ()) -> pl.DataFrame:
        """For each of these rows a number that equal rows (``without`` some columns) have alike.

        Reads the parts that have them, one by one.
        """
        places = range(self.split) if known else range(self.split, len(self.spool.parts))
        rows = rows.unique().sort()
        found, begin = [_nothing()], 0
        for place in places:
            end = begin + self.spool.heights[place]
            here = rows[bisect.bisect_left(rows, begin) : bisect.bisect_left(rows, end)]
            if len(here):
                lf = self.spool.part(place).with_row_index(_ROW, offset=begin)
                some = lf.filter(pl.col(_ROW).is_in(here.implode()))
                value = pl.struct(pl.exclude(PARENT, _ROW, *without)).hash().alias(_HASH)
                found.append(some.select(PARENT, _ROW, value).collect())
            begin = end
        return pl.concat(found)


def _nothing() -> pl.DataFrame:
    return pl.DataFrame(schema={PARENT: pl.String, _ROW: pl.UInt32, _HASH: pl.UInt64})


def _none() -> pl.Series:
    return pl.Series(_ROW, [], dtype=pl.UInt32)


def _sorted(rows: list[pl.Series]) -> pl.Series:
    return pl.concat([_none(), *rows]).unique().sort()


def _without(lf: pl.LazyFrame, rows: list[pl.Series]) -> pl.LazyFrame:
    every = _sorted(rows)
    return lf.join(every.to_frame(_ROW).lazy(), on=_ROW, how="anti") if len(every) else lf
