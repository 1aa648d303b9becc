"""Files in the order of a number are read as one table in that order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from service.engine import merged_files
from tests.examples import examples


def written(folder: Path, rows: pl.DataFrame, files: int) -> list[Path]:
    """The rows by their number modulo ``files``, each file in row groups of seven."""
    paths = [folder / f"{number}.parquet" for number in range(files)]
    for number, path in enumerate(paths):
        rows.filter(pl.col("at").hash(7) % files == number).write_parquet(path, row_group_size=7)
    return paths


@examples(40)
@given(st.integers(0, 3_000), st.integers(1, 6), st.sampled_from([1, 700, 1_500, 10_000]), st.booleans())
def test_rows_come_in_order(count: int, files: int, at_once: int, repeated: bool) -> None:
    number = pl.int_range(count, eager=True)
    rows = pl.DataFrame(
        {"at": (number // (3 if repeated else 1)).cast(pl.UInt64), "v": number, "text": number.cast(pl.String)}
    )
    with tempfile.TemporaryDirectory() as folder:
        lf = merged_files.scan(written(Path(folder), rows, files), "at", at_once)
        wanted = rows.drop("at").lazy()
        queries: list[Callable[[pl.LazyFrame], pl.LazyFrame]] = [
            lambda lf: lf, lambda lf: lf.head(5), lambda lf: lf.select(pl.len()), lambda lf: lf.select("text"),
            lambda lf: lf.filter(pl.col("v") % 2 == 0).select("text"), lambda lf: lf.filter(pl.col("v") > 100).head(3),
            lambda lf: lf.with_row_index("n").select("n"), lambda lf: lf.select(pl.col("v").sum()),
            lambda lf: lf.tail(2),
        ]  # fmt: skip
        for query in queries:
            assert_frame_equal(query(lf).collect(engine="streaming"), query(wanted).collect(engine="streaming"))
