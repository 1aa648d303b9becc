"""One column has one type, whatever the format and the way; long values and odd numbers are answered as they are."""

from __future__ import annotations

import base64
import datetime as dt
import io
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.ipc as ipc
import pyarrow.parquet as parquet
import pytest

from service.kit import errors
from service.query.answer import Answer
from service.query.engine import Engine
from tests.acceptance import warehouse
from tests.acceptance.warehouse import Warehouse, answered, document, store

LONG = dt.timedelta(minutes=1, seconds=30, microseconds=1500)
FRAME = pl.DataFrame(
    {
        "id": [1, 2, 3],
        "ms": pl.Series([dt.timedelta(seconds=5), None, dt.timedelta(seconds=7)], dtype=pl.Duration("ms")),
        "us": pl.Series([dt.timedelta(seconds=5), None, LONG], dtype=pl.Duration("us")),
        "ns": pl.Series([dt.timedelta(seconds=5), None, LONG], dtype=pl.Duration("ns")),
        "time": pl.Series([dt.time(1, 2, 3, 456789), None, dt.time(0)], dtype=pl.Time),
        "cat": pl.Series(["b", None, "a"], dtype=pl.Categorical),
        "enum": pl.Series(["b", None, "a"], dtype=pl.Enum(["a", "b"])),
        "dec": pl.Series(["1.50", None, "-2.25"]).cast(pl.Decimal(10, 2)),
        "stamp": pl.Series([dt.datetime(2024, 1, 1), None, dt.datetime(2025, 1, 1)], dtype=pl.Datetime("ms")),
        "zone": pl.Series([dt.datetime(2024, 1, 1), None, None]).dt.replace_time_zone("Europe/Zurich"),
        "big": pl.Series([2**70, -(2**70), None], dtype=pl.Int128),
        "list": pl.Series([[LONG], None, []], dtype=pl.List(pl.Duration("us"))),
        "inner": pl.Series([{"x": LONG}, None, {"x": None}], dtype=pl.Struct({"x": pl.Duration("us")})),
    }
)


@pytest.fixture(scope="module", params=["parquet", "native"])
def typed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, forkserver: None) -> Warehouse:
    return store(tmp_path_factory.mktemp("types"), FRAME, native=request.param == "native")


def rows(stored: Warehouse, **options: Any) -> dict[str, Any]:
    async def act(engine: Engine) -> Answer:
        return await engine.data(stored.sources["orders"], **options)

    return document(answered(stored, act).content)


def export(stored: Warehouse, form: str, **options: Any) -> bytes:
    async def act(engine: Engine) -> bytes:
        return await warehouse.body(await engine.data(stored.sources["orders"], format=form, **options))

    return answered(stored, act)


def sql(stored: Warehouse, statement: str, **options: Any) -> Any:
    async def act(engine: Engine) -> bytes:
        answer = await engine.sql(statement, **options)
        return await warehouse.body(answer)

    return answered(stored, act)


WAYS: list[dict[str, Any]] = [
    {}, {"limit": 3}, {"columns": list(reversed(FRAME.columns))}, {"sort": "id"}, {"offset": 0, "sort": "-ms,id"},
    {"filter": "id > 0"}, {"filter": "ms = us OR ms IS NULL OR id = 3", "sort": "time,id"},
]  # fmt: skip


@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_a_column_has_its_type_on_every_way(typed: Warehouse, form: str, way: int) -> None:
    content = export(typed, form, **WAYS[way])
    read = pl.read_parquet(io.BytesIO(content)) if form == "parquet" else pl.DataFrame(pl.from_arrow(_arrow(content)))
    wanted = FRAME.drop("big")
    assert {n: t for n, t in read.schema.items() if n != "big"} == dict(wanted.schema)
    assert read.sort("id").select(wanted.columns).equals(wanted)


def _arrow(content: bytes) -> Any:
    open_stream: Any = ipc.open_stream
    return open_stream(content).read_all()


def test_json_says_the_same_of_each_duration(typed: Warehouse) -> None:
    page = rows(typed)
    types = {c["name"]: c["type"] for c in page["columns"]}
    assert {types[n] for n in ("ms", "us", "ns")} == {"INTERVAL"}
    assert (types["time"], types["big"], types["list"]) == ("TIME", "HUGEINT", "INTERVAL[]")
    first, _, third = page["data"]
    assert first["ms"] == first["us"] == first["ns"] == "00:00:05"
    assert (third["us"], third["ns"], first["list"], first["inner"]) == (
        "00:01:30.0015", "00:01:30.0015", ["00:01:30.0015"], {"x": "00:01:30.0015"},
    )  # fmt: skip
    assert (first["time"], first["big"], page["data"][1]["big"]) == ("01:02:03.456789", 2**70, -(2**70))
    assert rows(typed, sort="-us")["data"][0] == third
    assert b"00:01:30.0015" in export(typed, "csv")


def test_durations_are_equal_in_sql(typed: Warehouse) -> None:
    statement = """SELECT count(*) FILTER (ms = us AND us = ns) AS same, max(us) AS longest, avg(time) AS time,
        sum(big) AS big, count(*) FILTER (us > INTERVAL 1 minute) AS long FROM orders"""
    (row,) = document(sql(typed, statement))["data"]
    assert row == {"same": 1, "longest": "00:01:30.0015", "time": "00:31:01.728394", "big": 0, "long": 1}
    summary = document(sql(typed, "SUMMARIZE orders"))["data"]
    assert [s["column_name"] for s in summary] == FRAME.columns
    read = pl.read_parquet(io.BytesIO(sql(typed, "SELECT us, time FROM orders", format="parquet")))
    assert read.equals(FRAME.select("us", "time"))
    with pytest.raises(errors.Invalid, match="CAST it AS VARCHAR"):
        sql(typed, "SELECT INTERVAL 2 months AS age", format="parquet")


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_intervals_are_durations_also_inside_other_values(typed: Warehouse, form: str) -> None:
    statement = """WITH one AS (SELECT INTERVAL 1 DAY AS day)
        SELECT [day, NULL] AS list, {'a': day, 'b': [day]} AS struct, map{'k': day} AS map, [day]::INTERVAL[1] AS array
        FROM one
        UNION ALL SELECT NULL, NULL, NULL, NULL ORDER BY 1 NULLS LAST"""
    content = sql(typed, statement, format=form)
    read_table: Any = parquet.read_table
    found = _arrow(content) if form == "arrow" else read_table(io.BytesIO(content))
    one = dt.timedelta(days=1)
    assert found.to_pylist() == [
        {"list": [one, None], "struct": {"a": one, "b": [one]}, "map": [("k", one)], "array": [one]},
        dict.fromkeys(["list", "struct", "map", "array"]),
    ]
    with pytest.raises(errors.Invalid, match="CAST it AS VARCHAR"):
        sql(typed, "SELECT [INTERVAL 2 months] AS ages", format=form)


def test_the_schema_has_the_same_types(typed: Warehouse) -> None:
    async def act(engine: Engine) -> bytes:
        return await engine.schema(typed.sources["orders"])

    columns = {c["name"]: c for c in document(answered(typed, act))["columns"]}
    assert list(columns) == FRAME.columns
    assert (columns["ms"]["type"], columns["ms"]["max"], columns["time"]["type"]) == ("INTERVAL", "00:00:07", "TIME")


def test_parts_of_a_microsecond_are_an_error_or_exact(tmp_path: Path, forkserver: None) -> None:
    frame = pl.DataFrame({"id": [1], "d": pl.Series([1_001]).cast(pl.Duration("ns"))})
    stored = store(tmp_path, frame)
    assert pl.read_parquet(io.BytesIO(export(stored, "parquet", sort="id"))).equals(frame)
    assert document(sql(stored, "SELECT id FROM orders"))["data"] == [{"id": 1}]
    with pytest.raises(errors.Invalid, match="parts of a microsecond"):
        sql(stored, "SELECT d FROM orders")


def test_a_row_longer_than_a_page_is_a_page(tmp_path: Path, forkserver: None) -> None:
    letters = "x" * 3_000_000
    frame = pl.DataFrame({"id": [1, 2, 3, 4], "text": ["a", letters, "b", "c"]})
    stored = store(tmp_path, frame)
    limits = {"max_bytes": 1 << 20}

    async def page(engine: Engine) -> list[dict[str, Any]]:
        pages, offset = [], 0
        while offset is not None:
            pages.append(document((await engine.data(stored.sources["orders"], offset=offset)).content))
            offset = pages[-1]["next_offset"]
        return pages

    pages = answered(stored, page, **limits)
    assert [r["id"] for p in pages for r in p["data"]] == [1, 2, 3, 4]
    assert next(r for p in pages for r in p["data"] if r["id"] == 2)["text"] == letters

    async def one(engine: Engine) -> Answer:
        return await engine.sql("SELECT text FROM orders WHERE id > 1 ORDER BY id")

    found = document(answered(stored, one, **limits).content)
    assert (found["row_count"], found["truncated"]) == (1, True)
    with pytest.raises(errors.Invalid, match="one row has 2 MiB") as caught:
        answered(stored, one, max_bytes=500_000)
    assert caught.value.error_code == "QUERY_TOO_LARGE"


def test_the_schema_cuts_long_values(tmp_path: Path, forkserver: None) -> None:
    frame = pl.DataFrame(
        {"text": ["y" * 3_000_000, "a"], "bytes": [b"z" * 3_000_000, b"a"], "list": [list(range(200_000)), [1]],
         "inner": [{"a": "w" * 100_000}, {"a": "b"}]},
    )  # fmt: skip
    stored = store(tmp_path, frame)

    async def act(engine: Engine) -> bytes:
        return await engine.schema(stored.sources["orders"])

    content = answered(stored, act)
    assert len(content) < 20_000
    schema = document(content)
    first, second = schema["sample_data"]
    assert (first["text"], first["inner"]["a"]) == ("y" * 1000 + "…", "w" * 1000 + "…")
    assert (len(base64.b64decode(first["bytes"])), len(first["list"])) == (500, 100)
    assert (second["text"], second["list"]) == ("a", [1])
    assert (schema["columns"][0]["min"], schema["columns"][0]["max"]) == ("a", "y" * 1000)


@pytest.mark.parametrize("value", [0, 2**64, 2**127, 2**128 - 1])
def test_uhugeint_is_a_number_as_hugeint_is(typed: Warehouse, value: int) -> None:
    statement = f"SELECT {value}::UHUGEINT AS u, [{value}::UHUGEINT] AS l, NULL::UHUGEINT AS n, 5::HUGEINT AS h"
    (row,) = document(sql(typed, statement))["data"]
    assert row == {"u": value, "l": [str(value)], "n": None, "h": 5}
    assert sql(typed, f"SELECT {value}::UHUGEINT AS u", format="csv") == f"u\r\n{value}\r\n".encode()


def test_not_a_number_inside_a_csv_cell_is_null(typed: Warehouse) -> None:
    statement = "SELECT ['NaN'::DOUBLE, 1.5, 'inf'::DOUBLE] AS l, {'a': 'NaN'::FLOAT, 'b': 2.5::FLOAT} AS s"
    assert sql(typed, statement, format="csv") == (
        b'l,s\r\n"[null,1.5,null]","{""a"":null,""b"":2.5}"\r\n'
    )  # fmt: skip
    (row,) = document(sql(typed, statement))["data"]
    assert row == {"l": [None, 1.5, None], "s": {"a": None, "b": 2.5}}


def test_odd_column_names_have_a_schema(tmp_path: Path, forkserver: None) -> None:
    names = ["a{b}", 'q"uote', "%s", "with space", "ünï"]
    stored = store(tmp_path, pl.DataFrame({name: ["x", "y"] for name in names}))

    async def act(engine: Engine) -> bytes:
        return await engine.schema(stored.sources["orders"])

    assert [(c["name"], c["min"], c["max"]) for c in document(answered(stored, act))["columns"]] == [
        (name, "x", "y") for name in names
    ]
