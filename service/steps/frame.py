"""Frame: the one lazy plan between collecting and storing, and the operations that a step may do with it.

*Row-local* steps need one row and already fitted parameters: ``rows``. *Whole-frame* operations need other rows and are
a short, closed list. ``measure`` and ``write`` execute, others only where the memory of the run asks for more passes.
A processor that keeps to these runs on any engine with this protocol; ``engine.polars_frame`` is the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from service.steps.metric import Metric, Values
from service.values.losses import Conversion, LostValues

if TYPE_CHECKING:
    import polars as pl

RowLocal = Callable[["pl.LazyFrame"], "pl.LazyFrame"]
Explain = Callable[["pl.exceptions.PolarsError"], Exception | None]
Parts = Callable[[], "Sequence[pl.LazyFrame]"]
Keep = Literal["first", "last", "none", "any"]
JoinHow = Literal["inner", "left", "full"]


class Frame(Protocol):
    """A lazy table, immutable for the caller: every operation returns a new frame."""

    @property
    def schema(self) -> pl.Schema:
        """Column names and Polars types, resolved without reading rows."""

    def rows(self, step: RowLocal) -> Frame:
        """Apply Polars expressions that need one row at a time (no aggregate, window, sort or collect)."""

    def convert(self, step: str, expressions: Sequence[pl.Expr | Conversion], *, only: bool = False) -> Frame:
        """Row-local expressions as new columns, or with ``only`` as all columns; lost values are counted for ``step``.

        They are counted when all rows are computed for the first time, whenever that is (``losses``). Computing fails
        with ``errors.Permanent`` where a conversion loses more than it may.
        """

    @property
    def losses(self) -> Sequence[LostValues]:
        """What the conversions of this frame, and of those that it comes from, have lost, as far as it was counted."""

    def on_error(self, explain: Explain) -> Frame:
        """The same rows. When their computation fails, ``explain`` may return a better error, or None."""

    def measure(self, metrics: Iterable[Metric], *, steady: bool = False) -> Values:
        """Compute all the metrics in few passes; with ``steady``, means and deviations depend on no order of additions.

        Executes. Stages the frame first where its source would otherwise be parsed again, so that later
        operations on this same frame start from the stage.
        """

    def distinct(self, keys: Sequence[str] | None = None, *, keep: Keep = "first") -> Frame:
        """One row for each combination of ``keys`` (all columns when None); the row order stays. May execute."""

    def union(self, others: Sequence[Frame]) -> Frame:
        """The rows of all frames one after another, columns by name, missing columns null."""

    def join(self, other: Frame, on: Sequence[str], *, how: JoinHow = "inner") -> Frame:
        """Join by equal keys; the left order stays. Null keys match nothing."""

    def group(self, by: Sequence[str], aggregates: Sequence[pl.Expr], *, prepared: Sequence[pl.Expr] = ()) -> Frame:
        """One row for each combination of ``by`` with the aggregates, in order of first appearance.

        ``prepared`` are row-local columns that the aggregates read.
        """

    def per_group(self, by: Sequence[str], order_by: Sequence[str], made: Sequence[pl.Expr]) -> Frame:
        """New or changed columns, each over the whole group of its row (windows, ordered fills, rolling).

        An expression sees its group sorted by ``order_by`` (stable, nulls last). Without ``by`` all rows are one
        group; rows with null keys are one, too. The row order stays.
        """

    def scan(self, parts: Sequence[Path]) -> Frame:
        """Another frame of the same engine over the rows of stored Parquet files, in order."""

    def query(self, sql: str) -> Frame:
        """The result of a SELECT over this frame as the table ``input``, by the rules of DuckDB.

        Executes, and stages the result. Raises ``ValueError`` if the query does not fit the columns or fails at a row.
        """

    def with_row_index(self, name: str) -> Frame:
        """The frame with a new first column: each row's number, from 0."""

    def sort(self, by: Sequence[str], *, descending: Sequence[bool]) -> Frame:
        """Stable sort, nulls and NaN last."""

    def write(
        self, target: Path, *, compression: str, compression_level: int | None, row_group_size: int | None
    ) -> int:
        """Execute into one Parquet file and return the number of rows written."""


class FrameFactory(Protocol):
    """Makes frames of one engine; ``Context.frame`` explains the arguments."""

    def __call__(
        self, lf: pl.LazyFrame, folder: Path, *, expensive: bool = True, explain: Explain | None = None,
        row_bytes: int = 0, files: Sequence[Path] = (), parts: Parts | None = None,
    ) -> Frame: ...  # fmt: skip
