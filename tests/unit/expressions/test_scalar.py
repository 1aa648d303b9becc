"""What a text may say where it is an expression over one row, or over the rows of a group, without any engine."""

from __future__ import annotations

import duckdb
import pytest

from service.expressions import functions, scalar


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("   -- nothing", "empty"),
        ("a +", "something is missing"),
        ("a; b", "';' is not allowed"),
        ("(select 1)", "subquery"),
        ("select a from self", "subquery|one expression|statement"),
        ("sum(a)", "no row-local function 'sum'"),
        ("row_number() over ()", "no row-local function 'row_number'"),
        ("a over (partition by b)", "a window"),
        ("lag(a)", "no row-local function 'lag'"),
        ("now()", "no row-local function 'now'"),
        ("random()", "no row-local function 'random'"),
        ("current_date", "answers something else each time"),
        ("read_csv('x')", "no row-local function"),
        ("*", "'\\*' as a column"),
        ("a as c", "an alias"),
        ("$1", "is not allowed"),
        ("?", "is not allowed"),
        ("(a, b)", "several values"),
        ("(" * 30 + "a" + ")" * 30, "nested more than"),
        (" + ".join(["a"] * 300), "more than 400"),
        ("'" + "x" * 5000 + "'", "longer than 4000"),
        ("lowr(t)", "did you mean 'lower'"),
        ("drop table x", "cannot read|not a"),
        ("log1p(a)", "no row-local function 'log1p': use ln"),
        ("hash(a)", "changes with the release"),
        ("a) from input union (b", "cannot read"),
    ],
)
def test_what_may_not_stand_in_one(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scalar.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a + 1", "an aggregate is needed"),
        ("sum(a) + b", "'b' stands outside of an aggregate"),
        ("sum(max(a))", "cannot contain another"),
        ("row_number() over ()", "no row-local function 'row_number'"),
        ("string_agg(a, ',')", "no row-local function 'string_agg'"),
    ],
)
def test_what_may_not_stand_in_an_aggregate(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scalar.aggregate(text)


@pytest.mark.parametrize(
    "text", ["sum(a * 2) / count(*)", "max(a) FILTER (WHERE b > 1)", "count(DISTINCT a)", "coalesce(first(a), 0)"]
)
def test_what_may_stand_in_an_aggregate(text: str) -> None:
    assert scalar.aggregate(text) == text


def test_every_function_of_duckdb_is_allowed_or_refused() -> None:
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT lower(function_name) FROM duckdb_functions() "
            "WHERE function_name SIMILAR TO '[a-zA-Z]\\w*' "
            "AND function_type IN ('scalar', 'aggregate', 'macro', 'window')"
        ).fetchall()
    names = {name for (name,) in rows if not name.startswith(functions.REFUSED_PREFIXES)}
    assert names - functions.QUERY - functions.REFUSED == set()
    grammar = {"cast", "try_cast", "try", "coalesce", "extract", "ifnull", "grouping", "grouping_id"}
    assert functions.QUERY - names - functions.TABLES == grammar
    assert not functions.QUERY & functions.REFUSED


def test_what_is_allowed_answers_the_same_at_every_run() -> None:
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
        ).fetchall()
    assert not {name for (name,) in rows} & functions.QUERY
