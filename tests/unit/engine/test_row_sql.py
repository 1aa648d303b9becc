"""Expressions over one row: what DuckDB answers, in whatever batches rows come; errors name their place."""

from __future__ import annotations

import datetime as dt
import pickle
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine import row_sql
from service.expressions import scalar
from service.values import polars_errors

DATA = {
    "a": [3, None, 10],
    "b": [2.0, 0.5, None],
    "t": ["x'y", "Über", None],
    "d": [dt.datetime(2024, 5, 6, 7, 8), None, None],
}
AT = ("processors[0]", "config.derive.made")


def value(text: str, data: Any = None) -> list[Any]:
    lf = pl.LazyFrame(DATA if data is None else data)
    expression = row_sql.compiled(text, lf.collect_schema())
    made = row_sql.derive(lf, "made", expression, AT)
    assert made.collect_schema()["made"] == expression.dtype
    found = made.collect()["made"]
    assert found.dtype == expression.dtype
    assert found.equals(made.collect(engine="streaming")["made"], null_equal=True)
    return found.to_list()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a * 2 + 1", [7, None, 21]),
        ("a / 2", [1.5, None, 5.0]),
        ("a / 3.0 > 1", [False, None, True]),
        ("a % 4", [3, None, 2]),
        ("-a", [-3, None, -10]),
        ("a ** 2", [9.0, None, 100.0]),
        ("coalesce(a, 0)", [3, 0, 10]),
        ("nullif(a, 3)", [None, None, 10]),
        ("greatest(a, 5)", [5, 5, 10]),
        ("case when a > 5 then 'big' when a is null then 'none' else 'small' end", ["small", "none", "big"]),
        ("a in (3, 4)", [True, None, False]),
        ("a between 3 and 5", [True, None, False]),
        ("a is not null and not (a = 3)", [False, False, True]),
        ("t || '!'", ["x'y!", "Über!", None]),
        ("upper(t)", ["X'Y", "ÜBER", None]),
        ("length(t) * 100", [300, 400, None]),
        ("t like 'Ü%'", [False, True, None]),
        ("t = 'x''y' -- a comment", [True, False, None]),
        ("cast(a as varchar)", ["3", None, "10"]),
        ("CAST(d AS VARCHAR)", ["2024-05-06 07:08:00", None, None]),
        ("try_cast(t as integer)", [None, None, None]),
        ("year(d) * 1000", [2024000, None, None]),
        ("extract(month from d) * 100", [500, None, None]),
        ("date_trunc('month', d)", [dt.datetime(2024, 5, 1), None, None]),
        ("date_trunc('decade', d)", [dt.datetime(2020, 1, 1), None, None]),
        ("strftime(d, '%d.%m.%Y')", ["06.05.2024", None, None]),
        ("d - DATE '2024-05-05'", [dt.timedelta(days=1, hours=7, minutes=8), None, None]),
        ('"a" + 1', [4, None, 11]),
        ("A + 1", [4, None, 11]),
        ("input.a + 1", [4, None, 11]),
        ("a > 5 is true", [False, False, True]),
        ("strpos(t, 'y') * 100 > 0", [True, False, None]),
        ("strpos(t, NULL)", [None, None, None]),
        ("strpos(t, 'er')", [0, 3, None]),
        ("position('b' in lower(t)) = 0", [True, False, None]),
        ("a is distinct from 3 and b is null", [False, False, True]),
        ("a is not distinct from null or b is distinct from null and a = 3", [True, True, False]),
        ("round(b, 0)", [2.0, 1.0, None]),
        ("round(a, -1)", [0, None, 10]),
        ("regexp_replace(t, '[a-z]', '_')", ["_'y", "Ü_er", None]),
        ("log10(a * 10 / 3.0) = log(a * 10 / 3.0)", [True, None, True]),
        ("log(10, 100) + log2(8)", [5.0, 5.0, 5.0]),
        ("pow(2, -a)", [0.125, None, 0.0009765625]),
        ("substr(t, -2)", ["'y", "er", None]),
        ("replace(t, '', '-')", ["x'y", "Über", None]),
        ("trim(t, 'x')", ["'y", "Über", None]),
        ("greatest('NaN'::DOUBLE, 3) = 'NaN'::DOUBLE", [True, True, True]),
        ("epoch(d)", [1714979280.0, None, None]),
        ("extract(epoch from TIMESTAMP '0001-01-01')", [-62135596800.0] * 3),
        ("if(a > 3, 1, 0) * 3000000000", [0, 0, 3000000000]),
        ("if(a > 3, 100000, 0) * 100000", [0, 0, 10**10]),
        ("2000000000 + 2000000000", [4 * 10**9] * 3),
        ("[a, a + 1]", [[3, 4], [None, None], [10, 11]]),
        ("list_transform([a, 1], lambda x: x + 1)", [[4, 2], [None, 2], [11, 2]]),
        ("{'x': a, 'y': t}", [{"x": 3, "y": "x'y"}, {"x": None, "y": "Über"}, {"x": 10, "y": None}]),
        ("strptime('24-02-29', '%y-%m-%d') = TIMESTAMP '2024-02-29'", [True] * 3),
        ("year(strptime('01.01.69', '%d.%m.%y'))", [1969] * 3),
        ("microsecond(strptime('10:00:00.25', '%H:%M:%S.%f'))", [250_000] * 3),
        ("epoch_us(TIMESTAMP '9999-12-31 23:59:59.999999')", [253402300799999999] * 3),
        ("1.5", [1.5, 1.5, 1.5]),
        ("true", [True, True, True]),
        ("null", [None, None, None]),
    ],
)
def test_what_an_expression_means(text: str, wanted: list[Any]) -> None:
    assert value(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("n / 49", [n / 49 for n in range(1, 200)]),
        ("f / 49.0", [n / 49 for n in range(1, 200)]),
        ("f / -(3.7)", [n / -3.7 for n in range(1, 200)]),
        ("floor(f / 49)", [float(n // 49) for n in range(1, 200)]),
        ("n // 49", [n // 49 for n in range(1, 200)]),
        ("1000 / n", [1000 / n for n in range(1, 200)]),
    ],
)
def test_division_is_exact(text: str, wanted: list[Any]) -> None:
    assert value(text, {"n": list(range(1, 200)), "f": [float(n) for n in range(1, 200)]}) == wanted


@pytest.mark.parametrize("dtype", [pl.Int8(), pl.UInt8(), pl.Int16(), pl.UInt16(), pl.Int32(), pl.UInt32()])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [("a * 100", [1200, 10_000, None]), ("-b", [-11, -120, -3]), ("a * a * a * a * a", [12**5, 10**10, None])],
)
def test_small_whole_numbers_count_in_64_bits(dtype: pl.DataType, text: str, wanted: list[Any]) -> None:
    frame = pl.DataFrame({"a": [12, 100, None], "b": [11, 120, 3]}, schema={"a": dtype, "b": dtype})
    assert value(text, frame) == wanted
    assert row_sql.compiled(text, frame.schema).dtype == pl.Int64
    kept = row_sql.where(frame.lazy(), row_sql.compiled("a * 100 > 9000", frame.schema)).collect()
    assert kept.equals(frame[1:2])


def test_a_function_that_takes_an_integer_gets_one() -> None:
    frame = pl.DataFrame({"n": [3, None], "d": [dt.date(2024, 2, 27)] * 2}, schema_overrides={"n": pl.Int32})
    assert value("d + n", frame) == [dt.date(2024, 3, 1), None]
    assert value("factorial(n) * 1000000000", frame) == [6 * 10**9, None]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("DATE '12000-01-01'", 3_663_382),
        ("DATE '0044-03-15 (BC)'", -735_160),
        ("CAST(TIMESTAMP '12000-01-01 10:00:00' AS DATE)", 3_663_382),
        ("DATE 'infinity'", 2**31 - 1),
        ("make_date(2024, 1, 1) - 800000", 19_723 - 800_000),
    ],
)
def test_constants_may_be_dates_that_python_cannot_write(text: str, days: int) -> None:
    lf = pl.LazyFrame({"n": [1, 2]})
    made = row_sql.derive(lf, "made", row_sql.compiled(text, lf.collect_schema()), AT)
    assert made.select(pl.col("made").to_physical()).collect()["made"].to_list() == [days, days]
    kept = row_sql.where(lf, row_sql.compiled(f"{text} IS NOT NULL AND n > 1", lf.collect_schema()))
    assert kept.collect()["n"].to_list() == [2]


@pytest.mark.parametrize(
    "text",
    [
        "a * 4000000000000000000",
        "a + 9223372036854775807",
        "-9223372036854775807 - a",
        "CAST(a AS INTEGER) * 4000000000000000000",
    ],
)
def test_whole_numbers_never_wrap(text: str) -> None:
    lf = row_sql.derive(pl.LazyFrame(DATA), "made", row_sql.compiled(text, pl.LazyFrame(DATA).collect_schema()), AT)
    with pytest.raises(pl.exceptions.ComputeError) as caught:
        lf.collect()
    error = polars_errors.translate(caught.value, None)
    assert error.details == {"step": "processors[0]", "field": "config.derive.made"}
    assert error.message.startswith(f"derive.made: {text}: ")
    assert "DECIMAL(38, 0) holds more" in error.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cast(t as integer)", "Could not convert string 'x'y' to INT32 .*; TRY_CAST, or a cast in a cleaner"),
        ("a // 0", "Division by zero.*nullif"),
        ("a = t", "Could not convert string"),
    ],
)
def test_a_value_that_fails_names_the_expression(text: str, message: str) -> None:
    with pytest.raises(pl.exceptions.ComputeError, match=message):
        value(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aa + 1", r"no column 'aa' here; did you mean 'a'\?"),
        ("self.a", "no column 'self'"),
        ("d > 2024", "Cannot compare values of type TIMESTAMP"),
        ("upper(d - d)", "No function matches"),
        ("a as c", "cannot hold an alias"),
        ("a) from input union (select b", "cannot read|no row-local"),
        ("a, b", "exactly one expression|cannot read"),
        ("a where b > 1", "cannot read|exactly one expression"),
        ('"random"()', "no row-local function 'random'"),
        ("main.abs(a)", "named without a schema|cannot read|no column"),
        ("columns(*)", "no row-local function"),
        ("getenv('HOME')", "no row-local function"),
        ("1::BIGNUM", "a column cannot hold"),
        ("list_zip([1], ['a'])", "a column cannot hold a value of DuckDB's type TUPLE"),
    ],
)
def test_what_does_not_fit_the_columns(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        row_sql.compiled(text, pl.LazyFrame(DATA).collect_schema())


def test_a_column_that_does_not_exist_is_certain() -> None:
    with pytest.raises(scalar.NoColumn):
        row_sql.compiled("zz + 1", pl.Schema({"a": pl.Int64()}))


def test_names_that_differ_in_case_only_are_told_apart_or_refused() -> None:
    frame = pl.DataFrame({"a": [1], "A": [10]})
    assert value("A + 1", frame) == [11]
    assert value("a + 1", frame) == [2]
    with pytest.raises(ValueError, match="differ in case only"):
        row_sql.compiled("a + A", frame.schema)


def test_names_of_any_kind_are_quoted() -> None:
    name, odd = 'a "quoted" name; --', "with\0NUL"
    frame = pl.DataFrame({name: [1], odd: [2]})
    quoted = name.replace('"', '""')
    expression = row_sql.compiled(f'"{quoted}" + 1', frame.schema)
    assert row_sql.derive(frame.lazy(), "x", expression).collect()["x"].to_list() == [2]


def test_where_keeps_what_is_true_and_the_order() -> None:
    lf = pl.LazyFrame({"a": [5, None, 1, 7], "größe": [1, 2, 3, 4]})
    condition = row_sql.compiled('a > 1 or "größe" = 3', lf.collect_schema())
    assert row_sql.where(lf, condition).collect()["größe"].to_list() == [1, 3, 4]


def test_times_are_those_of_the_column_s_zone() -> None:
    zoned = pl.Series("z", [dt.datetime(2024, 7, 1, 23, 30)]).dt.replace_time_zone("UTC")
    frame = pl.DataFrame([zoned.dt.convert_time_zone("Europe/Berlin")])
    assert value("hour(z)", frame) == [1]
    assert value("hour(z)", pl.DataFrame([zoned])) == [23]
    assert row_sql.compiled("date_trunc('day', z)", frame.schema).dtype == pl.Datetime("us", "Europe/Berlin")


def test_no_rows_and_many_batches() -> None:
    frame = pl.DataFrame({"a": range(300_000)})
    expression = row_sql.compiled("a * 2", frame.schema)
    lf = row_sql.derive(frame.lazy(), "x", expression)
    assert lf.collect(engine="streaming")["x"].to_list() == [2 * a for a in range(300_000)]
    assert row_sql.derive(frame.clear().lazy(), "x", expression).collect().schema == {"a": pl.Int64, "x": pl.Int64}


def test_an_expression_can_be_sent_to_another_process() -> None:
    expression = row_sql.compiled("a + 1", pl.Schema({"a": pl.Int64()}))
    again = pickle.loads(pickle.dumps(expression))
    assert (again.text, again.columns, again.dtype) == ("a + 1", ("a",), pl.Int64())


PIECES = st.sampled_from(
    ["a + 1", "b * a", "coalesce(a, 0)", "a / b", "upper(t)", "length(t)", "t || 'x'", "a > 1", "t like '%a%'",
     "case when a > b then t else 'n' end", "a % 3", "substr(t, 1, 2)", "round(b, 1)", "a in (1, 2)",
     "replace(t, 'a', 'b')", "lpad(t, 5, '-')", "floor(b)", "abs(a)", "split_part(t, 'a', 1)", "a / 7", "b / 3.7"],
)  # fmt: skip
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-1000, 1000),
        st.none() | st.floats(-1e6, 1e6) | st.just(float("nan")),
        st.none() | st.text("ab ü%", max_size=5),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(PIECES, ROWS, st.data())
def test_an_expression_looks_at_one_row(text: str, rows: list[tuple[Any, ...]], data: st.DataObject) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.Float64, "t": pl.String}, orient="row")
    cut = data.draw(st.integers(0, frame.height))
    expression = row_sql.compiled(text, frame.schema)
    whole, *apart = (row_sql.derive(f.lazy(), "x", expression).collect() for f in (frame, frame[:cut], frame[cut:]))
    assert whole.equals(pl.concat(apart), null_equal=True)
