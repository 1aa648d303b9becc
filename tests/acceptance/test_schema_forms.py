"""The schema of a version for other systems, read by the systems themselves: each type that a version may have."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from decimal import Decimal
from typing import Any

import duckdb
import fastavro
import jsonschema  # type: ignore[import-untyped]
import polars as pl
import pyarrow.ipc as ipc
import pyarrow.lib
import pytest

from service.query.answer import Answer
from service.query.engine import Engine
from tests.acceptance import warehouse
from tests.acceptance.warehouse import Warehouse, answered, store

LONG = dt.timedelta(minutes=1, seconds=30, microseconds=1500)
MOMENT = dt.datetime(2024, 2, 29, 12, 30, 1, 250_000)
WHOLE = {f"{sign}int{bits}": [0, 2 ** (bits - (not sign)) - 1] for sign in ("", "u") for bits in (8, 16, 32, 64)}
DTYPES: dict[str, Any] = {str(dtype).lower(): dtype for dtype in (pl.Int8, pl.Int16, pl.Int32, pl.Int64)}
DTYPES |= {str(dtype).lower(): dtype for dtype in (pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)}
LEAVES = {
    "null": pl.Series([None, None], dtype=pl.Null),
    "flag": pl.Series([True, None]),
    **{name: pl.Series(values, dtype=DTYPES[name]) for name, values in WHOLE.items()},
    "huge": pl.Series([2**100, None], dtype=pl.Int128),
    "single": pl.Series([1.5, None], dtype=pl.Float32),
    "real": pl.Series([1.5, float("nan")]),
    "text": pl.Series(["a", "\u2028 \"x\" 'y'"]),
    "bytes": pl.Series([b"\x00\xff", None]),
    "day": pl.Series([dt.date(2024, 2, 29), None]),
    "clock": pl.Series([dt.time(1, 2, 3, 456_789), None]),
    "stamp_ms": pl.Series([MOMENT, None], dtype=pl.Datetime("ms")),
    "stamp": pl.Series([MOMENT, None], dtype=pl.Datetime("us")),
    "stamp_ns": pl.Series([MOMENT, None], dtype=pl.Datetime("ns")),
    "zone": pl.Series([MOMENT, None]).dt.replace_time_zone("Europe/Zurich"),
    "length_ms": pl.Series([dt.timedelta(seconds=5), None], dtype=pl.Duration("ms")),
    "length": pl.Series([LONG, None], dtype=pl.Duration("us")),
    "length_ns": pl.Series([LONG, None], dtype=pl.Duration("ns")),
    "money": pl.Series([Decimal("-1.50"), Decimal("99999999.99")], dtype=pl.Decimal(10, 2)),
    "whole_money": pl.Series([Decimal(7), None], dtype=pl.Decimal(38, 0)),
    "kind": pl.Series(["b", None], dtype=pl.Categorical),
    "size": pl.Series(["S", None], dtype=pl.Enum(["S", "M"])),
    "weird": pl.Series(["a b", None], dtype=pl.Enum(["a b", "1"])),
}  # fmt: skip
NESTED = {
    f"list of {name}": pl.Series([[value], None], dtype=pl.List(series.dtype))
    for name, series in LEAVES.items()
    if (value := series[0]) is not None
}
FRAME = pl.DataFrame(
    {
        **LEAVES,
        **NESTED,
        "pair": pl.Series([{"a": 1, "b c": {"d": [Decimal("1.50"), None]}}, None],
                          dtype=pl.Struct({"a": pl.Int64, "b c": pl.Struct({"d": pl.List(pl.Decimal(9, 2))})})),
        "fixed": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int32, 2)),
        "odd floats": pl.Series([[float("nan"), None, 1.0], []], dtype=pl.List(pl.Float64)),
        'a "quoted" name': pl.Series([1, 2]),
        "1st": pl.Series([1, 2]),
        "_1st": pl.Series([1, 2]),
    }
)  # fmt: skip


@pytest.fixture(scope="module", params=["parquet", "native"])
def typed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, forkserver: None) -> Warehouse:
    return store(tmp_path_factory.mktemp("schemas"), FRAME, native=request.param == "native")


def schema(stored: Warehouse, form: str) -> bytes:
    async def act(engine: Engine) -> bytes:
        return await engine.schema(stored.sources["orders"], form=form)

    return answered(stored, act)


def export(stored: Warehouse, form: str, **options: Any) -> bytes:
    async def act(engine: Engine) -> bytes:
        return await warehouse.body(await engine.data(stored.sources["orders"], format=form, **options))

    return answered(stored, act)


def test_each_column_has_one_type_in_binary_answers(typed: Warehouse) -> None:
    """Also those that DuckDB made; 128 bits are a decimal there."""
    for form, read in (("arrow", pl.read_ipc_stream), ("parquet", pl.read_parquet)):
        for options in ({}, {"sort": "int64"}):
            found: pl.DataFrame = read(io.BytesIO(export(typed, form, **options)))
            others = [name for name in FRAME.columns if found.schema[name] != FRAME.schema[name]]
            assert others == ["huge", "list of huge"], form
            assert found.drop(others).equals(FRAME.drop(others))
            assert found["list of huge"].to_list() == [[Decimal(2**100)], None]


def page(stored: Warehouse) -> dict[str, Any]:
    async def act(engine: Engine) -> Answer:
        return await engine.data(stored.sources["orders"])

    return dict(warehouse.document(answered(stored, act).content))


def test_json_schema_describes_the_records(typed: Warehouse) -> None:
    described = json.loads(schema(typed, "json-schema"))
    validator = jsonschema.validators.validator_for(described)
    assert validator is jsonschema.Draft202012Validator
    validator.check_schema(described)
    check = validator(described, format_checker=validator.FORMAT_CHECKER)
    records = page(typed)["data"]
    assert len(records) == FRAME.height
    for record in [*records, *map(json.loads, export(typed, "ndjson").splitlines())]:
        assert [error.message for error in check.iter_errors(record)] == []
    for column in FRAME.columns:
        wrong = {**records[0], column: {"is": "wrong"}}
        assert not check.is_valid(wrong), column
        assert not check.is_valid({k: v for k, v in records[0].items() if k != column})
    without_null = [name for name in FRAME.columns if not check.is_valid({**records[0], name: None})]
    assert without_null == [*WHOLE, "text", "money", "odd floats", 'a "quoted" name', "1st", "_1st"]
    assert described["properties"]["size"]["enum"] == ["S", "M", None]


def test_sql_makes_the_table(typed: Warehouse) -> None:
    statement = schema(typed, "sql").decode()
    with duckdb.connect() as connection:
        connection.execute(statement)
        made = connection.sql('FROM "orders"')
        assert list(made.columns) == FRAME.columns
        assert [str(t) for t in made.types] == [column["type"] for column in page(typed)["columns"]]
        constraints = dict(
            connection.execute("SELECT column_name, is_nullable FROM information_schema.columns").fetchall()
        )
    assert {name for name, nullable in constraints.items() if nullable == "NO"} == {
        name for name, count in zip(FRAME.columns, FRAME.null_count().row(0), strict=True) if not count
    }


def test_arrow_is_the_schema_of_arrow_answers(typed: Warehouse) -> None:
    read_schema: Any = pyarrow.lib.read_schema
    open_stream: Any = ipc.open_stream
    assert read_schema(io.BytesIO(schema(typed, "arrow"))) == open_stream(export(typed, "arrow")).schema


def test_avro_takes_the_rows(typed: Warehouse) -> None:
    parsed: Any = fastavro.parse_schema(json.loads(schema(typed, "avro")))
    rows = pl.read_parquet(io.BytesIO(export(typed, "parquet")))
    assert all(re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", field["name"]) for field in parsed["fields"])
    columns = [field.get("column", field["name"]) for field in parsed["fields"]]
    assert columns == FRAME.columns
    names = dict(zip(columns, [field["name"] for field in parsed["fields"]], strict=True))
    records = [{names[name]: _avro(value, rows.schema[name]) for name, value in row.items()} for row in rows.to_dicts()]
    file = io.BytesIO()
    fastavro.writer(file, parsed, records)
    read: list[Any] = list(fastavro.reader(io.BytesIO(file.getvalue())))
    assert len(read) == rows.height
    assert read[0]["money"] == Decimal("-1.50")
    assert read[0]["stamp"] == MOMENT
    assert read[0]["zone"] == MOMENT.replace(tzinfo=dt.UTC) - dt.timedelta(hours=1)
    assert (read[0]["uint64"], read[0]["size"], read[0]["day"]) == (0, "S", dt.date(2024, 2, 29))
    types = {field["name"]: field["type"] for field in parsed["fields"]}
    assert types["length_ms"] == ["null", {"type": "long", "unit": "ms"}]
    assert types["size"][1]["symbols"] == ["S", "M"]
    assert types["weird"] == ["null", "string"]


_UNITS = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def _avro(value: Any, dtype: Any) -> Any:
    """A value as an Avro writer takes it: durations as numbers, records by names that Avro allows."""
    if value is None:
        return None
    if isinstance(dtype, pl.List | pl.Array):
        return [_avro(item, dtype.inner) for item in value]
    if isinstance(dtype, pl.Struct):
        return {re.sub(r"\W", "_", field.name): _avro(value[field.name], field.dtype) for field in dtype.fields}
    if isinstance(dtype, pl.Duration):
        return (value // dt.timedelta(microseconds=1)) * _UNITS[dtype.time_unit] // 1_000_000
    if dtype == pl.Datetime("ns"):  # Avro 1.12 has it, fastavro does not yet
        return (value - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1) * 1_000
    return Decimal(value) if dtype == pl.UInt64 else value
