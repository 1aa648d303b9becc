"""SQL over the current data: what a SELECT may do, and that nothing but the data can be reached."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from tests.unit.processors.table import apply, invalid, refused

DATA = {"c": ["a", "b", "a", None], "größe v": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ('SELECT c, sum("größe v") AS s FROM input GROUP BY c ORDER BY c', [("a", 4), ("b", 2), (None, 4)]),
        ('select * from input where "größe v" > 2.5 -- a comment', [("a", 3), (None, 4)]),
        ("FROM input", [("a", 1), ("b", 2), ("a", 3), (None, 4)]),
        ("select count(*), count(distinct c) as d from input", [(4, 2)]),
        ('with t as (select "größe v" as v from input) select a.v from t a join t b on a.v = b.v order by a.v limit 2',
         [(1,), (2,)]),
        ('select "größe v" as v, row_number() over (partition by c order by "größe v") as r from input order by v',
         [(1, 1), (2, 1), (3, 2), (4, 1)]),
        ("select c from input where c is not null union select c from input order by c limit 2", [("a",), ("b",)]),
        ('select (select max("größe v") from input) as m from input limit 1', [(4,)]),
        ('select "größe v" / 2.0 as h from input limit 1', [(0.5,)]),
        ("select 'read_csv(''x''); drop' as s from input limit 1", [("read_csv('x'); drop",)]),
        ('select c from input where "größe v" in (select max("größe v") from input where c = \'a\')', [("a",)]),
        ("select c from input where false", []),
        ('select * exclude (c) rename ("größe v" as v) from input limit 1', [(1,)]),
        ("select c from input order by c desc", [("b",), ("a",), ("a",), (None,)]),
        ("select c from input order by c desc nulls last", [("b",), ("a",), ("a",), (None,)]),
        ("select c from input order by c nulls first", [(None,), ("a",), ("a",), ("b",)]),
        ("select c from input order by c desc nulls first limit 2", [(None,), ("b",)]),
        ('select "größe v" / 2 as h, c from input order by c desc nulls first limit 1', [(2.0, None)]),
        ('select "größe v" / 2 as h, c from input order by c desc limit 1', [(1.0, "b")]),
        ('select rank() over (order by c desc) as r from input order by "größe v"', [(2,), (1,), (2,), (4,)]),
        ('select "größe v" as v from input where c = \'a\' is not true or false order by v', [(2,), (4,)]),
        ('select "größe v" as v from input where c is distinct from \'a\' and "größe v" < 4 order by v', [(2,)]),
    ],
)  # fmt: skip
def test_a_select(query: str, wanted: list[Any]) -> None:
    assert apply("sql", DATA, query=query).rows.rows() == wanted


NUMBERS = list(range(1, 200))


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("select n / 49 as v from input", [n / 49 for n in NUMBERS]),
        ("select n / -(0.1 * 3) / 7 as v from input", [n / -0.3 / 7 for n in NUMBERS]),
        ("select floor(n / 49) as v from input", [n // 49 for n in NUMBERS]),
        ("select n, sum(n) / 49 as v from input group by n order by n", [n / 49 for n in NUMBERS]),
        ("select n / 49 as v from input where n / 49 >= 1", [n / 49 for n in NUMBERS if n >= 49]),
        ("select n / 49 as v, count(*) as c from input group by n / 49 order by v", [n / 49 for n in NUMBERS]),
        ("select sum(n) over (partition by n) / 49 as v from input", [n / 49 for n in NUMBERS]),
        ("with t as (select n as m from input) select m / 49 as v from t", [n / 49 for n in NUMBERS]),
        ("select (select min(n) from input) / 49 as v from input limit 1", [1 / 49]),
        ("select count(*) / 3 as v from input", [199 / 3]),
    ],
)
def test_division_by_a_number_is_exact(query: str, wanted: list[float]) -> None:
    assert apply("sql", {"n": NUMBERS}, query=query).rows["v"].to_list() == wanted


def test_a_quotient_has_the_type_and_the_name_that_duckdb_gives_it() -> None:
    frame = pl.DataFrame({"d": NUMBERS, "s": NUMBERS}, schema={"d": pl.Decimal(10, 2), "s": pl.Float32})
    rows = apply("sql", frame, query="select d / 4, s / 4 from input").rows
    assert rows.schema == {"(d / 4)": pl.Float64, "(s / 4)": pl.Float32}


def test_no_rows_and_empty_results() -> None:
    frame = pl.DataFrame(DATA).head(0)
    done = apply("sql", frame, query="select c, count(*) as n from input group by c")
    assert done.rows.columns == ["c", "n"]
    assert done.rows.height == 0


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "length >= 1"),
        ("-- nothing", "is empty"),
        ("select 1", "write one SELECT"),
        ("select from", "cannot read the query|write one SELECT"),
        ("select * from input; drop table input", "';' is not allowed"),
        ("select * from read_csv('/etc/passwd')", "no function 'read_csv'"),
        ("select * from \"read_csv\"('x')", "no function 'read_csv'"),
        ("select * from READ_PARQUET ('x')", "no function 'read_parquet'"),
        ("select * from 'x.csv'", "only 'input' can be read"),
        ("select * from other", "only 'input' can be read"),
        ("select * from inputs", "did you mean 'input'?"),
        ("select * from a.input", "only 'input' can be read"),
        ("select * from (with t as (select * from input) select * from t) join t on true", "only 'input' can be read"),
        ("delete from input", "write one SELECT"),
        ("insert into input select * from input", "write one SELECT"),
        ("with x as (delete from input returning *) select * from x", "cannot hold DELETE"),
        ("create table x as select * from input", "write one SELECT"),
        ("select * into y from input", "cannot hold INTO"),
        ("copy input to 'x'", "write one SELECT"),
        ("explain select * from input", "write one SELECT"),
        ("set x = 1", "write one SELECT"),
        ("with recursive t as (select * from input) select * from t", "cannot be recursive"),
        ("select c from input tablesample 10%", "cannot hold TABLESAMPLE"),
        ("select c from input using sample 3", "cannot hold TABLESAMPLE"),
        ("select now() from input", "no function 'now'"),
        ("select random() from input", "no function 'random'"),
        ("select current_timestamp from input", "answers something else each time"),
        ("select ? from input", "is not allowed"),
        ("select $1 from input", "is not allowed"),
        ("select " + "(" * 40 + "1" + ")" * 40 + " from input", "nested more than"),
        ("select " + "not " * 1500 + "c from input", "nested too deep"),
        ("select 1" + " + 1" * 2000 + " from input", "more than 2000 words"),
        ("select '" + "x" * 20_000 + "' from input", "longer than"),
    ],
)
def test_nothing_else_can_be_reached(query: str, message: str) -> None:
    problems = invalid("sql", query=query)
    assert list(problems) == ["query"]
    assert any(part in problems["query"] for part in message.split("|"))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("select d from input", "no column 'd' here"),
        ("select i.d from input i join input j on i.c = j.c", "no column 'd' here"),
        ('select i."große v" from input i join input j on i.c = j.c', "did you mean 'größe v'?"),
        ("select * exclude (d) from input", "no column 'd' here"),
        ('select * rename ("große v" as v) from input', "did you mean 'größe v'?"),
        ("select c" + "::int" * 600 + " from input", "expression depth limit"),
        ("select sum(c) from input", "No function matches"),
        ('select c = "größe v" from input', "Could not convert string 'a' to INT64"),
    ],
)
def test_what_does_not_fit_the_data_names_its_place(query: str, message: str) -> None:
    field, said = refused("sql", DATA, query=query)
    assert field == "query"
    assert message in said
