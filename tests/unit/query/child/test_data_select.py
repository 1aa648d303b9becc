"""The data route's SQL: names looked up, filters that are one expression, sorts that keep the stored order."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from service.kit import errors
from service.query.child import data_select
from service.sandbox import bound_plan
from service.sandbox.confinement import Relation

KNOWN = ["id", "Price", "a,b", "-odd", 'q"t', "s"]
RELATION = Relation("t", ("rowid",))


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    made = duckdb.connect(":memory:")
    made.execute('CREATE VIEW t AS SELECT 1 AS id, 1.5 AS "Price", 2 AS "a,b", 3 AS "-odd", 4 AS "q""t", \'x\' AS s')
    made.execute("CREATE TABLE other AS SELECT 'hidden' AS v")
    made.execute("CREATE MACRO md5(x) AS (SELECT max(v) FROM other)")  # an allowed name, and another meaning
    bound_plan.begin(made)
    bound_plan.stand_in(made, ["t"])
    yield made
    made.close()


def test_columns_are_found_in_any_case() -> None:
    assert data_select.chosen(None, KNOWN) == KNOWN
    assert data_select.chosen(["price", "ID"], KNOWN) == ["Price", "id"]


@pytest.mark.parametrize(
    ("columns", "message"), [(["pric"], "did you mean 'Price'"), ([], "at least one"), (["x; DROP"], "no column")]
)
def test_wrong_columns_are_named(columns: list[str], message: str) -> None:
    with pytest.raises(errors.Invalid, match=message) as raised:
        data_select.chosen(columns, KNOWN)
    assert raised.value.details["field"] == "columns"


@pytest.mark.parametrize(
    ("sort", "sql"),
    [
        (None, ""),
        (" ", ""),
        ("id", ' ORDER BY "id" ASC NULLS LAST, rowid'),
        ("-price, id", ' ORDER BY "Price" DESC NULLS LAST, "id" ASC NULLS LAST, rowid'),
        ("-odd", ' ORDER BY "-odd" ASC NULLS LAST, rowid'),
        ("--odd", ' ORDER BY "-odd" DESC NULLS LAST, rowid'),
        ('q"t', ' ORDER BY "q""t" ASC NULLS LAST, rowid'),
    ],
)
def test_a_sort_keeps_the_stored_order_among_equals(sort: str | None, sql: str) -> None:
    assert data_select.ordered(sort, KNOWN, RELATION) == sql


@pytest.mark.parametrize("sort", ["prise", "id,,s", "id desc", "-", "1", "id; DROP TABLE x"])
def test_a_wrong_sort_is_named(sort: str) -> None:
    with pytest.raises(errors.Invalid) as raised:
        data_select.ordered(sort, KNOWN, RELATION)
    assert raised.value.details["field"] == "sort"


@pytest.mark.parametrize(
    "expression",
    [
        "id > 1",
        "ID > 1 AND price IS NULL -- why",
        "id IN (1, 2) OR \"a,b\" LIKE '%;%'",
        "id BETWEEN 1 AND 2 /* ) */",
        "s.x.y = 1 AND s['x'] = 2",
        "len(list_filter([1, 2], lambda x: x > id)) > 1",
        "len([x FOR x IN [1] IF x > id]) > 0",
        "id < current_date - INTERVAL 1 DAY",
        "CASE WHEN id > 1 THEN true ELSE false END",
        "regexp_matches(price::VARCHAR, '^[(]')",
    ],
)
def test_a_filter_is_put_into_where(connection: duckdb.DuckDBPyConnection, expression: str) -> None:
    assert data_select.filtered(connection, expression, KNOWN, "t") == f" WHERE (\n{expression}\n)"


@pytest.mark.parametrize("expression", [None, "", "  "])
def test_no_filter_is_none(connection: duckdb.DuckDBPyConnection, expression: str | None) -> None:
    assert data_select.filtered(connection, expression, KNOWN, "t") == ""


@pytest.mark.parametrize(
    "expression",
    [
        "idd > 1",
        "id >",
        "id > 1)",
        "id > 1; DROP TABLE x",
        "id > 1; -- why",
        "id > 1) OR (SELECT true",
        "id > 1) OR (true",
        "id > 1 -- (\n) OR (true",
        "id > 1), (id",
        "1) FROM range(3) WHERE (1",
        "1) UNION SELECT (1",
        "1) ORDER BY (1",
        "1) LIMIT (1",
        "1) AS x FROM t GROUP BY (1",
        "EXISTS (SELECT 1)",
        "id IN (SELECT 1)",
        "id = ANY ([1, 2])",
        "(FROM read_text('/etc/passwd')) IS NULL",
        "sum(id) OVER () > 1",
        "COLUMNS(*) > 1",
        "*",
        "#1 > 1",
        "id > ?",
        "id > $x",
        "current_setting('threads') = '1'",
        "getenv('PATH') = 'x'",
        "filename LIKE '%'",
        "file_row_number > 1",
        "rowid > 1",
        "stored_0.x > 1",
        "md5(s) > 'a'",
        "id > 1 \x00",
        "'" + "x" * 70_000 + "' = 'x'",
    ],
)
def test_a_wrong_filter_is_refused(connection: duckdb.DuckDBPyConnection, expression: str) -> None:
    with pytest.raises(errors.Invalid) as raised:
        data_select.filtered(connection, expression, KNOWN, "t")
    assert raised.value.details["field"] == "filter"
    assert raised.value.message.startswith("filter:")
