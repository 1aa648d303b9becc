"""SQL, data and schema through real workers: what a caller gets back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.ipc as ipc
import pytest

from service.kit import errors
from service.model.formats import FORMATS
from service.query.answer import Answer
from service.query.engine import Engine
from service.sandbox.source import TableSource
from tests.acceptance import warehouse
from tests.acceptance.warehouse import ROWS, Warehouse, answered, document

read_stream: Any = ipc.open_stream


def sql(stored: Warehouse, statement: str, **options: Any) -> dict[str, Any]:
    async def act(made: Engine) -> Answer:
        return await made.sql(statement, **options)

    return document(answered(stored, act).content)


def data(stored: Warehouse, table: str = "orders", **options: Any) -> dict[str, Any]:
    async def act(made: Engine) -> Answer:
        return await made.data(stored.sources[table], **options)

    return document(answered(stored, act).content)


def test_a_point_query(stored: Warehouse) -> None:
    found = sql(stored, "SELECT id, moment FROM Orders WHERE id = ?", parameters=[7])
    assert found["columns"] == [{"name": "id", "type": "BIGINT"}, {"name": "moment", "type": "TIMESTAMP"}]
    assert found["data"] == [{"id": 7, "moment": "2024-01-01T00:00:07"}]
    assert (found["row_count"], found["truncated"]) == (1, False)
    assert found["elapsed_ms"] > 0


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ('SELECT count(*) AS n FROM "orders@1"', [{"n": 5}]),
        ("SELECT o.id FROM orders o JOIN \"ORDERS@1\" p USING (id) ORDER BY id DESC LIMIT 1", [{"id": 4}]),
        ("WITH orders AS (SELECT max(id) AS m FROM orders) FROM orders", [{"m": ROWS - 1}]),
        ("SHOW TABLES", [{"name": "orders"}, {"name": "orders@1"}]),
        ("SELECT column_type FROM (DESCRIBE orders) WHERE column_name = 'x'", [{"column_type": "DOUBLE"}]),
        ("SELECT \"count\" AS n FROM (SUMMARIZE \"orders@1\") LIMIT 1", [{"n": 5}]),
        ("VALUES (1, 'a')", [{"col0": 1, "col1": "a"}]),
        ("SELECT $a AS a -- done", [{"a": "x"}]),
        ("SELECT $a AS a /* ; */; -- done", [{"a": "x"}]),
        ("FROM \"orders@1\" SELECT max(id) AS m ; /* a */ ;", [{"m": 4}]),
    ],
)  # fmt: skip
def test_the_kinds_of_select(stored: Warehouse, statement: str, rows: list[dict[str, Any]]) -> None:
    parameters = {"a": "x"} if "$a" in statement else None
    assert sql(stored, statement, parameters=parameters)["data"] == rows


@pytest.mark.parametrize("analyze", ["", "ANALYZE "])
def test_requirement_11_explain_shows_a_plan_and_no_path(stored: Warehouse, analyze: str) -> None:
    found = sql(stored, f"EXPLAIN {analyze}SELECT sum(x) FROM orders WHERE id > 2 AND x > 1")
    text = "\n".join(r["plan"] for r in found["data"])
    assert "READ_PARQUET" in text
    assert str(stored.layout.root) not in text


def test_requirement_10_a_cut_result_says_so(stored: Warehouse) -> None:
    found = sql(stored, "SELECT * FROM range(1000000000)", limit=10)
    assert (found["row_count"], found["truncated"]) == (10, True)
    assert sql(stored, "FROM orders")["row_count"] == 1000


@pytest.mark.parametrize("format_", ["ndjson", "csv", "arrow", "parquet"])
@pytest.mark.parametrize("table", ["orders", "orders@1"])
def test_exports_hold_every_row_in_order(stored: Warehouse, format_: str, table: str) -> None:
    source = stored.sources[table]

    async def act(made: Engine) -> list[bytes]:
        found = []
        for answer in (
            await made.sql(f'FROM "{table}"', format=format_),
            await made.data(source, format=format_),
            await made.data(source, format=format_, sort="-group,id", columns=["id", "group"]),
        ):
            assert answer.media_type == FORMATS[format_].media_type
            found.append(await warehouse.body(answer))
        return found

    def ids(content: bytes) -> list[int]:
        if format_ == "parquet":
            frame = pl.read_parquet(io.BytesIO(content))
        elif format_ == "arrow":
            frame = pl.DataFrame(pl.from_arrow(read_stream(content).read_all()))
        else:
            frame = pl.read_csv(content) if format_ == "csv" else pl.read_ndjson(content)
        return frame["id"].to_list()

    whole, stored_order, sorted_ = answered(stored, act)
    assert ids(whole) == ids(stored_order) == list(range(source.rows))
    assert ids(sorted_) == sorted(range(source.rows), key=lambda i: (-(i % 3), i))


def test_a_single_part_is_relayed_as_it_is(stored: Warehouse) -> None:
    source = stored.sources["orders@1"]

    async def act(made: Engine) -> bytes:
        return await warehouse.body(await made.data(source, format="parquet"))

    assert answered(stored, act) == Path(source.parts[0]).read_bytes()


@pytest.mark.parametrize("table", ["orders", "orders@1"])
def test_pages_meet(stored: Warehouse, table: str) -> None:
    rows, offset = [], 0
    total = stored.sources[table].rows
    while True:
        page = data(stored, table, sort="group", columns=["ID"], limit=total // 2, offset=offset)
        rows += page["data"]
        assert page["total_rows"] == total
        if page["next_offset"] is None:
            break
        offset = page["next_offset"]
    assert [r["id"] for r in rows] == sorted(range(total), key=lambda i: i % 3)


def test_a_page_counts_with_its_filter(stored: Warehouse) -> None:
    page = data(stored, filter="x IS NULL AND id < 100 -- c", limit=3, offset=2, columns=["id"], sort="-id")
    assert page == {
        "pipeline": "orders",
        "version": 2,
        "columns": [{"name": "id", "type": "BIGINT"}],
        "data": [{"id": 70}, {"id": 60}, {"id": 50}],
        "row_count": 3,
        "total_rows": 10,
        "limit": 3,
        "offset": 2,
        "next_offset": 5,
    }
    assert data(stored, offset=ROWS + 5)["next_offset"] is None


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"columns": ["nam"]}, "columns"),
        ({"sort": "nam"}, "sort"),
        ({"filter": "nam > 1"}, "filter"),
        ({"filter": "name > 1"}, "filter"),
        ({"filter": "sum(id) > 1"}, "filter"),
        ({"filter": "name::INTEGER > 1", "format": "csv"}, "filter"),
        ({"filter": "name::INTEGER > 1", "format": "arrow"}, "filter"),
        ({"limit": -1}, "limit"),
        ({"limit": 100_001}, "limit"),
        ({"offset": -1}, "offset"),
    ],
)
def test_a_wrong_request_names_its_field(stored: Warehouse, options: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.Invalid) as raised:
        data(stored, **options)
    assert raised.value.details["field"] == field


def test_an_unknown_format_is_not_acceptable(stored: Warehouse) -> None:
    with pytest.raises(errors.NotAcceptable, match="did you mean 'ndjson'"):
        sql(stored, "SELECT 1", format="njson")


@pytest.mark.parametrize("table", ["orders", "orders@1"])
def test_the_schema_is_exact(stored: Warehouse, table: str) -> None:
    async def act(made: Engine) -> bytes:
        return await made.schema(stored.sources[table])

    found = document(answered(stored, act))
    rows = stored.sources[table].rows
    assert (found["row_count"], found["column_count"], found["approximate"]) == (rows, 6, False)
    columns = {c["name"]: c for c in found["columns"]}
    assert columns["id"]["type"] == "BIGINT"
    assert columns["id"]["polars_type"] == "Int64"
    assert (columns["id"]["min"], columns["id"]["max"], columns["id"]["unique_values"]) == (0, rows - 1, rows)
    assert columns["id"]["q50"] == (rows - 1) / 2
    assert columns["x"]["missing_values"] == -(-rows // 10)
    assert columns["x"]["nullable"]
    assert columns["moment"]["min"] == "2024-01-01T00:00:00"
    assert columns["tags"]["min"] is columns["tags"]["mean"] is columns["name"]["mean"] is None
    assert found["data_types"]["tags"] == "BIGINT[]"
    assert [r["id"] for r in found["sample_data"]] == [0, 1, 2, 3, 4]
    assert {s["type"] for s in found["storage"]} == ({"parquet"} if table == "orders" else {"parquet", "duckdb"})
    assert all(s["bytes"] > 0 and s["location"].startswith("warehouse/orders/") for s in found["storage"])


def test_summarized_figures_are_typed(tmp_path: Path) -> None:
    """Above a million rows the figures are SUMMARIZE's, and still values, not texts."""
    from service.query.child import describe

    values = (
        "SELECT range AS i, range / 2 AS f, 1.5::DECIMAL(3, 1) AS d, TIMESTAMP '2024-01-01' AS t, true AS b, [1] AS l"
    )
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE v AS {values} FROM range(100)")
        types = connection.sql("FROM v").dtypes
        names = connection.sql("FROM v").columns
        i, f, d, t, b, l_ = describe._summarized(connection, "v", names, types, 100)
        (few,) = describe._summarized(connection, "(SELECT i FROM v LIMIT 3)", ["i"], types[:1], 3)
    assert (i["min"], i["max"], i["missing_values"], i["mean"]) == (0, 99, 0, 49.5)
    assert (f["min"], f["q50"]) == (0.0, pytest.approx(24.75, abs=1))
    assert (d["min"], t["max"], b["min"]) == ("1.5", "2024-01-01T00:00:00", True)
    assert "min" not in l_
    assert few["unique_values"] <= 3


@pytest.mark.slow
def test_a_table_of_thousands_of_columns_is_answered(tmp_path: Path) -> None:
    """Its figures are asked for some columns at a time, and a page of it is cut without keeping whole vectors."""
    columns = {f"c{n}": [n, None, n + 1] for n in range(2_500)}
    wide = warehouse.build(tmp_path)
    folder = wide.layout.version("orders", 3)
    folder.mkdir(parents=True)
    pl.DataFrame(columns).write_parquet(folder / "part-0.parquet")
    with duckdb.connect(str(folder / "orders.duckdb")) as native:
        native.execute(f"CREATE TABLE orders AS FROM '{folder / 'part-0.parquet'}'")
    for file in ("part-0.parquet", "orders.duckdb"):
        native_file = str(folder / file) if file.endswith("duckdb") else None
        source = TableSource(
            "orders", "orders", 3, [str(folder / "part-0.parquet")], native=native_file, native_table="orders", rows=3
        )
        wide.sources["orders"] = source
        page = data(wide, limit=1, offset=2)
        assert (page["data"], page["next_offset"]) == ([{name: values[2] for name, values in columns.items()}], None)

    first = dict(list(columns.items())[:500])  # each sixteen take as long as the others
    pl.DataFrame(first).write_parquet(folder / "part-0.parquet")
    wide.sources["orders"] = TableSource("orders", "orders", 3, [str(folder / "part-0.parquet")], rows=3)

    async def act(made: Engine) -> bytes:
        return await made.schema(wide.sources["orders"])

    found = document(answered(wide, act))["columns"]
    assert [c["min"] for c in found] == [values[0] for values in first.values()]
    assert {(c["unique_values"], c["missing_values"]) for c in found} == {(2, 1)}
