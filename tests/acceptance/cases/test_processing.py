"""What processors compute is what DuckDB, Python and arithmetic say, or an error that names the step."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import duckdb
import polars as pl
import pytest

from tests.acceptance.cases.product import Product, cleaner, sql, transformer

NUMBERS = "id,x\n1,2\n2,10\n3,31\n4,100\n"
BIG = "g,v\na,4611686018427387904\na,4611686018427387904\nb,1\n"
TEXTS = "id,s,t\n1,naïve,v\n2,Ünder,d\n3,日本語x,x\n4,ax,x\n5,abc,\n"
ORDER = "id,o,s\n1,4,p\n2,3,q\n3,2,r\n4,1,s\n"
XS = (2, 10, 31, 100)


def close(found: list[Any], wanted: list[float]) -> bool:
    return len(found) == len(wanted) and all(map(math.isclose, found, wanted))


def test_logarithms_in_sql(product: Product) -> None:
    query = "SELECT id, log10(x) AS lg10, log2(x) AS lg2, log(10, x) AS lb, ln(x) AS l FROM input ORDER BY id"
    found = product.run(sql(query), files={"n.csv": NUMBERS}).columns
    assert close(found["lg10"], [math.log10(x) for x in XS])
    assert close(found["lb"], [math.log10(x) for x in XS])
    assert close(found["lg2"], [math.log2(x) for x in XS])
    assert close(found["l"], [math.log(x) for x in XS])


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("log(10, x)", math.log10),
        ("log10(x)", math.log10),
        ("log(x)", math.log10),
        ("log2(x)", math.log2),
        ("if(strpos('ab', 'b') = 2, log10(x), 0)", math.log10),
        ("if((x > 0) IS TRUE, log10(x), 0)", math.log10),
        ("if(x IS DISTINCT FROM 0, log10(x), 0)", math.log10),
        ("pow(2, -x)", lambda x: 2.0**-x),
        ("power(x, -1)", lambda x: 1 / x),
    ],
)
def test_numbers_in_derive(product: Product, expression: str, wanted: Any) -> None:
    found = product.run(transformer(derive={"y": expression}), files={"n.csv": NUMBERS}).columns
    assert close(found["y"], [wanted(x) for x in XS])


def test_a_qualified_name_in_order_by_is_the_column_of_the_input(product: Product) -> None:
    joined = "SELECT a.s, b.id FROM input a JOIN input b ON a.id = b.o ORDER BY a.id LIMIT 2"
    assert product.run(sql(joined), files={"o.csv": ORDER}).completed.rows() == [("p", 4), ("q", 3)]
    renamed = "SELECT -id AS id, s FROM input ORDER BY input.id LIMIT 1"
    assert product.run(sql(renamed), files={"o.csv": ORDER}).completed.rows() == [(-1, "p")]


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("v * 2", [2**63, 2**63, 2]),
        ("v * v", [2**124, 2**124, 1]),
        ("v + v + v", [3 * 2**62, 3 * 2**62, 3]),
        ("-v - v - v", [-3 * 2**62, -3 * 2**62, -3]),
        ("abs(-v) * 3", [3 * 2**62, 3 * 2**62, 3]),
        ("coalesce(v, 0) * 4", [2**64, 2**64, 4]),
        ("mod(v, 1000) * v * 1000", [904 * 2**62 * 1000, 904 * 2**62 * 1000, 1000]),
    ],
)
def test_whole_numbers_never_wrap(product: Product, expression: str, wanted: list[int]) -> None:
    done = product.run(transformer(derive={"y": expression}), files={"big.csv": BIG})
    if done.rows is None:
        assert done.run["error"]["details"]["step"] == "processors[0]"
        assert "y" in done.refusal
    else:
        assert [int(value) for value in done.columns["y"]] == wanted


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "uint8"])
def test_small_whole_numbers_never_wrap(product: Product, kind: str) -> None:
    steps = [cleaner(cast={"x": kind}), transformer(derive={"y": "x * x * x", "z": "0 - x", "p": "pow(x, 20)"})]
    found = product.run(*steps, files={"n.csv": NUMBERS}).columns
    assert [int(value) for value in found["y"]] == [x**3 for x in XS]
    assert [int(value) for value in found["z"]] == [-x for x in XS]
    assert close(found["p"], [float(x) ** 20 for x in XS])


def test_sums_are_exact(product: Product) -> None:
    for step in (
        sql("SELECT g, sum(v) AS s FROM input GROUP BY g ORDER BY g"),
        transformer(aggregate={"by": ["g"], "metrics": {"s": "sum(v)"}}, sort=["g"]),
    ):
        done = product.run(step, files={"big.csv": BIG})
        if done.rows is None:
            assert done.run["error"]["details"]["step"] == "processors[0]"
        else:
            assert {g: int(s) for g, s in zip(done.columns["g"], done.columns["s"], strict=True)} == {
                "a": 2**63,
                "b": 1,
            }


def test_literals_and_results_of_functions_count_in_64_bits(product: Product) -> None:
    found = product.run(transformer(derive={"y": "if(x > 3, 1, 0) * 3000000000"}), files={"n.csv": NUMBERS}).columns
    assert found["y"] == [0, 3_000_000_000, 3_000_000_000, 3_000_000_000]


def test_positions_count_characters(product: Product) -> None:
    derive = {"at": "strpos(s, t)", "p": "position(t in s)", "rest": "substr(s, strpos(s, t))", "end": "substr(s, -2)"}
    found = product.run(transformer(derive=derive), files={"t.csv": TEXTS}).columns
    assert found["at"] == found["p"] == [4, 3, 4, 2, None]
    assert found["rest"] == ["ve", "der", "x", "x", None]
    assert found["end"] == ["ve", "er", "語x", "ax", "bc"]


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("%Y-%m-%d %H:%M:%S.%f", ["2024-01-01 10:00:00.123", "2024-01-01 10:00:00.5", "2024-01-01 10:00:00.000001"]),
        ("%Y%m%d%H%M%S%f", ["20240101100000123", "202401011000005", "20240101100000000001"]),
        ("%H:%M:%S.%f %d.%m.%Y", ["10:00:00.123 01.01.2024", "10:00:00.5 01.01.2024", "10:00:00.000001 01.01.2024"]),
    ],
)
def test_fractions_of_seconds_stay(product: Product, pattern: str, texts: list[str]) -> None:
    source = {"type": "csv", "file_path": "ts.csv", "schema": {"ts": "string"}}
    cast = cleaner(cast={"ts": {"type": "datetime", "format": pattern, "on_error": "fail"}})
    done = product.run(cast, files={"ts.csv": "ts\n" + "\n".join(texts) + "\n"}, collectors=[source])
    assert [t.microsecond for t in done.columns["ts"]] == [123_000, 500_000, 1]


def test_seconds_since_1970_for_every_year(product: Product) -> None:
    days = [dt.date(1, 1, 1), dt.date(1500, 6, 1), dt.date(1969, 12, 31), dt.date(2024, 2, 29), dt.date(9999, 12, 31)]
    body = "d\n" + "".join(f"{day.year:04}-{day:%m-%d}\n" for day in days)
    wanted = [(day - dt.date(1970, 1, 1)).days * 86_400 for day in days]
    for kind in ("date", "datetime"):
        source = {"type": "csv", "file_path": "far.csv", "schema": {"d": "string"}}
        steps = [cleaner(cast={"d": kind}), transformer(derive={"e": "extract(epoch from d)"})]
        assert product.run(*steps, files={"far.csv": body}, collectors=[source]).columns["e"] == wanted, kind


def test_float32_is_summed_in_float64(product: Product) -> None:
    rows = pl.DataFrame({"g": ["a"] * 200_000, "x": pl.Series([0.1] * 200_000, dtype=pl.Float32)})
    source = [{"type": "parquet", "file_path": "f.parquet"}]
    step = transformer(aggregate={"by": ["g"], "metrics": {"s": "sum(x)", "m": "avg(x)"}})
    found = product.run(step, files={"f.parquet": rows}, collectors=source).columns
    tenth = pl.Series([0.1], dtype=pl.Float32).cast(pl.Float64)[0]
    assert close(found["s"] + found["m"], [200_000 * tenth, tenth])


def test_large_float32_have_a_deviation(product: Product) -> None:
    rows = pl.DataFrame({"x": pl.Series([1e20, 1e20, 3e20, 2e20, -1e20], dtype=pl.Float32)})
    source = [{"type": "parquet", "file_path": "f.parquet"}]
    steps = [{"type": "analyzer"}, transformer(normalize={"x": "standard"})]
    done = product.run(*steps, files={"f.parquet": rows}, collectors=source)
    (profile,) = product.served.json("GET", f"/pipeline/{done.name}/profile")["profiles"]
    assert math.isclose(profile["columns"][0]["std"], 1.483239697e20, rel_tol=1e-6)
    assert math.isclose(sum(done.columns["x"]), 0, abs_tol=1e-6)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("date", "24-02-29"), ("date", "-0001-01-01"), ("time", "10:00:60"), ("datetime", "2024-01-01 10:00:60")],
)
def test_dates_need_four_digits_and_minutes_have_sixty_seconds(product: Product, kind: str, text: str) -> None:
    source = {"type": "csv", "file_path": "d.csv", "schema": {"d": "string"}}
    step = cleaner(cast={"d": {"type": kind, "on_error": "fail"}})
    assert text in product.run(step, files={"d.csv": f"d\n{text}\n"}, collectors=[source]).refusal


def test_categories_that_differ_in_case(product: Product) -> None:
    done = product.run(transformer(encode={"a": "onehot"}), files={"yn.csv": "id,a\n1,Yes\n2,yes\n3,no\n"})
    if done.rows is None:
        assert done.run["error"]["details"]["step"] == "processors[0]"
        assert "encode.a" in done.refusal
    else:
        assert done.completed.select("a_Yes", "a_yes", "a_no").rows() == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


def test_letters_with_combining_marks_stay(product: Product) -> None:
    done = product.run(cleaner(normalize_names=True), files={"h.csv": "मूल्य,ชื่อ,की,कि\n1,2,3,4\n"})
    assert done.completed.columns == ["मूल्य", "ชื่อ", "की", "कि"]


@pytest.mark.parametrize("text", ["0.99999999999999999999", "12.00000000000000001", "9007199254740993.5"])
def test_text_loses_no_digit_on_its_way_to_a_whole_number(product: Product, text: str) -> None:
    source = {"type": "csv", "file_path": "x.csv", "schema": {"x": "string"}}
    step = cleaner(cast={"x": {"type": "int64", "on_error": "fail"}})
    assert text in product.run(step, files={"x.csv": f"x\n{text}\n"}, collectors=[source]).refusal


def test_a_date_past_year_9999_is_a_bad_value(product: Product) -> None:
    source = {"type": "csv", "file_path": "ep.csv", "schema": {"x": "string"}}
    cast = cleaner(cast={"x": {"type": "datetime", "format": "epoch"}})
    done = product.run(
        cast, {"type": "analyzer"}, files={"ep.csv": "x\n1718000000000\n1718000000\n"}, collectors=[source]
    )
    assert done.columns["x"] == [None, dt.datetime(2024, 6, 10, 6, 13, 20)]
    (lost,) = done.warnings("values_lost")
    assert (lost["column"], lost["count"]) == ("x", 1)


ROW = {
    "nan": float("nan"), "s": "axbx", "ts": dt.datetime(2024, 1, 31, 10, 20, 30), "n": 15, "m": -15,
    "us": dt.datetime(9000, 1, 1, 0, 0, 0, 1), "d": dt.date(1999, 12, 31), "two": "01/02/69",
    "zone": "2024-01-01T10:00:00Z", "offset": "2024-01-01T10:00:00+0200",
}  # fmt: skip
EXPRESSIONS = [
    "greatest(nan, 3)", "replace(s, '', '-')", "CAST(ts AS VARCHAR)", "strptime(two, '%d/%m/%y')", "epoch_us(us)",
    "strptime(zone, '%Y-%m-%dT%H:%M:%S%z')", "round(n, -1)", "round(m, -1)", "trim(s, 'x')", "n ** 2",
    "date_trunc('decade', d)", "least(nan, 3)", "ltrim(s, 'a')", "n // 2", "m % 4", "m // 4", "CAST(d AS VARCHAR)",
    "date_trunc('week', d)", "split_part(s, 'x', 2)", "left(s, -1)", "right(s, 2)", "reverse(s)", "n / 0",
    "nullif(n, 15)", "strptime(offset, '%Y-%m-%dT%H:%M:%S%z')",
]  # fmt: skip


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_means_what_duckdb_says_or_is_refused(product: Product, expression: str) -> None:
    source = [{"type": "parquet", "file_path": "r.parquet"}]
    rows = pl.DataFrame([ROW])
    step = transformer(derive={"y": expression})
    if refused := product.refused(step, collectors=[{"type": "parquet", "file_path": "r.parquet"}]):
        assert "processors[0].config.derive.y" in str(refused)
        return
    done = product.run(step, files={"r.parquet": rows}, collectors=source)
    with duckdb.connect() as connection:
        connection.register("input", rows.to_arrow())
        try:
            ((wanted,),) = connection.execute(f"SELECT {expression} FROM input").fetchall()
        except duckdb.Error:
            assert "derive.y" in done.refusal
            return
    (found,) = done.columns["y"]
    assert found == wanted or (math.isnan(found) and math.isnan(wanted))
