"""The plan of a statement shows what the gate's names may hide; these statements come here without the gate."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import duckdb
import pytest

from service.kit import errors
from service.sandbox import bound_plan, gate
from service.sandbox.confinement import CLOSED
from tests.unit.sandbox.attacks import REFUSED
from tests.unit.sandbox.statements import LEGAL

HIDDEN = [
    "FROM duckdb_settings()",
    "FROM duckdb_settings",
    "FROM duckdb_tables",
    "FROM system.main.duckdb_tables",
    "FROM information_schema.tables",
    "FROM pg_catalog.pg_class",
    "FROM pragma_database_list",
    "FROM pragma_table_info('orders')",
    "FROM sqlite_master",
    "FROM memory.main.hidden",
    "FROM hidden",
    "SELECT 1e400, -1e400 FROM hidden",
    "FROM reached",
    "SELECT (SELECT max(v) FROM hidden)",
    "SELECT * FROM orders WHERE id IN (SELECT v FROM hidden)",
    "SELECT * FROM orders, LATERAL (FROM hidden)",
    "WITH RECURSIVE duckdb_settings AS (FROM duckdb_settings UNION ALL FROM duckdb_settings) FROM duckdb_settings",
    "WITH RECURSIVE hidden AS (FROM hidden UNION ALL FROM hidden) FROM hidden",
    "WITH x AS (FROM hidden) SELECT 1 FROM x",
    "WITH \u212aeys AS (SELECT 1 AS v) FROM keys",
    "SELECT current_setting('threads')",
    "SELECT id, current_setting(name) FROM orders",
    "SELECT list_transform([1], lambda x: current_setting('threads'))",
    "SELECT id FROM orders ORDER BY current_setting('threads')",
    "SELECT leaking(1)",
    "SELECT pg_get_viewdef(1)",
    "FROM query('FROM hidden')",
    "FROM query_table('hidden')",
    "FROM glob('/etc/*')",
]
SHOWN = [
    "FROM orders",
    "SELECT 1e400, -1e400, id FROM orders",
    "FROM ORDERS o JOIN orders USING (id)",
    "SELECT count(*), max(name) FROM orders WHERE id > 1 GROUP BY id % 2 HAVING count(*) > 1 ORDER BY ALL LIMIT 3",
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 5) FROM t",
    "WITH RECURSIVE pg_tables AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM pg_tables) FROM pg_tables",
    "WITH hidden AS (FROM orders) FROM hidden",
    "FROM orders PIVOT (max(id) FOR name IN ('a', 'b'))",
    "FROM range(3) r, generate_series(1, r.range), unnest([1])",
    "SELECT * FROM json_each('[1]')",
    "SELECT id, ? FROM orders WHERE id = ? LIMIT 5",
    "SELECT row_number() OVER (ORDER BY id), ago(INTERVAL 1 DAY), x.y FROM orders, (SELECT {'y': 1} AS x)",
    "FROM penstock.runs",
    "SUMMARIZE orders",
    "DESCRIBE orders",
]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={**CLOSED}) as made:
        bound_plan.begin(made)
        made.execute("CREATE TABLE hidden AS SELECT 'secret' AS v; CREATE TABLE keys AS FROM hidden")
        made.execute("CREATE VIEW reached AS FROM hidden; CREATE MACRO leaking(x) AS current_setting('threads')")
        made.execute("CREATE VIEW orders AS SELECT 1 AS id, 'a' AS name")
        made.execute("CREATE SCHEMA penstock; CREATE TABLE penstock.runs (run_id VARCHAR)")
        bound_plan.stand_in(made, ["orders"])
        made.execute("SET enable_external_access = false; SET lock_configuration = true")
        yield made


def passes(connection: duckdb.DuckDBPyConnection, statement: str, *, listing: bool = False) -> bool:
    with connection.cursor() as session:
        tables = ["penstock.runs"] if "penstock" in statement else []
        return bound_plan.check(session, statement, tables, listing=listing)


@pytest.mark.parametrize("statement", HIDDEN)
def test_what_is_hidden_is_out_of_reach_without_the_gate(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    with contextlib.suppress(errors.Invalid):
        assert not passes(connection, statement), "it binds, and shows what is hidden"


@pytest.mark.parametrize("statement", REFUSED)
def test_no_attack_passes_by_the_plan_alone_and_reads_anything(
    connection: duckdb.DuckDBPyConnection, statement: str
) -> None:
    """What passes here are functions and texts that only the gate judges; none of them names a table or a file."""
    try:
        if not passes(connection, statement):
            return
    except errors.Invalid:
        return
    with connection.cursor() as session:
        ((plan,),) = session.execute("SELECT json_serialize_plan(?)", [statement]).fetchall()
    assert '"catalog":"memory"' not in plan
    assert "read_" not in plan


@pytest.mark.parametrize("statement", SHOWN)
def test_what_reads_stored_tables_passes(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    typed = bound_plan.with_types(statement, gate.accept(connection, statement).parameters, [1, 2])
    assert passes(connection, statement) or (typed is not None and passes(connection, typed))


def test_nothing_that_the_gate_lets_pass_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    for statement, tables in LEGAL:
        if not tables:
            passes(connection, statement)  # it may not bind; a refusal is raised


def test_tables_are_listed_only_where_the_statement_lists_them(connection: duckdb.DuckDBPyConnection) -> None:
    assert passes(connection, "SELECT * FROM (SHOW TABLES)", listing=True)
    with pytest.raises(errors.Invalid):
        passes(connection, "SELECT * FROM (SHOW TABLES)")


@pytest.mark.parametrize(
    ("values", "typed"),
    [
        ([1, "a"], "SELECT CAST(NULL AS BIGINT), 'ü?', CAST(NULL AS VARCHAR)"),
        ([[1.5], None], "SELECT [CAST(NULL AS DOUBLE)], 'ü?', NULL"),
        ([{"a": True}], "SELECT struct_pack(\"a\" := CAST(NULL AS BOOLEAN)), 'ü?', NULL"),
    ],
)
def test_parameters_get_the_types_of_their_values(
    connection: duckdb.DuckDBPyConnection, values: list[object], typed: str
) -> None:
    statement = "SELECT ?, 'ü?', ?"
    parameters = gate.accept(connection, statement).parameters
    assert bound_plan.with_types(statement, parameters, values) == typed
    assert passes(connection, typed)
    assert bound_plan.with_types("SELECT 1", [], ()) is None
