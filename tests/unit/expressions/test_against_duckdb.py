"""Conditions and queries mean what they mean to DuckDB, in which the stored rows are queried later."""

from __future__ import annotations

from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.expressions import scalar, select
from tests.examples import examples

NUMBERS = [None, 0, 1, 2, -3]
TABLE = pl.DataFrame(
    [(a, b, s, p, q) for a in NUMBERS for b in (None, 1, -2)
     for s, p, q in ((None, True, False), ("ab", None, True), ("b", False, None))],
    schema={"a": pl.Int64, "b": pl.Int64, "s": pl.String, "p": pl.Boolean, "q": pl.Boolean}, orient="row",
).with_row_index("id").with_columns(pl.col("id").cast(pl.Int64), g=pl.col("a").cast(pl.Int8))  # fmt: skip


def by_duckdb(query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.register("input", TABLE.to_arrow())
        return connection.execute(query).fetchall()


def joined(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(" ".join)


def among(*words: str) -> st.SearchStrategy[str]:
    return st.sampled_from(words)


def conditions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Without parentheses mostly, for what binds how strongly is what engines differ in."""
    number = among("a", "b", "1", "2", "a + 1", "a * b - 2", "- b", "abs(a)", "a - b * 2")
    text = among("s", "'ab'", "s || 'b'", "upper(s)")
    negated = among("", "NOT")
    return st.one_of(
        joined(inner, among("AND", "OR"), inner),
        joined(among("NOT"), inner),
        joined(among("("), inner, among(")")),
        joined(number, among("=", "<", ">=", "<>"), number),
        joined(number, negated, among("BETWEEN 0 AND"), number),
        joined(number, negated, among("IN (1, 2)", "IN (0, NULL)")),
        joined(text, negated, among("LIKE 'a%'")),
        joined(st.one_of(inner, number, text), among("IS NULL", "IS NOT NULL")),
        joined(inner, among("IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE")),
        joined(number, among("IS DISTINCT FROM", "IS NOT DISTINCT FROM"), number),
        joined(among("CASE WHEN"), inner, among("THEN a ELSE 2 END > b")),
    )


@examples(150)
@given(st.recursive(among("p", "q", "TRUE", "a > 1"), conditions, max_leaves=6))
def test_a_condition(text: str) -> None:
    wanted = [row[0] for row in by_duckdb(f"SELECT {text} FROM input ORDER BY id")]
    found, _ = scalar.typed(text, TABLE.schema)
    assert scalar.derive(TABLE.lazy(), "n", found).collect()["n"].to_list() == wanted
    query = select.typed(f"SELECT {text} AS n FROM input ORDER BY id", TABLE.schema)
    assert select.run(TABLE.lazy(), query).collect()["n"].to_list() == wanted


@pytest.mark.parametrize(
    "query",
    [
        "SELECT g, sum(a) AS s, count(*) AS n, count(DISTINCT s) AS d, avg(b) AS m FROM input GROUP BY g ORDER BY g",
        "SELECT id FROM input ORDER BY a DESC, s DESC NULLS FIRST, id",
        "SELECT id, rank() OVER (PARTITION BY p ORDER BY a DESC) AS r FROM input ORDER BY id",
        "SELECT id, sum(a) OVER (ORDER BY id) AS s FROM input ORDER BY id",
        "SELECT id, lag(a) OVER (PARTITION BY s ORDER BY id) AS l FROM input ORDER BY id",
        "SELECT id, g * 10 AS n, length(s) - 10 AS l, strpos(s, 'b') AS b FROM input ORDER BY id",
        "SELECT x.id, y.id AS o FROM input x JOIN input y ON x.a = y.b AND x.id < y.id ORDER BY 1, 2",
        "SELECT x.id, y.s FROM input x LEFT JOIN input y ON x.a = y.id ORDER BY 1",
        "SELECT DISTINCT s, p FROM input ORDER BY s, p",
        "SELECT id FROM input WHERE a IN (SELECT b FROM input) ORDER BY id",
        "SELECT s FROM input UNION SELECT 'z' AS s FROM input ORDER BY s",
        "WITH t AS (SELECT s, max(b) AS m FROM input GROUP BY s) SELECT s FROM t WHERE m IS DISTINCT FROM 1 ORDER BY s",
        "SELECT * EXCLUDE (s, p, q) FROM input WHERE q IS NOT TRUE ORDER BY id LIMIT 3 OFFSET 1",
        "SELECT g, sum(a) AS s FROM input GROUP BY g HAVING sum(a) > 0 ORDER BY s DESC, g",
    ],
)
def test_a_query(query: str) -> None:
    found = select.run(TABLE.lazy(), select.typed(query, TABLE.schema)).collect()
    assert found.rows() == by_duckdb(query)
