"""Plans as bytes, for other processes; and what is done to every part, which is sent once where it is long.

A list of a hundred thousand values is 800 kB in each plan that has it. Such steps become a file that all tasks read,
over a place where each task puts the source of its own part.
"""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import polars.io.plugins as plugins

from service.kit import errors
from service.steps.frame import RowLocal

LONG = 64 << 10
"""Bytes that a step adds to a plan, above which it is sent once."""
_ROWS = 100_000
_head = threading.local()


def encode(lf: pl.LazyFrame) -> bytes:
    """The plan as bytes. Raises ``errors.Permanent`` if a function in it cannot be sent."""
    try:
        data = lf.serialize()
    except Exception as error:  # of pickle, in the words of Polars
        raise errors.Permanent(f"a function of this step cannot be sent to the executors ({_line(error)}); use the "
                               "engine polars") from error  # fmt: skip
    assert isinstance(data, bytes)
    return data


def decode(data: bytes) -> pl.LazyFrame:
    """The plan that another process has encoded."""
    return pl.LazyFrame.deserialize(io.BytesIO(data))


def sample() -> bytes:
    """A plan with a function of ours in it: an executor that can execute it has what all others need."""
    return encode(pl.LazyFrame({"a": [1]}).select(pl.col("a").map_batches(_same, return_dtype=pl.Int64)))


def _same(values: pl.Series) -> pl.Series:
    return values


def applied(
    step: RowLocal, parts: Sequence[pl.LazyFrame], schema: pl.Schema, folder: Callable[[], Path]
) -> list[pl.LazyFrame]:
    """The parts, which have this schema, with the step applied to each; ``folder`` is shared with the executors."""
    made = [step(part) for part in parts]
    if len(encode(made[0])) - len(encode(parts[0])) < LONG:
        return made
    path = folder() / "step"
    path.write_bytes(encode(step(plugins.register_io_source(_Head(), schema=schema))))
    whole = made[0].collect_schema()
    return [plugins.register_io_source(_Part(path, encode(part)), schema=whole) for part in parts]


class _Head:
    """The source of a part in the plan of a shipped step: that of the thread which decodes the plan."""

    def __init__(self, lf: pl.LazyFrame | None = None) -> None:
        self._lf = lf

    def __reduce__(self) -> tuple[Callable[[], _Head], tuple[()]]:
        return _bound, ()

    def __call__(
        self, wanted: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        assert self._lf is not None
        return _batches(self._lf, wanted, predicate, rows)


def _bound() -> _Head:
    return _Head(_head.lf)


@dataclass(frozen=True)
class _Part:
    """A part: the file ``path`` has the end of its plan, and ``source`` the beginning."""

    path: Path
    source: bytes

    def __call__(
        self, wanted: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        _head.lf = decode(self.source)
        try:
            lf = decode(_read(self.path))
        finally:
            _head.lf = None
        return _batches(lf, wanted, predicate, rows)


@functools.lru_cache(4)
def _read(path: Path) -> bytes:
    return path.read_bytes()


def _batches(
    lf: pl.LazyFrame, wanted: list[str] | None, predicate: pl.Expr | None, rows: int | None
) -> Iterator[pl.DataFrame]:
    lf = lf if rows is None else lf.head(rows)
    lf = lf if predicate is None else lf.filter(predicate)
    lf = lf if wanted is None else lf.select(wanted)
    yield from lf.collect_batches(chunk_size=_ROWS, engine="streaming")


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1][:200] if str(error).strip() else type(error).__name__
