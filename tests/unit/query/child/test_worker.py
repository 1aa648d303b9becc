"""One worker answers many queries: nothing of one is left for the next, and what cannot be put away ends it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from service.query import messages
from service.query.child import traces
from service.query.messages import DataQuery, Need, Resolved, SchemaQuery
from service.sandbox.source import TableSource
from tests.unit.query.child.asking import NATIVE, ORDERS, OTHER, Api, sql

LEAVING = [
    "CREATE TEMP TABLE left_here AS SELECT 'secret' AS v",
    "CREATE TEMP VIEW left_here AS SELECT 'secret' AS v",
    "CREATE TABLE left_here AS SELECT 'secret' AS v",
    "CREATE VIEW left_here AS SELECT 'secret' AS v",
    "CREATE OR REPLACE VIEW orders AS SELECT 'secret' AS v",
    "CREATE OR REPLACE TEMP VIEW orders AS SELECT 'secret' AS v",
    "DROP VIEW orders",
    "CREATE MACRO upper(a) AS 'secret'",
    "CREATE TEMP MACRO upper(a) AS 'secret'",
    "CREATE MACRO left_here() AS TABLE SELECT 'secret' AS v",
    "CREATE SEQUENCE left_here",
    "CREATE TEMP SEQUENCE left_here",
    "CREATE TYPE left_here AS ENUM ('secret')",
    "CREATE SCHEMA left_here",
    "ATTACH ':memory:' AS left_here",
    "SET VARIABLE left_here = 'secret'",
    "SET search_path = 'temp'",
    "SET TimeZone = 'Asia/Tokyo'",
    "SET threads = 1",
    "PREPARE left_here AS SELECT 'secret' AS v",
    "SELECT setseed(0.25)",
    "USE temp",
    "CREATE SECRET left_here (TYPE http)",
    "PRAGMA enable_profiling",
    "CALL enable_logging()",
    "BEGIN TRANSACTION",
    "INSERT INTO orders VALUES (9, 'secret')",
    "SELECT error('secret')",
]
"""Statements that no gate would let pass: the wall behind it is that of the session and its transaction."""

FINDING = {
    "the tables": "SELECT table_name FROM duckdb_tables() UNION ALL SELECT sql FROM duckdb_views() ORDER BY 1",
    "the databases": "SELECT database_name FROM duckdb_databases() ORDER BY 1",
    "the functions": "SELECT count(*), upper('a') FROM duckdb_functions()",
    "the types": "SELECT count(*) FROM duckdb_types()",
    "the sequences": "SELECT count(*) FROM duckdb_sequences()",
    "the variables": "SELECT count(*), getvariable('left_here') FROM duckdb_variables()",
    "the prepared statements": "SELECT count(*) FROM duckdb_prepared_statements()",
    "the settings": "SELECT list(name || value ORDER BY name) FROM duckdb_settings() WHERE name NOT LIKE '%memory%'",
    "the secrets": "SELECT count(*) FROM duckdb_secrets()",
    "the rows": "FROM orders",
    "temporary files": "SELECT count(*) FROM duckdb_temporary_files()",
}


def test_a_worker_answers_one_query_after_the_other(started: Callable[..., Api]) -> None:
    api = started()
    document, free = api.ask(sql("FROM orders", others=[OTHER]), Resolved([ORDERS]))
    assert (document["data"], free) == ([{"id": 1, "v": "a"}, {"id": 2, "v": "b"}], True)
    for number in (1, 2, 2, 1):
        statement = sql("SELECT v FROM Orders WHERE id = ?", [ORDERS], parameters=[number])
        document, free = api.ask(statement)
        assert (document["data"], free) == ([{"v": "ab"[number - 1]}], True)
    assert api.ask(sql("SELECT count(*) AS n FROM orders JOIN other USING (id)", [ORDERS, OTHER]))[0]["data"] == [
        {"n": 2}
    ]
    page, free = api.ask(DataQuery(ORDERS, "json", 1, 1, 1 << 20, 5.0))
    assert (page["data"], page["next_offset"], free) == ([{"id": 2, "v": "b"}], None, True)
    assert api.ask(DataQuery(ORDERS, "ndjson", None, 0, 1 << 20, 5.0)) == (
        b'{"id":1,"v":"a"}\n{"id":2,"v":"b"}\n', True
    )  # fmt: skip
    streamed, free = api.ask(sql("SELECT range AS n FROM range(30000)", limit=None, format="ndjson"))
    assert (streamed.count(b"\n"), free) == (30_000, True)
    schema, free = api.ask(SchemaQuery(ORDERS, 5.0))
    assert ([c["name"] for c in schema["columns"]], free) == (["id", "v"], True)


@pytest.mark.parametrize(
    ("statement", "first"),
    [
        ("SELECT range AS n FROM range(9) -- all", 0),
        ("SELECT range AS n FROM range(9) ORDER BY n DESC", 8),
        ("SELECT range AS n FROM range(9) LIMIT 3", 0),
        ("SELECT range AS n FROM range(9) OFFSET 4", 4),
        ("SELECT range AS n FROM range(9) LIMIT 50%", 0),
        ("SELECT DISTINCT range AS n FROM range(9) QUALIFY row_number() OVER (ORDER BY n) > 2 ORDER BY 1", 2),
        ("WITH t AS (SELECT range AS n FROM range(9)) FROM t", 0),
        ("WITH t AS (SELECT range AS n FROM range(9) LIMIT 3) FROM t ORDER BY n DESC", 2),
        ("VALUES (0), (1), (2)", 0),
        ("FROM range(3) UNION ALL SELECT 7", 0),
        ("(SELECT 5 AS n UNION ALL SELECT 6) ORDER BY n", 5),
        ("FROM range(9) t(n) PIVOT (count(*) FOR n IN (1)) SELECT 3 AS n UNION ALL SELECT 4 UNION ALL SELECT 5", 3),
    ],
)
def test_every_kind_of_select_is_cut(started: Callable[..., Api], statement: str, first: int) -> None:
    api = started()
    for _ in range(2):
        document, free = api.ask(sql(statement, [], limit=1))
        assert (document["row_count"], document["truncated"], free) == (1, True, True)
        assert list(document["data"][0].values()) == [first]


@pytest.mark.parametrize(
    "value",
    [
        "TIMESTAMP '2024-01-01 00:00:07.5'", "TIMESTAMP '0044-03-15 01:02:03'", "'infinity'::TIMESTAMP",
        "TIMESTAMP '294000-01-01'", "DATE '2024-02-29'", "DATE '5000-01-01 (BC)'", "'-infinity'::DATE",
        "TIMESTAMP_MS '2024-01-01 00:00:01.25'", "TIMESTAMPTZ '2024-01-01 00:00:00+02'", "TIMESTAMP_NS '2024-01-01'",
        "TIME '06:30:00'", "INTERVAL 3 DAY", "'x'::ENUM ('x')", "0.1::FLOAT", "'NaN'::DOUBLE", "1.50::DECIMAL(4, 2)",
        "170141183460469231731687303715884105727::HUGEINT", r"'\xAA'::BLOB", "[1.5::DECIMAL(3, 1), NULL]",
        "{'a': [1, 2]}", "[DATE '2024-01-01']", "MAP {1: 'a'}", "'7ea2f341-503b-4b6c-a66c-9b70a9571d40'::UUID",
    ],
)  # fmt: skip
def test_a_repeated_answer_has_the_form_of_the_first(started: Callable[..., Api], value: str) -> None:
    api = started()
    first, again, third = (api.ask(sql(f"SELECT {value} AS v, NULL AS n", []))[0] for _ in range(3))
    for answer in (again, third):
        assert {**answer, "elapsed_ms": 0} == {**first, "elapsed_ms": 0}


def test_a_statement_with_other_parameters_is_typed_anew(started: Callable[..., Api]) -> None:
    api = started()
    for value, kind in (
        (1, "INTEGER"),
        (1 << 40, "BIGINT"),
        ("x", "VARCHAR"),
        (1.5, "DOUBLE"),
        (1, "INTEGER"),
        (None, '"NULL"'),
    ):
        document, _ = api.ask(sql("SELECT ? AS a", [], parameters=[value]))
        assert (document["columns"][0]["type"], document["data"]) == (kind, [{"a": value}])


def test_values_of_changing_type_keep_their_form(started: Callable[..., Api]) -> None:
    """The first answer may be plain, and the next, with another parameter, not."""
    api = started()
    statement = 'SELECT json_transform(\'{"a": "2024-01-01"}\', ?) AS s, 1 AS n'
    for shape, value in (('{"a": "VARCHAR"}', "2024-01-01"), ('{"a": "TIMESTAMP"}', "2024-01-01T00:00:00")):
        document, free = api.ask(sql(statement, [], parameters=[shape]))
        assert (document["data"], free) == ([{"s": {"a": value}, "n": 1}], True)


@pytest.mark.parametrize("source", [ORDERS, NATIVE], ids=["parquet", "native"])
@pytest.mark.parametrize("leaving", LEAVING)
def test_what_one_session_leaves_no_other_finds(started: Callable[..., Api], leaving: str, source: TableSource) -> None:
    api = started()
    api.ask(sql("FROM orders", [source]))
    before = found(api)
    with api.connection.cursor() as session:
        session.execute("BEGIN TRANSACTION READ ONLY")
        with contextlib.suppress(duckdb.Error):
            session.execute(leaving).fetchall()
    assert found(api) == before
    assert api.ask(sql("FROM orders", [source]))[0]["row_count"] == 2


def found(api: Api) -> dict[str, Any]:
    with api.connection.cursor() as session:
        return {what: session.execute(statement).fetchall() for what, statement in FINDING.items()}


def test_the_state_of_chance_is_not_handed_on(started: Callable[..., Api]) -> None:
    api = started()
    drawn = set()
    for _ in range(3):
        api.ask(sql("SELECT setseed(0.5)", []))
        drawn.add(api.ask(sql("SELECT random() AS r", []))[0]["data"][0]["r"])
    assert len(drawn) == 3


def test_an_error_ends_the_worker(started: Callable[..., Api]) -> None:
    api = started()
    api.ask(sql("FROM orders", [ORDERS]))
    failure, free = api.ask(sql("SELECT error('late') FROM orders", [ORDERS]))
    assert ("late" in failure["message"], free) == (True, False)
    assert api.hear() is None


def test_an_error_before_anything_is_executed_ends_no_worker(started: Callable[..., Api]) -> None:
    api = started()
    api.ask(sql("FROM orders", [ORDERS]))
    for statement in ("SELECT nothing FROM orders", "SELECT", "DROP TABLE orders", "SELECT getenv('HOME')"):
        failure, free = api.ask(sql(statement, [ORDERS]))
        assert (failure["code"] in ("INVALID_SQL", "SQL_NOT_ALLOWED"), free) == (True, True)
    assert api.ask(sql("FROM orders", [ORDERS]))[0]["row_count"] == 2


def test_a_number_of_queries_ends_the_worker(started: Callable[..., Api]) -> None:
    api = started(queries=2)
    assert [api.ask(sql("SELECT 1", []))[1] for _ in range(2)] == [True, False]
    assert api.hear() is None


def test_the_tables_are_listed_without_an_end(started: Callable[..., Api]) -> None:
    api = started()
    document, free = api.ask(sql("SHOW TABLES"), Resolved([ORDERS, OTHER]))
    assert (document["data"], free) == ([{"name": "orders"}, {"name": "other"}], True)
    assert api.ask(sql("SHOW TABLES"), Resolved([]))[0]["data"] == []


def test_listing_the_tables_inside_a_query_ends_the_worker(started: Callable[..., Api]) -> None:
    api = started()
    document, free = api.ask(sql("FROM (SHOW TABLES)"), Resolved([ORDERS, OTHER]))
    assert (document["data"], free) == ([{"name": "orders"}, {"name": "other"}], False)


def test_a_worker_has_no_other_version_than_its_first(started: Callable[..., Api]) -> None:
    api = started()
    api.ask(sql("FROM orders", [ORDERS]))
    newer = msgspec.structs.replace(ORDERS, version=2)
    failure, free = api.ask(sql("FROM orders", [newer]))
    assert ("another version" in failure["message"], free) == (True, False)


def test_a_dismissed_worker_waits(started: Callable[..., Api]) -> None:
    api = started()
    api.ask(sql("FROM orders", [ORDERS]))
    api.tell(sql("FROM other"))
    kind, payload = api.heard()
    assert (kind, msgspec.msgpack.decode(payload, type=Need).tables) == (messages.NEED, {"other": 5})
    api.tell(messages.Dismissed())
    assert api.ask(sql("FROM orders", [ORDERS]))[0]["row_count"] == 2


def test_an_other_source_that_cannot_be_read_costs_no_query(started: Callable[..., Api]) -> None:
    api = started()
    gone = msgspec.structs.replace(OTHER, parts=["gone.parquet"])
    document, free = api.ask(sql("FROM orders", [ORDERS], others=[gone]))
    assert (document["row_count"], free) == (2, False)


def test_memory_that_does_not_come_back_ends_the_worker(
    started: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = started()
    assert api.ask(sql("SELECT 1", []))[1]
    monkeypatch.setattr(traces, "_data_bytes", lambda: 128 << 20)
    assert not api.ask(sql("SELECT 1", []))[1]


def test_a_spill_that_is_left_ends_the_worker(started: Callable[..., Api], warehouse: Path) -> None:
    api = started()
    assert api.ask(sql("SELECT 1", []))[1]
    (warehouse.parent / "spill" / "duckdb_temp_storage-0.tmp").write_bytes(b"secret")
    assert not api.ask(sql("SELECT 1", []))[1]


def test_system_views_are_out_of_reach_whoever_misreads_their_names(started: Callable[..., Api]) -> None:
    api = started()
    api.ask(sql("FROM orders", [ORDERS]))
    with api.connection.cursor() as session:
        views = session.execute("SELECT view_name FROM duckdb_views() WHERE internal").fetchall()
        for (view,) in views:
            assert session.execute(f'FROM "{view}"').fetchall() == [(None,)]
