"""The merge of an incremental collection: stored records of earlier runs, new records, and the state for the next run.

The state of a collector (``steps.context.State``) holds the records themselves, as they came, and the cursors. So each
version is computed from all records by the current configuration: a changed processor sees the old rows too.

With a primary key a new record replaces the old one of its key. Without a key the records at the boundary, which the
source sends again, are compared record by record: one that comes as often as before is not a new record.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from service.collectors.http_api import cursor_times, incremental
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
_SMALL = 1024 * 1024  # bytes; parts smaller than this are merged if there are too many
_EARLIER = "earlier versions"


class Memory(msgspec.Struct, frozen=True):
    """The state beside the records: the settings that they were fetched with, the cursors, and their files in order."""

    asked: dict[str, Any]
    cursors: dict[str, Cursor]
    parts: list[str]


class Accumulation:
    """The merge of one collection. ``asked`` are the settings that the records depend on: if one changed, the
    collection starts again.

    ``foreign`` are columns of the parent: without a key, they do not count when records are compared.
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
        """A spool that already holds the stored records."""
        found = Spool(self._ctx.folder)
        for path in self._known:
            found.adopt(path, _EARLIER)
        return found

    def start(self, listing: str) -> Cursor | None:
        """The cursor to request a record list from (by ``RecordList.key``)."""
        self._starts[listing] = self._settings.start(self._usable(self._before.cursors.get(listing)), self._ctx)
        return self._starts[listing]

    def _usable(self, cursor: Cursor | None) -> Cursor | None:
        """``cursor``, unless it is a time in the future, which a single record may have set."""
        if cursor is None:
            return None
        order = self._order_of([cursor])
        at = incremental.comparable(pl.lit(str(cursor)), order, self._settings.cursor_format)
        middle = float(cursor) if order in cursor_times.NUMBERS else None
        latest = cursor_times.latest(self._settings.cursor_field, order, middle, self._ctx.now)
        return cursor if latest is None or pl.select(at <= latest).item() else None

    def _order_of(self, cursors: list[Cursor]) -> Order:
        nothing = pl.LazyFrame(schema={_AT: pl.String})
        return incremental.order_of(nothing, _AT, cursors, self._ctx, self._settings.cursor_format)

    def finish(self, spool: Spool, cut: Collection[str]) -> Spool:
        """All records after the merge; also writes the state.

        ``cut`` are the keys of lists that were not read to their end. Raises ``errors.Permanent``.
        """
        first, rows = len(self._known), _Rows(spool, len(self._known))
        cursors = dict(self._before.cursors)
        dropped: list[pl.Series] = []
        gone: list[pl.Series] = []
        if first < len(spool.parts):
            column = self._settings.column(rows.new.collect_schema().names(), self._ctx)
            starts = [start for start in self._starts.values() if start is not None]
            format_ = self._settings.cursor_format
            order = incremental.order_of(rows.new, column, [*cursors.values(), *starts], self._ctx, format_)
            at = incremental.comparable(pl.col(column), order, format_)
            asked = self._started(order)
            dropped.append(self._older(rows.new, at, asked, column))
            asked = self._reaching_back(rows.new, at, asked)
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
            f"{', '.join(sorted(changed))} changed since the last version, so its records may differ; all records are "
            "fetched again",
            changed=sorted(changed),
        )  # fmt: skip
        return nothing

    def _started(self, order: Order) -> pl.DataFrame:
        found = pl.DataFrame(
            {PARENT: list(self._starts), _START: [None if s is None else str(s) for s in self._starts.values()]},
            schema={PARENT: pl.String, _START: pl.String},
        )
        return found.with_columns(incremental.comparable(pl.col(_START), order, self._settings.cursor_format))

    def _reaching_back(self, new: pl.LazyFrame, at: pl.Expr, starts: pl.DataFrame) -> pl.DataFrame:
        """The starts, or the oldest new record if it is older: known records from there on may have come again."""
        oldest = new.group_by(PARENT).agg(at.min().alias(_AT)).collect(engine="streaming")
        least = pl.when(pl.col(_START).is_not_null()).then(pl.min_horizontal(_START, _AT))
        return starts.join(oldest, on=PARENT, how="left").select(PARENT, least.alias(_START))

    def _older(self, new: pl.LazyFrame, at: pl.Expr, starts: pl.DataFrame, column: str) -> pl.Series:
        """Records before ``initial``, which are left out. Others before the start of the request are only counted: what
        a source sends is never dropped because of a cursor."""
        asked = new.select(PARENT, _ROW, at.alias(_AT)).join(starts.lazy(), on=PARENT)
        older = asked.filter(pl.col(_AT) < pl.col(_START)).select(PARENT, _ROW).collect(engine="streaming")
        cut = older.filter(~pl.col(PARENT).is_in(list(self._before.cursors)))[_ROW]
        if older.height:
            kept = older.height - len(cut)
            what = "are left out" if not kept else "are kept" if not len(cut) else f"are left out ({len(cut)}) or kept"
            self._ctx.warn(
                "older_records",
                f"{older.height} records have a '{column}' before the start of the request and {what}; if that happens "
                f"in every run, the source may not know the parameter '{self._settings.param}'",
                rows=older.height, left_out=len(cut),
            )  # fmt: skip
        return cut

    def _reached(
        self, fresh: pl.LazyFrame, column: str, at: pl.Expr, order: Order, cut: Collection[str]
    ) -> dict[str, Cursor]:
        """The cursor after the new records, by list. That of a cut list stays, unless its records ascend."""
        seen = fresh.select(PARENT, _ROW, pl.col(column), at.alias(_AT))
        seen = self._until_now(seen, column, order)
        tops = seen.group_by(PARENT).agg(pl.col(_AT).max(), pl.col(_AT).null_count().alias(_TIMES))
        found = tops.collect(engine="streaming")
        missing = int(found[_TIMES].sum())
        if missing:
            self._ctx.warn(
                "no_cursor", f"{missing} records have no '{column}'; later changes to them are missed", rows=missing
            )
        where = seen.join(found.select(PARENT, _AT).lazy(), on=[PARENT, _AT])
        texts = where.group_by(PARENT).agg(pl.col(column).last()).collect(engine="streaming")
        reached: dict[str, Cursor] = {}
        held = self._descending(seen, cut)
        for listing, value in texts.iter_rows():
            before = self._before.cursors.get(listing)
            known = [v for v in (self._usable(before), value) if v is not None]
            top = incremental.newest(known, order, self._settings.cursor_format)
            if top is not None and listing not in held:
                reached[listing] = top
        if held:
            self._ctx.warn(
                "cursor_held",
                "the cursor stays where it was: not all records were read, and they do not come in the order of "
                f"'{column}'",
            )
        return reached

    def _until_now(self, seen: pl.LazyFrame, column: str, order: Order) -> pl.LazyFrame:
        """``seen`` without records in the future, which must not move the cursor past what comes until then."""
        middle = None
        if order in cursor_times.NUMBERS:
            middle = seen.select(pl.col(_AT).median()).collect(engine="streaming").item()
        latest = cursor_times.latest(column, order, middle, self._ctx.now)
        if latest is None:
            return seen
        future = pl.col(_AT) > latest
        ahead = seen.filter(future).select(pl.len(), pl.col(column).last()).collect(engine="streaming").row(0)
        if ahead[0]:
            self._ctx.warn(
                "future_cursor",
                f"{ahead[0]} records have a '{column}' in the future, such as '{ahead[1]}'; the cursor stays at the "
                "newest one that has passed, so these are requested again",
                rows=ahead[0],
            )  # fmt: skip
        return seen.filter(~future | pl.col(_AT).is_null())

    def _descending(self, seen: pl.LazyFrame, cut: Collection[str]) -> set[str]:
        if not cut:
            return set()
        stopped = seen.filter(pl.col(PARENT).is_in(list(cut))).sort(_ROW).collect()
        falls = stopped.group_by(PARENT).agg((pl.col(_AT) < pl.col(_AT).shift()).any().alias("falls"))
        return set(falls.filter("falls")[PARENT])

    def _by_key(self, rows: _Rows, fresh: pl.LazyFrame, at: pl.Expr) -> tuple[pl.Series, pl.Series]:
        """Indexes of new rows that duplicate known ones, and of known rows that they replace."""
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
        both = known.select(_ROW, _TIMES).collect(engine="streaming")  # a known row and the new row of its key
        old, new = rows.hashed(both[_ROW], known=True), rows.hashed(both[_TIMES], known=False)
        same = both.join(old, on=_ROW).join(new, left_on=_TIMES, right_on=_ROW)
        unchanged = same.filter(pl.col(_HASH) == pl.col(f"{_HASH}_right"))[_TIMES]
        changed = both.filter(~pl.col(_TIMES).is_in(unchanged.implode()))[_ROW]
        return pl.concat([dropped, unchanged]), changed

    def _by_value(
        self, rows: _Rows, fresh: pl.LazyFrame, at: pl.Expr, starts: pl.DataFrame
    ) -> tuple[pl.Series, pl.Series]:
        """Indexes of new rows that repeat known ones at the boundary, each as often as it is known."""
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
        """Write the counts of the merge to the evidence."""
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
        """The cursor; the greatest of several lists."""
        every = list(cursors)
        return incremental.newest(every, self._order_of(every), self._settings.cursor_format)

    def _written(self, spool: Spool, first: int, gone: pl.Series, dropped: pl.Series) -> Spool:
        """The remaining parts in order: new files, and known ones that stay as they are."""
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
                spool.write(left, target)
            whole.adopt(target, label)
        return whole

    def _compact(self, spool: Spool) -> Spool:
        """The same rows in fewer parts if there are too many: adjacent small parts become one."""
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
                spool.write(spool.scan(place, end).collect(engine="streaming"), path)
            fewer.adopt(path, label)
            place = end
        return fewer

    def _target(self) -> Path:
        """The path of a new part."""
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
            if path.name not in kept:  # it was merged into another part
                path.unlink()


class _Rows:
    """Known rows (those of the first ``split`` parts) and new rows, each with its index and its parent's key."""

    def __init__(self, spool: Spool, split: int) -> None:
        self.spool, self.split = spool, split
        self.known = spool.scan(last=split).with_row_index(_ROW)
        self.new = spool.scan(first=split).with_row_index(_ROW)

    def hashed(self, rows: pl.Series, *, known: bool, without: Collection[str] = ()) -> pl.DataFrame:
        """A hash for each of these rows, equal for equal rows (``without`` some columns).

        Reads the parts that hold them, one by one.
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
