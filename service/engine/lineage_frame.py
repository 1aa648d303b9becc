"""LineageFrame: a Frame that executes nothing and finds out from which columns of its sources each column is made.

Each source is a table without rows that notes which of its columns are read. A column is collected alone: what Polars
then reads, by its own analysis of the plan, is what the column is made from. Filters, sorting and the removal of
duplicates decide which rows there are, not what is in a column, so this frame leaves them out. A SQL query is opaque to
Polars; its columns depend on those that sqlglot finds, or on all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import polars as pl
from polars.io.plugins import register_io_source

from service.engine import query_sql
from service.engine.dry_run_frame import DryRunFrame, Trace
from service.engine.polars_frame import PolarsFrame
from service.expressions import column_origins
from service.steps.frame import Frame, JoinHow, Keep, RowLocal


class Source:
    """A table without rows. ``read`` are the columns that were read since it was cleared."""

    def __init__(self, schema: pl.Schema) -> None:
        self.schema = schema
        self.read: set[str] = set()

    @property
    def lazy(self) -> pl.LazyFrame:
        """The table, for a plan."""
        return register_io_source(self._read, schema=self.schema)

    def _read(self, columns: list[str] | None, *_: Any) -> Iterator[pl.DataFrame]:
        wanted = list(self.schema) if columns is None else columns
        self.read.update(wanted)
        yield pl.DataFrame(schema={name: self.schema[name] for name in wanted})


class _EveryRow(pl.LazyFrame):
    """A lazy table whose rows cannot be removed."""

    def filter(self, *_: Any, **__: Any) -> Self:
        return self

    def remove(self, *_: Any, **__: Any) -> Self:
        return self

    def drop_nulls(self, *_: Any, **__: Any) -> Self:
        return self

    def unique(self, *_: Any, **__: Any) -> Self:
        return self

    def sort(self, *_: Any, **__: Any) -> Self:
        return self


class LineageFrame(DryRunFrame):
    """A lazy table whose columns can be traced to the columns of its sources."""

    @classmethod
    def over(cls, source: Source, folder: Path) -> LineageFrame:
        """The rows of a source."""
        frame = cls(source.lazy, folder)
        frame._trace = Trace()
        return frame

    def origins(self, sources: Sequence[Source]) -> dict[str, list[list[str]]]:
        """For each column, and for each source, the columns of that source from which it is made."""
        alone = {name: self._read([name], sources) for name in self.schema}
        return {name: [_ordered(s, r) for s, r in zip(sources, self._needed(name, alone, sources), strict=True)]
                for name in self.schema}  # fmt: skip

    def _needed(self, name: str, alone: dict[str, list[set[str]]], sources: Sequence[Source]) -> list[set[str]]:
        """What is read for the values of a column: for a constant Polars reads any column, for the number of rows.

        With another column, which needs others of that source, it does not read these for the number of rows.
        """
        found = list(alone[name])
        for place, read in enumerate(found):
            others = (n for n, reads in alone.items() if read and reads[place] and not reads[place] >= read)
            if (other := next(others, None)) is not None and not self._read([name, other], sources)[place] >= read:
                found[place] = set()
        return found

    def _read(self, columns: list[str], sources: Sequence[Source]) -> list[set[str]]:
        for source in sources:
            source.read.clear()
        self._lf.select(columns).collect(engine="in-memory")
        return [set(source.read) for source in sources]

    def _stage(self, *, keep: bool = False) -> None:
        return

    def rows(self, step: RowLocal) -> PolarsFrame:
        every = _EveryRow._from_pyldf(self._lf._ldf)
        return self._next(pl.LazyFrame._from_pyldf(step(every)._ldf), expensive=True)

    def distinct(self, keys: Sequence[str] | None = None, *, keep: Keep = "first") -> PolarsFrame:
        return self

    def sort(self, by: Sequence[str], *, descending: Sequence[bool]) -> PolarsFrame:
        return self

    def group(
        self, by: Sequence[str], aggregates: Sequence[pl.Expr], *, prepared: Sequence[pl.Expr] = ()
    ) -> PolarsFrame:
        types = super().group(by, aggregates, prepared=prepared).schema
        made = [
            (name := a.meta.output_name(), _made_from(list(dict.fromkeys(a.meta.root_names())), types[name]))
            for a in aggregates
        ]
        columns = [*map(pl.col, by), *(value.alias(name) for name, value in made)]
        return self._next(_selected(self._lf.with_columns(prepared), columns), expensive=True)

    def union(self, others: Sequence[Frame]) -> PolarsFrame:
        frames = [self, *(frame for frame in others if isinstance(frame, PolarsFrame))]
        united = super().union(others).schema
        beside = [frame.lazy.select(pl.all().name.prefix(f"{place} ")) for place, frame in enumerate(frames)]
        columns = [
            _made_from([f"{place} {name}" for place, f in enumerate(frames) if name in f.schema], dtype).alias(name)
            for name, dtype in united.items()
        ]
        return self._next(pl.concat(beside, how="horizontal").select(columns), expensive=True)

    def join(self, other: Frame, on: Sequence[str], *, how: JoinHow = "inner") -> PolarsFrame:
        joined = super().join(other, on, how=how)
        added = joined.schema.names()[len(self.schema) :]
        theirs = [name for name in other.schema if name not in on]
        if not isinstance(other, PolarsFrame) or joined.schema.names()[: len(self.schema)] != self.schema.names():
            return joined
        if len(added) != len(theirs):
            return self if not added else joined
        keys = on if how == "full" else ()  # a row that only the other table has brings its key
        if not theirs and not keys:
            return self
        mine = self._lf.select(pl.all().name.prefix("0 "))
        brought = other.lazy.select(pl.col(*on, *theirs).name.prefix("1 "))  # Polars reads the first for their number
        columns = [
            _made_from([f"0 {name}", f"1 {name}"], dtype).alias(name)
            if name in keys
            else pl.col(f"0 {name}").alias(name)
            for name, dtype in self.schema.items()
        ]
        columns += [pl.col(f"1 {name}").alias(new) for name, new in zip(theirs, added, strict=True)]
        return self._next(pl.concat([mine, brought], how="horizontal").select(columns), expensive=True)

    def query(self, sql: str) -> PolarsFrame:
        made = query_sql.described(sql, self.schema).schema
        origins = column_origins.of_query(sql, list(self.schema), list(made))
        columns = [_made_from(origins[name], dtype).alias(name) for name, dtype in made.items()]
        return self._next(_selected(self._lf, columns), expensive=False)


def _selected(lf: pl.LazyFrame, columns: list[pl.Expr]) -> pl.LazyFrame:
    """These columns. For the number of rows Polars reads the first that needs any: one that is made from all."""
    if len({bool(column.meta.root_names()) for column in columns}) < 2:
        return lf.select(columns)
    every = _made_from(lf.collect_schema().names(), pl.Null()).alias("\0")
    return lf.select(every, *columns).drop("\0")


def _made_from(columns: Sequence[str], dtype: pl.DataType) -> pl.Expr:
    """Null, but not without these columns."""
    nothing = pl.lit(None, dtype)
    return pl.when(pl.struct(columns).is_null()).then(nothing).otherwise(nothing) if columns else nothing


def _ordered(source: Source, read: set[str]) -> list[str]:
    return [name for name in source.schema if name in read]
