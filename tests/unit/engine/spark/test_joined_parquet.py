"""Parquet files that are joined are the file that Polars writes of all rows, byte by byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.spark import compact_thrift, joined_parquet
from tests.unit.engine.every_kind import EVERY_KIND

GROUP = 40
ROWS = pl.concat([EVERY_KIND] * 101).with_row_index("row").with_columns(
    t=pl.col("row").hash(1).cast(pl.String), same=pl.lit("x")
)  # fmt: skip


def written(rows: pl.LazyFrame, path: Path, **more: Any) -> Path:
    chosen: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "row_group_size": GROUP} | more
    rows.sink_parquet(path, engine="streaming", **chosen)
    return path


@pytest.mark.parametrize("groups", [1, 2, 5])
@pytest.mark.parametrize("more", [{}, {"compression": "snappy", "compression_level": None}, {"row_group_size": 1000}])
def test_the_file_is_that_of_all_rows(tmp_path: Path, groups: int, more: dict[str, Any]) -> None:
    step = groups * GROUP
    whole = written(ROWS.lazy(), tmp_path / "whole.parquet", **more)
    step = groups * more.get("row_group_size", GROUP)
    parts = [
        written(ROWS.lazy().slice(at, step), tmp_path / f"{at}.parquet", **more) for at in range(0, ROWS.height, step)
    ]
    target = tmp_path / "joined.parquet"
    assert joined_parquet.join(parts, target) == ROWS.height
    assert pl.read_parquet(target).equals(ROWS, null_equal=True)
    assert target.read_bytes() == whole.read_bytes()


def test_rows_that_are_made_of_many_plans_make_the_same_file(tmp_path: Path) -> None:
    whole = written(ROWS.lazy(), tmp_path / "whole.parquet")
    files = [written(ROWS.lazy().slice(at, 7), tmp_path / f"f{at}.parquet") for at in range(0, ROWS.height, 7)]
    divided = written(pl.concat([pl.scan_parquet(file) for file in files]), tmp_path / "divided.parquet")
    assert divided.read_bytes() == whole.read_bytes()


def test_a_file_that_is_not_whole_here_makes_no_version(tmp_path: Path) -> None:
    """Shared storage may show a file before all of it."""
    data = written(ROWS.lazy(), tmp_path / "whole.parquet").read_bytes()
    short, footer = tmp_path / "short.parquet", int.from_bytes(data[-8:-4], "little")
    for content, error in (
        (data[:-100], "does not end like a Parquet file"),
        (data[:4] + data[-8 - footer :], "less here than its footer says"),
    ):
        short.write_bytes(content)
        with pytest.raises((OSError, ValueError), match=error):
            joined_parquet.join([short], tmp_path / "joined.parquet")
    for cut in (10, 100, footer - 1):
        with pytest.raises(ValueError, match="ends in the middle"):
            compact_thrift.decode(data[-8 - footer : -8 - footer + cut])


structs = st.recursive(
    st.dictionaries(
        st.integers(1, 300),
        st.one_of(
            st.tuples(st.just(compact_thrift.I64), st.integers(-(2**63), 2**63 - 1)),
            st.tuples(st.just(compact_thrift.BINARY), st.binary(max_size=200)),
            st.builds(lambda on: (compact_thrift.TRUE if on else compact_thrift.FALSE, on), st.booleans()),
            st.tuples(st.just(compact_thrift.DOUBLE), st.binary(min_size=8, max_size=8)),
            st.tuples(st.just(compact_thrift.LIST), st.lists(st.integers(0, 99), max_size=20).map(
                lambda items: compact_thrift.Items(compact_thrift.I32, items)
            )),
        ),
        max_size=6,
    ),
    lambda inner: st.dictionaries(st.integers(1, 99), st.tuples(st.just(compact_thrift.STRUCT), inner), max_size=4),
)  # fmt: skip


@given(structs)
def test_what_is_written_is_read_back(value: compact_thrift.Struct) -> None:
    assert compact_thrift.decode(compact_thrift.encode(value)) == value
