"""Every type in every format: what goes in comes out, and in a bounded number of bytes at a time."""

from __future__ import annotations

import base64
import csv
import io
import math
from collections.abc import Iterator
from typing import Any

import duckdb
import msgspec
import polars as pl
import pyarrow.ipc as ipc
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from service.query.child import encode, type_forms
from service.query.child.encode import JsonRecords, Rows
from service.sandbox import quoting
from tests.examples import examples

read_stream: Any = ipc.open_stream
BIG = 1 << 30


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    made = duckdb.connect(":memory:")
    made.execute("SET TimeZone = 'UTC'")
    yield made
    made.close()


def records(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Any = None) -> list[dict[str, Any]]:
    text = b"".join(part for _, part in encode.lines(Rows.of(connection, sql, parameters)))
    return [msgspec.json.decode(line) for line in text.splitlines()]


def table(connection: duckdb.DuckDBPyConnection, sql: str, **options: Any) -> list[list[str]]:
    text = b"".join(encode.stream(Rows.of(connection, sql), "csv", **options)).decode()
    return list(csv.reader(io.StringIO(text, newline="")))


VALUES: list[tuple[str, Any]] = [
    ("9223372036854775807", 9223372036854775807),
    ("170141183460469231731687303715884105727::HUGEINT", 170141183460469231731687303715884105727),
    ("-170141183460469231731687303715884105727::HUGEINT", -170141183460469231731687303715884105727),
    ("(SELECT sum(range) FROM range(10))", 45),
    ("18446744073709551615::UBIGINT", 18446744073709551615),
    ("1.50::DECIMAL(10, 2)", "1.50"),
    ("-0.000001::DECIMAL(38, 6)", "-0.000001"),
    ("'NaN'::DOUBLE", None),
    ("'inf'::DOUBLE", None),
    ("'-inf'::FLOAT", None),
    ("1e300::DOUBLE", 1e300),
    ("true", True),
    ("NULL", None),
    ("DATE '2024-02-29'", "2024-02-29"),
    ("TIMESTAMP '2024-01-01 00:00:00'", "2024-01-01T00:00:00"),
    ("TIMESTAMP '2024-01-01 00:00:00.120'", "2024-01-01T00:00:00.12"),
    ("'2024-01-01 00:00:00.123456789'::TIMESTAMP_NS", "2024-01-01T00:00:00.123456789"),
    ("TIMESTAMP_S '2024-01-01 00:00:00'", "2024-01-01T00:00:00"),
    ("TIMESTAMPTZ '2024-01-01 00:00:00.5+01'", "2023-12-31T23:00:00.5Z"),
    ("TIME '12:34:56.5'", "12:34:56.5"),
    ("INTERVAL 3 MONTH", "3 months"),
    ("'a'::BLOB", base64.b64encode(b"a").decode()),
    ("''::BLOB", ""),
    ("'00000000-0000-0000-0000-000000000001'::UUID", "00000000-0000-0000-0000-000000000001"),
    ("'x'::ENUM ('x', 'y')", "x"),
    ("'101'::BITSTRING", "101"),
    ("union_value(n := 1)", "1"),
    ("12::BIGNUM", "12"),
    ("'{\"a\": 1}'::JSON", '{"a": 1}'),
    ("'é\"\\' || chr(10) || chr(0)", 'é"\\\n\x00'),
    ("'infinity'::DATE", "infinity"),
    ("'infinity'::TIMESTAMP", "infinity"),
    ("DATE '0001-01-01'", "0001-01-01"),
    ("[1, NULL, 3]", [1, None, 3]),
    ("[]::INTEGER[]", []),
    ("NULL::INTEGER[]", None),
    ("[TIMESTAMP '2024-01-01', NULL]", ["2024-01-01T00:00:00", None]),
    ("[[1.5::DECIMAL(3, 1)], []]", [["1.5"], []]),
    ("array_value(1, 2)", [1, 2]),
    ("array_value('a'::BLOB, NULL)", ["YQ==", None]),
    ("{'a': 1.5::DECIMAL(3, 1), 'b': {'we ird': DATE '2024-01-01'}}", {"a": "1.5", "b": {"we ird": "2024-01-01"}}),
    ("NULL::STRUCT(a DATE)", None),
    ("[{'a': DATE '2024-01-01'}, NULL]", [{"a": "2024-01-01"}, None]),
    ("row(1, DATE '2024-01-01')", {"1": 1, "2": "2024-01-01"}),
    ("MAP {'k': 1}", {"k": 1}),
    ("MAP {1: [DATE '2024-01-01']}", {"1": ["2024-01-01"]}),
    ("MAP {DATE '2024-01-01': {'a': 1}}", {"2024-01-01": {"a": 1}}),
    ("NULL::MAP(INTEGER, DATE)", None),
    ("MAP {}::MAP(VARCHAR, DATE)", {}),
]  # fmt: skip
IDS = [sql for sql, _ in VALUES]


@pytest.mark.parametrize(("sql", "value"), VALUES, ids=IDS)
def test_a_value_in_json(connection: duckdb.DuckDBPyConnection, sql: str, value: Any) -> None:
    assert records(connection, f"SELECT {sql} AS v") == [{"v": value}]


@pytest.mark.parametrize(("sql", "value"), VALUES, ids=IDS)
def test_a_value_in_csv(connection: duckdb.DuckDBPyConnection, sql: str, value: Any) -> None:
    header, *rows = table(connection, f"SELECT 1 AS one, {sql} AS v")
    assert header == ["one", "v"]
    assert len(rows) == 1
    if isinstance(value, dict | list):
        assert msgspec.json.decode(rows[0][1]) == value
    elif value is None or isinstance(value, float | bool):
        assert rows[0][1].casefold() in ("", "nan", "inf", "-inf", "true", "1e300", "1e+300")
    else:
        assert rows[0][1] == str(value)


@pytest.mark.parametrize("format_", ["arrow", "parquet"])
@pytest.mark.parametrize("sql", [sql for sql in IDS if "MONTH" not in sql])
def test_a_value_survives_arrow_and_parquet(connection: duckdb.DuckDBPyConnection, sql: str, format_: str) -> None:
    body = b"".join(encode.stream(Rows.of(connection, f"SELECT {sql} AS v, 7 AS seven"), format_))
    if format_ == "parquet":
        frame = pl.read_parquet(io.BytesIO(body))
    else:
        frame = pl.DataFrame(pl.from_arrow(read_stream(body).read_all()))
    assert frame.columns == ["v", "seven"]
    assert frame["seven"].to_list() == [7]


cell = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8")),
    st.booleans(),
    st.dates(),
    st.datetimes(),
    st.binary(max_size=20),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), min_size=1),
)


def plain(value: Any) -> Any:
    """What JSON shows of a Python value."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if hasattr(value, "hour"):
        return value.isoformat() if not value.microsecond else value.isoformat().rstrip("0")
    return value.isoformat() if hasattr(value, "isoformat") else value


@examples(150, suppress=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(cell, min_size=1, max_size=5))
def test_any_row_round_trips(connection: duckdb.DuckDBPyConnection, values: list[Any]) -> None:
    sql = "SELECT " + ", ".join(f"? AS v{i}" for i in range(len(values)))
    (found,) = records(connection, sql, values)
    for value, shown in zip(values, found.values(), strict=True):
        expected = plain(value)
        assert shown == expected or (isinstance(value, float) and math.isclose(shown, expected, rel_tol=1e-15))


@examples(100, suppress=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4))
def test_any_text_round_trips_in_csv(connection: duckdb.DuckDBPyConnection, values: list[str]) -> None:
    sql = "SELECT " + ", ".join(f"{quoting.literal(v)} AS v{i}" for i, v in enumerate(values) if "\x00" not in v)
    if sql != "SELECT ":
        header_and_row = table(connection, sql, escape_formulas=False)
        assert header_and_row[1] == [v for v in values if "\x00" not in v]


def test_requirement_51_formulas_are_escaped_in_text_only(connection: duckdb.DuckDBPyConnection) -> None:
    sql = """SELECT * FROM (VALUES ('=1+1', -5), ('@x', -1), (chr(9) || '=1', 0), ('＝1', 1), ('a=1', 2), ('', 3),
             (NULL, 4), ('-x', 5), ('+x', 6)) AS t("=name", n)"""
    header, *rows = table(connection, sql)
    assert header == ["'=name", "n"]
    texts = ["'=1+1", "'@x", "'\t=1", "'＝1", "a=1", "", "", "'-x", "'+x"]
    assert rows == [[t, str(n)] for t, n in zip(texts, [-5, -1, 0, 1, 2, 3, 4, 5, 6], strict=True)]
    assert table(connection, sql, escape_formulas=False)[1][0] == "=1+1"


def test_csv_is_rfc_4180(connection: duckdb.DuckDBPyConnection) -> None:
    body = b"".join(encode.stream(Rows.of(connection, """SELECT 'a"b,c' AS x, 'l' || chr(10) AS "y,z" """), "csv"))
    assert body == b'x,"y,z"\r\n"a""b,c","l\n"\r\n'


def test_names_that_repeat_are_told_apart(connection: duckdb.DuckDBPyConnection) -> None:
    assert type_forms.unique(["a", "a", "A", "a_1", "b"]) == ["a", "a_2", "A_3", "a_1", "b"]
    assert type_forms.unique(["id"] * 30_000)[-1] == "id_29999"  # in no time
    rows = Rows.of(connection, "SELECT 1 AS a, 2 AS a, 3 AS a_1")
    assert len({c["name"] for c in rows.columns}) == 3
    assert list(records(connection, "SELECT 1 AS a, 2 AS a, 3 AS a_1")[0].values()) == [1, 2, 3]


@pytest.mark.parametrize("format_", ["ndjson", "csv", "arrow", "parquet"])
def test_no_rows_is_an_answer(connection: duckdb.DuckDBPyConnection, format_: str) -> None:
    body = b"".join(encode.stream(Rows.of(connection, "SELECT 1 AS a WHERE false"), format_))
    expected = {"ndjson": b"", "csv": b"a\r\n"}
    if format_ in expected:
        assert body == expected[format_]
    elif format_ == "arrow":
        assert read_stream(body).read_all().num_rows == 0
    else:
        assert pl.read_parquet(io.BytesIO(body)).shape == (0, 1)


@pytest.mark.parametrize("format_", ["ndjson", "csv", "arrow", "parquet"])
@pytest.mark.parametrize("limit", [0, 1, 50_000])
def test_a_limit_cuts_an_export(connection: duckdb.DuckDBPyConnection, format_: str, limit: int) -> None:
    body = b"".join(encode.stream(Rows.of(connection, "SELECT range AS a FROM range(100000)"), format_, limit))
    if format_ == "parquet":
        assert pl.read_parquet(io.BytesIO(body)).height == limit
    elif format_ == "arrow":
        assert read_stream(body).read_all().num_rows == limit
    else:
        assert body.count(b"\n") == limit + (format_ == "csv")


def test_columns_without_rows_are_not_executed(connection: duckdb.DuckDBPyConnection) -> None:
    rows = Rows.of(connection, "SELECT CAST('x' || range AS INTEGER) AS a FROM range(3)")
    with pytest.raises(duckdb.ConversionException):
        list(encode.stream(rows, "arrow", 1))
    table = read_stream(b"".join(encode.stream(rows, "arrow", 0))).read_all()
    assert (table.num_rows, str(table.schema.field("a").type)) == (0, "int32")


def test_an_export_comes_in_pieces(connection: duckdb.DuckDBPyConnection) -> None:
    chunks = encode.stream(Rows.of(connection, "SELECT range AS a FROM range(1000000000000)"), "ndjson")
    assert next(chunks).startswith(b'{"a":0}\n')
    assert next(chunks)


@pytest.mark.parametrize(
    ("rows", "limit", "count", "truncated"),
    [(0, 10, 0, False), (10, 10, 10, False), (11, 10, 10, True), (100_000, 70_000, 70_000, True), (5, 0, 0, True)],
)
def test_a_document_says_whether_rows_were_left_out(
    connection: duckdb.DuckDBPyConnection, rows: int, limit: int, count: int, truncated: bool
) -> None:
    found = JsonRecords.read(Rows.of(connection, f"SELECT range AS a FROM range({rows})"), limit, BIG)
    assert (found.count, found.truncated) == (count, truncated)
    body = msgspec.json.decode(b"".join(encode.document({"x": 1}, found, {"n": 2})))
    assert body == {"x": 1, "data": [{"a": i} for i in range(count)], "n": 2}


def test_a_document_is_cut_at_its_bytes(connection: duckdb.DuckDBPyConnection) -> None:
    found = JsonRecords.read(Rows.of(connection, "SELECT repeat('x', 100) AS a FROM range(100000)"), None, 1_000_000)
    body = b"".join(encode.document({}, found, {}))
    assert found.truncated
    assert 900_000 < len(body) <= 1_000_100
    assert len(msgspec.json.decode(body)["data"]) == found.count


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("DATE '1200-02-15 (BC)'", "-1199-02-15"),
        ("DATE '0001-12-31 (BC)'", "0000-12-31"),
        ("DATE '0002-12-31 (BC)'", "-0001-12-31"),
        ("DATE '12000-02-15 (BC)'", "-11999-02-15"),
        ("DATE '12000-02-15'", "12000-02-15"),
        ("'-infinity'::DATE", "-infinity"),
        ("TIMESTAMP '1200-02-15 (BC) 10:00:00.5'", "-1199-02-15T10:00:00.5"),
        ("TIMESTAMP_S '0001-02-15 (BC) 10:00:00'", "0000-02-15T10:00:00"),
        ("TIMESTAMP_MS '0044-03-15 (BC) 10:00:00.25'", "-0043-03-15T10:00:00.25"),
        ("TIMESTAMPTZ '1200-02-15 (BC) 10:00:00+00'", "-1199-02-15T10:00:00Z"),
        ("'infinity'::TIMESTAMP", "infinity"),
    ],
)
def test_early_years_are_iso_8601_in_every_text(connection: duckdb.DuckDBPyConnection, sql: str, text: str) -> None:
    statement = f"SELECT {sql} AS v, [{sql}] AS l"
    assert records(connection, statement) == [{"v": text, "l": [text]}]
    assert table(connection, statement)[1] == [text, f'["{text}"]']
    few = encode.few(connection, f"SELECT {sql} AS v")
    assert few is None or [line for _, line in few.lines] == [b'{"v":"%s"}\n' % text.encode()]
    kind = sql.rpartition("::")[2] if "::" in sql else sql.split()[0]
    assert connection.execute(f"SELECT CAST(? AS {kind}) = {sql}", [text]).fetchall() == [(True,)]
