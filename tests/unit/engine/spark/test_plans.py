"""Plans of collectors can be sent to another process: the functions in them are found there by their names."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pytest

from service.collectors.csv_file import wide_batches
from service.collectors.csv_file.checked_columns import CheckedColumn
from service.engine import row_sql
from service.values import parse


def sent(lf: pl.LazyFrame) -> pl.DataFrame:
    return pl.LazyFrame.deserialize(io.BytesIO(lf.serialize())).collect()


@pytest.mark.parametrize(
    "dtype",
    [pl.Decimal(10, 2), pl.Int32(), pl.Float64(), pl.Boolean(), pl.Date(), pl.Datetime("us"), pl.Time()],
    ids=str,
)
def test_texts_read_as_types(dtype: pl.DataType) -> None:
    texts = pl.LazyFrame({"a": ["1.50", "x", "true", "2024-02-29", "2024-02-29 10:00:00", "10:00", None]})
    lf = texts.with_columns(b=parse.tolerantly(pl.col("a"), dtype))
    assert sent(lf).equals(lf.collect(), null_equal=True)


@pytest.mark.parametrize("columns", [3, 600])
def test_csv_files(tmp_path: Path, columns: int) -> None:
    names = [f"c{n}" for n in range(columns)]
    source = tmp_path / "a.csv"
    source.write_text(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    checks = [CheckedColumn(name, pl.Int64(), "schema says so") for name in names]
    lf = wide_batches.read(pl.scan_csv(source, infer_schema=False), names, checks)
    assert sent(lf).equals(pl.DataFrame({name: [1] for name in names}))


def test_expressions_of_users() -> None:
    rows = pl.LazyFrame({"a": [1, None, 3]})
    lf = row_sql.derive(rows, "b", row_sql.compiled("coalesce(a, 0) * 2", rows.collect_schema()))
    assert sent(lf)["b"].to_list() == [2, 0, 6]
