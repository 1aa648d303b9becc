"""A statement over native tables in the place of their views means the same, or is left as it is."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from service.query.child.judged import Judged
from service.sandbox import gate
from service.sandbox.confinement import Relation

RELATIONS = {
    "orders": Relation('stored_0.main."orders"', ("rowid",)),
    'or"d ers': Relation('stored_0.main."or""d ers"', ("rowid",)),
    "parts": Relation("read_parquet(['a'])", ("file_index", "file_row_number")),
}
SAME = [
    "SELECT * FROM orders WHERE id = 2",
    "FROM orders",
    "FROM ORDERS SELECT orders.id ORDER BY ALL",
    "SELECT ORDERS.id FROM oRdErs ORDER BY 1",
    'SELECT "é", o.id FROM orders o, (SELECT 1 AS "é") ORDER BY id',
    "SELECT o.a FROM orders AS o(a, b) ORDER BY 1",
    'SELECT sum(id) FROM "or""d ers"',
    'SELECT x.id, y.id FROM "orders" x JOIN orders y USING (id) ORDER BY 1',
    "SELECT orders FROM orders ORDER BY id",
    "SELECT (SELECT max(id) FROM orders) AS m, 'FROM orders' AS t, 1 /* FROM orders */ FROM orders -- FROM orders",
    "WITH orders AS (SELECT id + 1 AS id FROM orders) FROM orders ORDER BY 1",
    "SELECT count(*) FROM orders TABLESAMPLE 100%",
    "FROM orders PIVOT (sum(id) FOR name IN ('a', 'b'))",
    "SELECT id FROM orders UNION ALL SELECT id FROM orders ORDER BY 1",
    "SELECT * FROM orders, LATERAL (SELECT orders.id * 2 AS twice) ORDER BY 1",
    "SELECT id FROM orders WHERE EXISTS (FROM orders o WHERE o.id = orders.id + 1) ORDER BY 1",
]
LEFT = [
    "SELECT rowid FROM orders",
    "SELECT orders.ROWID FROM orders",
    "SELECT count(*) FROM parts",
    "SELECT * FROM orders, parts",
    "FROM o: orders SELECT o.id",
    "DESCRIBE orders",
    "SELECT 1",
]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute("ATTACH ':memory:' AS stored_0")
        for name in ("orders", 'or"d ers'):
            quoted = '"' + name.replace('"', '""') + '"'
            made.execute(
                f"CREATE TABLE stored_0.main.{quoted} AS FROM (VALUES (1, 'a'), (2, 'b'), (3, NULL)) t(id, name)"
            )
            made.execute(f"CREATE VIEW {quoted} AS FROM stored_0.main.{quoted}")
        made.execute("CREATE VIEW parts AS SELECT 1 AS id")
        yield made


def judged(connection: duckdb.DuckDBPyConnection, statement: str) -> Judged:
    return Judged(gate.accept(connection, statement), statement)


@pytest.mark.parametrize("statement", SAME)
def test_it_means_the_same(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    direct = judged(connection, statement).over_tables(statement, RELATIONS)
    assert direct is not None
    assert "stored_0" in direct
    before = connection.execute(statement)
    columns, rows = before.description, before.fetchall()
    after = connection.execute(direct)
    assert (after.description, after.fetchall()) == (columns, rows)


@pytest.mark.parametrize("statement", LEFT)
def test_it_is_left_where_it_could_mean_something_else(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    assert judged(connection, statement).over_tables(statement, RELATIONS) is None


def test_it_is_left_once_it_was_not_understood(connection: duckdb.DuckDBPyConnection) -> None:
    known = judged(connection, "FROM orders")
    known.refuse_tables()
    assert known.over_tables("FROM orders", RELATIONS) is None
