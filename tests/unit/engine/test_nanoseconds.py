"""Moments, times and durations with nanoseconds in SQL: exact, or an error that says what to write; never cut."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.engine import row_sql
from service.engine.polars_frame import PolarsFrame
from service.values import polars_errors

TICKS = 1_704_067_200_123_456_000
WHOLE, ODD = TICKS, TICKS + 789


def column(kind: str, *ticks: int) -> pl.Series:
    types: dict[str, Any] = {
        "ts": pl.Datetime("ns"), "tz": pl.Datetime("ns", "Europe/Berlin"), "t": pl.Time(), "d": pl.Duration("ns")
    }  # fmt: skip
    day = 86_400_000_000_000
    return pl.Series(kind, [t % day if kind in ("t", "d") else t for t in ticks], dtype=pl.Int64).cast(types[kind])


def expression(text: str, *columns: pl.Series) -> list[Any]:
    frame = pl.DataFrame(list(columns))
    compiled = row_sql.compiled(text, frame.schema)
    return frame.lazy().select(compiled.expr().alias("x")).collect()["x"].to_list()


def query(text: str, folder: Path, *columns: pl.Series, file: bool) -> pl.DataFrame:
    frame = pl.DataFrame(list(columns))
    path = folder / "rows.parquet"
    frame.write_parquet(path)
    source = PolarsFrame(pl.scan_parquet(path), folder, files=[path]) if file else PolarsFrame(frame.lazy(), folder)
    return source.query(text).lazy.collect()


REFUSED = [
    ("ts + INTERVAL 1 DAY", "ts"), ("ts - INTERVAL '1' HOUR", "ts"), ("ts - ts", "ts"),
    ("coalesce(ts, ts) + INTERVAL 1 DAY", "ts"), ("CASE WHEN true THEN ts END - INTERVAL 1 DAY", "ts"),
    ("tz + INTERVAL 1 DAY", "tz"), ("hour(tz)", "tz"), ("t > TIME '10:00'", "t"), ("t", "t"), ("d", "d"),
    ("d * 2", "d"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), REFUSED)
def test_an_operation_in_microseconds_refuses_nanoseconds(text: str, kind: str) -> None:
    assert expression(text, column(kind, WHOLE)) != [None]
    with pytest.raises(pl.exceptions.PolarsError) as caught:
        expression(text, column(kind, WHOLE, ODD))
    message = polars_errors.translate(caught.value, "processors[0]").message
    assert f"column '{kind}': " in message
    assert "has nanoseconds" in message
    assert "cast it before, to " in message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("epoch_ns(ts)", ODD),
        ("epoch_ns(make_timestamp_ns(epoch_ns(ts) + 1))", ODD + 1),
        ("CAST(ts AS VARCHAR)", "2024-01-01 00:00:00.123456789"),
        ("CAST(ts AS TIMESTAMP) + INTERVAL 1 DAY", dt.datetime(2024, 1, 2, 0, 0, 0, 123457)),
        ("ts = ts", True),
        ("epoch_ns(coalesce(ts, NULL))", ODD),
        ("year(ts) + 1", 2025),
    ],
)
def test_what_is_exact_is_not_refused(text: str, wanted: Any) -> None:
    assert expression(text, column("ts", ODD)) == [wanted]


def test_times_and_moments_in_nanoseconds_are_results() -> None:
    ticks = pl.DataFrame(column("ts", ODD)).lazy()
    compiled = row_sql.compiled("CAST('10:00:00.123456789' AS TIME_NS)", pl.Schema({"ts": pl.Datetime("ns")}))
    found = ticks.select(compiled.expr().alias("x")).collect()["x"]
    assert found.to_physical().to_list() == [36_000_123_456_789]
    assert expression("epoch_ns(ts)", column("ts", ODD)) == [ODD]


@pytest.mark.parametrize("file", [True, False])
def test_a_query_keeps_or_refuses_them(tmp_path: Path, file: bool) -> None:
    every = [column(kind, WHOLE, WHOLE + 1000) for kind in ("ts", "tz", "t", "d")]
    found = query("SELECT * FROM input ORDER BY ts", tmp_path, *every, file=file)
    assert found.equals(pl.DataFrame(every))
    assert found.schema == pl.DataFrame(every).schema
    odd = query("SELECT ts, max(ts) OVER () AS m FROM input", tmp_path, column("ts", ODD), file=file)
    assert odd.select(pl.all().to_physical()).row(0) == (ODD, ODD)
    for kind in ("tz", "t", "d"):
        with pytest.raises(ValueError, match=rf"column '{kind}': .* has nanoseconds"):
            query("SELECT * FROM input", tmp_path, column(kind, ODD), file=file)
    for text in ("SELECT ts + INTERVAL 1 DAY AS x FROM input", "SELECT avg(ts) AS x FROM input",
                 "WITH a AS (SELECT ts AS u FROM input) SELECT u - INTERVAL 1 DAY AS x FROM a"):  # fmt: skip
        with pytest.raises(ValueError, match=r"column 'ts': .* has nanoseconds"):
            query(text, tmp_path, column("ts", ODD), file=file)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("file", [True, False])
def test_a_duration_is_as_long_in_every_unit(tmp_path: Path, unit: Any, file: bool) -> None:
    five = pl.Series("d", [dt.timedelta(seconds=5)], dtype=pl.Duration(unit))
    assert query("SELECT epoch(d) AS s FROM input", tmp_path, five, file=file)["s"].to_list() == [5.0]
