"""Plans of collectors can be sent to another process: the functions in them are found there by their names."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from service.collectors.csv_file import wide_batches
from service.collectors.csv_file.checked_columns import CheckedColumn
from service.engine import row_sql
from service.engine.spark import plans
from service.kit import errors
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


WANTED = [f"value {n}" for n in range(100_000)]


def parts_of(tmp_path: Path) -> list[pl.LazyFrame]:
    for number in range(4):
        rows = pl.DataFrame({"a": [f"value {n}" for n in range(number, 200_000, 40_000)], "n": range(5)})
        rows.write_parquet(tmp_path / f"{number}.parquet")
    return [pl.scan_parquet(tmp_path / f"{number}.parquet") for number in range(4)]


def test_a_long_list_is_sent_once(tmp_path: Path) -> None:
    parts, folder = parts_of(tmp_path), tmp_path / "shared"
    folder.mkdir()

    def step(lf: pl.LazyFrame) -> pl.LazyFrame:
        return lf.filter(pl.col("a").is_in(WANTED)).with_columns(m=pl.col("n") + 1)

    made = plans.applied(step, parts, parts[0].collect_schema(), lambda: folder)
    assert max(len(plans.encode(part)) for part in made) < 4096
    assert min(len(plans.encode(step(part))) for part in parts) > 1_000_000
    (shared,) = folder.iterdir()
    assert shared.stat().st_size < 2_000_000
    for part, whole in zip(made, parts, strict=True):
        assert part.collect_schema() == step(whole).collect_schema()
        assert sent(part).equals(step(whole).collect())
        assert sent(part.select("m").filter(pl.col("m") > 2).head(1)).equals(
            step(whole).select("m").filter(pl.col("m") > 2).head(1).collect()
        )


def test_a_short_step_is_part_of_each_plan(tmp_path: Path) -> None:
    parts = parts_of(tmp_path)
    made = plans.applied(lambda lf: lf.head(1), parts, parts[0].collect_schema(), lambda: tmp_path / "none")
    assert [sent(part).height for part in made] == [1, 1, 1, 1]


def test_parts_of_a_shipped_step_are_executed_beside_each_other(tmp_path: Path) -> None:
    parts, folder = parts_of(tmp_path), tmp_path / "shared"
    folder.mkdir()
    made = plans.applied(
        lambda lf: lf.filter(pl.col("a").is_in(WANTED)), parts, parts[0].collect_schema(), lambda: folder
    )
    once = [part.collect() for part in made]
    with ThreadPoolExecutor(4) as threads:
        assert all(
            found.equals(expected) for found, expected in zip(threads.map(sent, made * 5), once * 5, strict=True)
        )


def test_a_function_that_cannot_be_sent_is_refused(tmp_path: Path) -> None:
    lock = threading.Lock()

    def held(values: pl.Series) -> pl.Series:
        with lock:
            return values

    def step(lf: pl.LazyFrame) -> pl.LazyFrame:
        return lf.with_columns(pl.col("a").map_batches(held))

    parts = parts_of(tmp_path)
    with pytest.raises(errors.Permanent, match="a function of this step cannot be sent to the executors"):
        plans.applied(step, parts, parts[0].collect_schema(), lambda: tmp_path)
