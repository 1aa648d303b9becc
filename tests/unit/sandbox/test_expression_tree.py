"""The review of an expression by DuckDB's tree: exactly one expression over one row, whatever the text does."""

from __future__ import annotations

import duckdb
import pytest

from service.sandbox import expression_tree


def check_function(name: str) -> None:
    if name not in ("upper", "list_transform", "list_value", "date_part"):
        raise ValueError(f"no function '{name}'")


def reviewed(text: str) -> expression_tree.Node:
    with duckdb.connect() as connection:
        node = expression_tree.read(connection, text)
        expression_tree.review(node, check_function)
        return node


@pytest.mark.parametrize(
    "text",
    [
        "a) FROM input UNION SELECT (b",
        "a) AS x FROM input WHERE (b",
        "a), (b",
        "1) FROM other, (SELECT 1",
        "a) FROM input LIMIT (1",
        "(SELECT max(a) FROM input)",
        "EXISTS (FROM input)",
        "a IN (SELECT 1)",
        "sum(a) OVER ()",
        "*",
        "COLUMNS('a')",
        "$1",
        "?",
        "#1",
        "lower(a)",
        '"lower"(a)',
        "main.upper(a)",
        "a); DROP TABLE x; SELECT (1",
        "upper(a) FILTER (WHERE lower(b) = 'x')",
        "list_transform([a], lambda x: lower(x))",
        "getenv('HOME')",
        "",
        "a\0b",
    ],
)
def test_what_is_not_one_expression_over_one_row_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        reviewed(text)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a + upper(b) -- c", ["a", "b"]),
        ("list_transform([a], lambda x: x + y)", ["a", "y"]),
        ("s.field", ["s"]),
        ("extract(year FROM d)", ["d"]),
        ("CASE WHEN a THEN b ELSE c END", ["a", "b", "c"]),
        ("1 + 1", []),
    ],
)
def test_the_columns_that_an_expression_refers_to(text: str, columns: list[str]) -> None:
    found = expression_tree.columns(reviewed(text))
    assert list(dict.fromkeys(path[0] for path, in_lambda in found if not in_lambda)) == columns


@pytest.mark.parametrize(
    "text",
    [
        "a * 1.5 - -b",
        "a IS NOT DISTINCT FROM 'x''y'",
        "s LIKE 'a!%' ESCAPE '!'",
        "NOT a",
        "[1, a][1]",
        "{'k': a}.k",
        "a BETWEEN 1 AND 2",
        "a::DECIMAL(3, 2)",
        "1e5",
        "list_transform([a], lambda x: x + 1)",
    ],
)
def test_a_tree_as_text_is_the_same_tree(text: str) -> None:
    def bare(node: object) -> object:
        if isinstance(node, list):
            return [bare(item) for item in node]
        if isinstance(node, dict):
            return {k: bare(v) for k, v in node.items() if not k.startswith(("query_location", "alias", "is_operator"))}
        return node

    with duckdb.connect() as connection:
        node = expression_tree.read(connection, text)
        (written,) = expression_tree.sql(connection, node)
        assert bare(expression_tree.read(connection, written)) == bare(node)
