"""Values that do not fit their type under ``schema``: an error, or missing, counted and bounded."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from service.collectors.api import ApiCollector
from service.engine.polars_frame import PolarsFrame
from service.kit import errors
from service.steps.context import CollectContext
from service.steps.metric import Metric
from service.values.losses import LostValues
from tests.unit.collectors.file_source import collector, surroundings
from tests.unit.network.site import Reply, context, serving

TEXT = b"a,v\n1,12.5\n2,n/a\n3,\n4,7\n"
LINES = b'{"a":1,"v":"12.5"}\n{"a":2,"v":"n/a"}\n{"a":3}\n{"a":4,"v":"7"}'
NESTED = b'{"a":1,"v":"12.5"}\n{"a":2,"v":{"n":"/a"}}'


def parquet(folder: Path, **columns: Any) -> bytes:
    path = folder / "made.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path.read_bytes()


def counted(ctx: CollectContext, kind: str, **config: Any) -> tuple[pl.DataFrame, list[LostValues]]:
    """The rows of a collection and what it lost."""
    chosen = collector(kind, **config)
    assert list(chosen.problems()) == []
    frame = asyncio.run(chosen.collect(ctx))
    assert isinstance(frame, PolarsFrame)
    frame.measure([Metric("", "rows")])
    return frame.lazy.collect(), list(frame.losses)


@pytest.fixture
def ctx(tmp_path: Path) -> CollectContext:
    first, second = parquet(tmp_path, a=[1, 2], v=["12.5", "n/a"]), parquet(tmp_path, a=[3, 4], v=[None, 7])
    two = {"n-1.parquet": first, "n-2.parquet": second}
    one = parquet(tmp_path, a=[1, 2, 3, 4], v=["12.5", "n/a", None, "7"])
    halves = {"h-1.csv": TEXT[:16], "h-2.csv": b"a,v\n" + TEXT[16:]}
    return surroundings(tmp_path, {"t.csv": TEXT, "t.json": LINES, "t.parquet": one, **two, **halves})


EVERY = [("csv", "t.csv"), ("csv", "h-*.csv"), ("json", "t.json"), ("parquet", "t.parquet"), ("parquet", "n-*.parquet")]


@pytest.mark.parametrize(("kind", "path"), EVERY)
@pytest.mark.parametrize("settings", [{"on_error": "null"}, {"on_error": None}, {"max_lost_share": 0.4}])
def test_a_value_that_does_not_fit_is_missing_and_counted(
    ctx: CollectContext, kind: str, path: str, settings: dict[str, Any]
) -> None:
    found, losses = counted(ctx, kind, file_path=path, schema={"v": "float64"}, **settings)
    assert found["v"].to_list() == [12.5, None, None, 7.0]
    assert found.columns == ["a", "v"]
    (loss,) = losses
    assert (loss.step, loss.setting, loss.column) == ("collectors[0]", "schema", "v")
    assert (loss.count, loss.known, loss.samples, loss.rows) == (1, 3, ["n/a"], [2])


@pytest.mark.parametrize(("kind", "path"), EVERY)
@pytest.mark.parametrize("settings", [{}, {"max_lost_share": 0}, {"on_error": "fail"}])
def test_by_default_such_a_value_fails(ctx: CollectContext, kind: str, path: str, settings: dict[str, Any]) -> None:
    with pytest.raises((errors.Permanent, pl.exceptions.PolarsError), match="n/a"):
        counted(ctx, kind, file_path=path, schema={"v": "float64"}, **settings)


@pytest.mark.parametrize(("kind", "path"), EVERY)
@pytest.mark.parametrize("settings", [{"max_lost_share": 0.3}, {"on_error": "null", "max_lost_share": 0}])
def test_too_many_fail_the_run(ctx: CollectContext, kind: str, path: str, settings: dict[str, Any]) -> None:
    with pytest.raises(errors.Permanent, match=r"1 of 3 values \(33.3%\).*'n/a'.*max_lost_share") as caught:
        counted(ctx, kind, file_path=path, schema={"v": "float64"}, **settings)
    assert caught.value.details["field"] == "schema.v"


def test_half_of_the_values_may_be_lost_by_default(tmp_path: Path) -> None:
    ctx = surroundings(tmp_path, {"a.csv": b"v\nx\n1\n", "b.csv": b"v\nx\ny\n1\n"})
    assert counted(ctx, "csv", file_path="a.csv", schema={"v": "int64"}, on_error="null")[0]["v"].to_list() == [None, 1]
    with pytest.raises(errors.Permanent, match="max_lost_share"):
        counted(ctx, "csv", file_path="b.csv", schema={"v": "int64"}, on_error="null")
    accepted, _ = counted(ctx, "csv", file_path="b.csv", schema={"v": "int64"}, on_error="null", max_lost_share=1)
    assert accepted["v"].to_list() == [None, None, 1]


def test_an_inferred_type_never_loses_a_value(tmp_path: Path) -> None:
    rows = b"v\n" + b"1\n" * 300_000 + b"x\n" + b"1\n" * 300_000
    ctx = surroundings(tmp_path, {"a.csv": rows})
    with pytest.raises((errors.Permanent, pl.exceptions.PolarsError), match="x does not fit int64"):
        counted(ctx, "csv", file_path="a.csv", infer_rows=10, on_error="null", max_lost_share=1)


@pytest.mark.parametrize(
    ("values", "dtype", "kept"),
    [
        ([1, 2.5, None], "int64", [1, None, None]),
        ([1, 300], "int8", [1, None]),
        (["2024-02-29", "2023-02-29"], "date", ["2024-02-29", None]),
        ([2**53, 2**53 + 1], "float64", [2.0**53, None]),
        ([["1"], ["x"]], "list(int64)", [[1], [None]]),
    ],
)
def test_values_of_an_api(values: list[Any], dtype: str, kept: list[Any], tmp_path: Path) -> None:
    with serving(lambda _: Reply.json([{"v": value} for value in values])) as site:
        settings = {"type": "api", "endpoint": site.address, "schema": {"v": dtype}, "on_error": "null"}
        frame = asyncio.run(msgspec.convert(settings, ApiCollector).collect(context(tmp_path)))
    frame.measure([Metric("", "rows")])
    assert isinstance(frame, PolarsFrame)
    column = frame.lazy.collect()["v"]
    shown = column.cast(pl.String) if dtype == "date" else column
    assert shown.to_list() == kept
    assert [loss.count for loss in frame.losses] == [1]


NANO = "2024-01-01T00:00:00.123456789"


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_digits_beyond_microseconds_do_not_fit_a_datetime(tmp_path: Path, kind: str) -> None:
    times = [NANO, NANO[:-3] + "000", "2024-01-01"]
    bodies = {
        "csv": ("t\n" + "\n".join(times)).encode(),
        "json": "\n".join(f'{{"t":"{t}"}}' for t in times).encode(),
        "parquet": parquet(tmp_path, t=times),
    }
    ctx = surroundings(tmp_path, {"a": bodies[kind]})
    settings: dict[str, Any] = {"file_path": "a", "schema": {"t": "datetime"}}
    with pytest.raises((errors.Permanent, pl.exceptions.PolarsError), match="123456789"):
        counted(ctx, kind, **settings)
    found, losses = counted(ctx, kind, on_error="null", **settings)
    assert found["t"].is_null().to_list() == [True, False, False]
    assert [loss.samples for loss in losses] == [[NANO]]


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_digits_beyond_its_scale_do_not_fit_a_decimal(tmp_path: Path, kind: str, quote: str) -> None:
    numbers = ["0.125", "1.500", "7"]
    bodies = {
        "csv": ("v\n" + "\n".join(numbers)).encode(),
        "json": "\n".join(f'{{"v":{quote}{n}{quote}}}' for n in numbers).encode(),
        "parquet": parquet(tmp_path, v=numbers if quote else [float(n) for n in numbers]),
    }
    ctx = surroundings(tmp_path, {"a": bodies[kind]})
    settings: dict[str, Any] = {"file_path": "a", "schema": {"v": "decimal(10,2)"}}
    with pytest.raises((errors.Permanent, pl.exceptions.PolarsError), match=r"0\.125"):
        counted(ctx, kind, **settings)
    found, losses = counted(ctx, kind, on_error="null", **settings)
    assert found["v"].to_list() == [None, Decimal("1.50"), Decimal("7.00")]
    assert [loss.samples for loss in losses] == [["0.125"]]


def test_a_column_with_such_digits_is_not_taken_for_datetimes(tmp_path: Path) -> None:
    ctx = surroundings(tmp_path, {"a.csv": f"t,u\n{NANO},2024-01-01T00:00:00.123456\n".encode()})
    found, _ = counted(ctx, "csv", file_path="a.csv", try_parse_dates=True)
    assert found.schema == {"t": pl.String, "u": pl.Datetime("us")}
