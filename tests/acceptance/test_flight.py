"""Flight SQL with a driver that nobody here wrote, ADBC's: rows, parameters, what there is, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import grpc
import pandas as pd
import polars as pl
import pyarrow.compute
import pyarrow.flight
import pytest
from adbc_driver_flightsql import DatabaseOptions, dbapi
from adbc_driver_manager import DatabaseError, NotSupportedError, ProgrammingError
from grpc import StatusCode
from pyarrow import lib

from service.flight import arrow_stream, messages
from service.flight.arrow_stream import Piece
from tests.acceptance.flights import CITIES, Flight, asked, flying, serving_cities
from tests.acceptance.served import PASSWORD, Served

compute: Any = pyarrow.compute  # pyarrow ships no types


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_cities(tmp_path_factory.mktemp("flight") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def flight(served: Served) -> Iterator[Flight]:
    with flying(served) as running:
        yield running


@pytest.fixture
def cursor(flight: Flight) -> Iterator[Any]:
    with flight.connect() as connection, connection.cursor() as made:
        yield made


# reading


def test_rows(cursor: Any) -> None:
    assert asked(cursor, "FROM cities ORDER BY id") == CITIES
    assert asked(cursor, 'SELECT count(*) AS n FROM "cities@1"') == [{"n": 3}]
    assert asked(cursor, "SELECT pipeline, status FROM penstock.runs") == [
        {"pipeline": "cities", "status": "completed"}
    ]
    assert asked(cursor, "FROM cities WHERE id > 5") == []


def test_types_survive(cursor: Any) -> None:
    sql = """SELECT 1::TINYINT AS small, 12345678901234567890123::HUGEINT AS huge, 1.50::DECIMAL(10,2) AS exact,
        DATE '2026-01-31' AS day, TIME '06:30:00' AS time, TIMESTAMP '2026-01-31 06:30:00' AS moment,
        TIMESTAMPTZ '2026-01-31 06:30:00+00' AS zoned, INTERVAL 90 SECOND AS length, 'a\\x00'::BLOB AS bytes,
        [1, NULL] AS list, {'a': 1, 'b': 'x'} AS pair, NULL AS nothing, true AS yes"""
    (row,) = asked(cursor, sql)
    assert row == {
        "small": 1, "huge": Decimal(12345678901234567890123), "exact": Decimal("1.50"),
        "day": date(2026, 1, 31), "time": time(6, 30), "moment": datetime(2026, 1, 31, 6, 30),
        "zoned": datetime(2026, 1, 31, 6, 30, tzinfo=UTC),
        "length": timedelta(seconds=90), "bytes": b"a\x00", "list": [1, None], "pair": {"a": 1, "b": "x"},
        "nothing": None, "yes": True,
    }  # fmt: skip


def test_many_rows_in_bounded_memory(flight: Flight, cursor: Any) -> None:
    asked(cursor, "FROM cities")
    before = flight.peak_bytes
    cursor.execute("SELECT range AS a, range + 1 AS b, range + 2 AS c, range + 3 AS d FROM range(4000000)")
    rows = total = size = 0
    for batch in cursor.fetch_record_batch():
        rows, size, total = (
            rows + batch.num_rows,
            size + batch.nbytes,
            total + compute.sum(batch.column("a")).as_py(),
        )
    assert (rows, total) == (4_000_000, 4_000_000 * 3_999_999 // 2)
    assert size > 120 << 20
    assert flight.peak_bytes - before < 32 << 20


def test_rows_whose_batches_are_larger_than_a_message(cursor: Any) -> None:
    cursor.execute("SELECT range AS id, repeat('x', 4000) AS text FROM range(10000)")
    table = cursor.fetch_arrow_table()
    assert table.num_rows == 10_000
    assert table.column("id").to_pylist() == list(range(10_000))
    assert compute.sum(compute.binary_length(table.column("text"))).as_py() == 40_000_000


def test_other_clients_read_it(flight: Flight) -> None:
    arrow: Any = pyarrow.flight
    with arrow.connect(flight.address) as client:
        options = arrow.FlightCallOptions(headers=[client.authenticate_basic_token("admin", PASSWORD)])
        command = messages.packed(messages.new("CommandStatementQuery", query="FROM cities ORDER BY id"))
        descriptor = arrow.FlightDescriptor.for_command(command)
        info = client.get_flight_info(descriptor, options)
        table = client.do_get(info.endpoints[0].ticket, options).read_all()
        assert table.schema == info.schema == client.get_schema(descriptor, options).schema
        assert table.to_pylist() == CITIES
    with flight.connect() as connection:
        assert pl.read_database("FROM cities ORDER BY id", connection).rows(named=True) == CITIES
        assert pd.read_sql("SELECT city FROM cities WHERE id = 2", connection).to_dict("list") == {"city": ["Rome"]}


# prepared statements


@pytest.mark.parametrize(
    "value",
    [
        7, -(2**63), 1.5, float("inf"), True, "O'Brien; DROP TABLE cities -- ?", "é",
        date(2026, 1, 31), time(6, 30, 0, 5), datetime(2026, 1, 31, 6, 30, 0, 7),
        datetime(2026, 1, 31, 6, 30, tzinfo=UTC), timedelta(days=2, microseconds=3),
        Decimal("-12345678901234567890.12"), b"\x00\xff'", None,
    ],
)  # fmt: skip
def test_each_type_of_parameter_comes_back(cursor: Any, value: Any) -> None:
    assert asked(cursor, "SELECT ? AS value, 'a ? b' AS text", (value,)) == [{"value": value, "text": "a ? b"}]


def test_a_statement_is_prepared_once_and_executed_often(cursor: Any) -> None:
    schema = cursor.adbc_prepare("SELECT city FROM cities WHERE id = ? AND ?::DATE > DATE '2026-01-01'")
    assert schema.names == ["1", "2"]
    found = [
        asked(cursor, "SELECT city FROM cities WHERE id = ? AND ?::DATE > DATE '2026-01-01'", (key, date(2026, 2, 1)))
        for key in (1, 2, 9)
    ]
    assert found == [[{"city": "Bern"}], [{"city": "Rome"}], []]


def test_named_parameters_and_numbers(cursor: Any) -> None:
    assert asked(cursor, "SELECT $2 || $1 AS text", ("a", "b")) == [{"text": "ba"}]
    assert asked(cursor, "SELECT date_trunc('month', $day) AS month", (date(2026, 1, 31),)) == [
        {"month": datetime(2026, 1, 1)}
    ]


def test_wrong_parameters_are_refused(cursor: Any) -> None:
    for parameters, message in (((), "Values were not provided"), ((1, 2), "has 1 parameters; 2 values")):
        with pytest.raises(ProgrammingError, match=message):
            asked(cursor, "SELECT ?", parameters)
    with pytest.raises(ProgrammingError, match=r"parameter 1: values of the type list<item: int64> are not taken"):
        asked(cursor, "SELECT ?", ([1, 2],))


# what there is


def test_objects(cursor: Any) -> None:
    connection = cursor.connection
    (catalog,) = connection.adbc_get_objects().read_all().to_pylist()
    plain, system = catalog["catalog_db_schemas"]
    assert (catalog["catalog_name"], plain["db_schema_name"], system["db_schema_name"]) == ("", "", "penstock")
    (table,) = plain["db_schema_tables"]
    assert (table["table_name"], table["table_type"]) == ("cities", "TABLE")
    assert [column["column_name"] for column in table["table_columns"]] == ["id", "city"]
    names = {table["table_name"]: len(table["table_columns"]) for table in system["db_schema_tables"]}
    assert names.keys() == {"columns", "pipelines", "quarantine", "queries", "runs", "steps", "versions"}
    assert min(names.values()) > 5


def test_objects_by_pattern(cursor: Any) -> None:
    def found(**wanted: Any) -> dict[str, list[str]]:
        (catalog,) = cursor.connection.adbc_get_objects(depth="tables", **wanted).read_all().to_pylist()
        schemas = catalog["catalog_db_schemas"]
        return {s["db_schema_name"]: [t["table_name"] for t in s["db_schema_tables"]] for s in schemas}

    assert found(table_name_filter="cit%")[""] == ["cities"]
    assert found(table_name_filter="r_ns") == {"": [], "penstock": ["runs"]}
    assert found(db_schema_filter="pen%", table_name_filter="%er%") == {"penstock": ["queries", "versions"]}
    assert found(table_types_filter=["TABLE"])["penstock"] == []


def test_schemas_types_and_facts(cursor: Any) -> None:
    connection = cursor.connection
    assert connection.adbc_get_table_schema("cities") == lib.schema([("id", lib.int64()), ("city", lib.string())])
    assert "run_id" in connection.adbc_get_table_schema("runs", db_schema_filter="penstock").names
    with pytest.raises(ProgrammingError, match="NOT_FOUND"):
        connection.adbc_get_table_schema("nowhere")
    assert connection.adbc_get_table_types() == ["SYSTEM TABLE", "TABLE"]
    assert connection.adbc_get_info()["vendor_name"] == "Penstock"


def test_keys_and_types_have_answers(flight: Flight) -> None:
    for name in ("PrimaryKeys", "ExportedKeys", "ImportedKeys", "CrossReference", "XdbcTypeInfo", "Catalogs"):
        command = messages.packed(messages.new(f"CommandGet{name}"))
        descriptor = messages.new("FlightDescriptor", type=2, cmd=command)
        info = flight.call("GetFlightInfo", "FlightInfo", descriptor)
        data = flight.call("DoGet", "FlightData", info.endpoint[0].ticket)
        table = arrow_stream.table(Piece(part.data_header, part.data_body) for part in data)
        assert table.schema == lib.read_schema(lib.BufferReader(info.schema)), name
        assert (table.num_rows > 0) == (name in ("XdbcTypeInfo", "Catalogs")), name


# walls


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("DELETE FROM cities", "SQL_NOT_ALLOWED"),
        ("SELECT 1; SELECT 2", "SQL_NOT_ALLOWED"),
        ("FROM read_csv('/etc/passwd')", "SQL_NOT_ALLOWED"),
        ("SELECT getenv('HOME')", "SQL_NOT_ALLOWED"),
        ("FROM nowhere", "SQL_NOT_ALLOWED"),
        ("SELEC 1", "INVALID_SQL"),
        ("SELECT '" + "x" * 70_000 + "'", "SQL_NOT_ALLOWED"),
    ],
)
def test_the_gate_judges(cursor: Any, sql: str, code: str) -> None:
    with pytest.raises(ProgrammingError, match=code) as caught:
        asked(cursor, sql)
    assert "Traceback" not in str(caught.value)


def test_writing_is_refused(flight: Flight, cursor: Any) -> None:
    with pytest.raises(NotSupportedError, match="READ_ONLY"):
        cursor.adbc_ingest("cities", lib.table({"id": [1]}), mode="append")
    with pytest.raises(NotSupportedError, match="READ_ONLY"):
        cursor.executemany("SELECT ?", [(1,), (2,)])
    with pytest.raises(ProgrammingError, match="SQL_NOT_ALLOWED"):
        cursor.executemany("INSERT INTO cities VALUES (?)", [(1,), (2,)])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        dbapi.connect(flight.address, db_kwargs={"username": "admin", "password": PASSWORD}).close()
    assert "autocommit" in str(told[0].message)  # the driver was told that there are no transactions
    assert asked(cursor, "SELECT count(*) AS n FROM cities") == [{"n": 3}]


def table_types(flight: Flight, options: dict[str, str]) -> Any:
    with flight.connect(**options) as connection:
        return connection.adbc_get_table_types()


def test_without_a_user_nothing_is_answered(flight: Flight) -> None:
    for options in (
        {"username": "admin", "password": "wrong"},
        {DatabaseOptions.AUTHORIZATION_HEADER.value: "Bearer nonsense"},
        {DatabaseOptions.AUTHORIZATION_HEADER.value: "Basic nonsense"},
        {DatabaseOptions.AUTHORIZATION_HEADER.value: "Digest x"},
    ):
        with pytest.raises(DatabaseError, match="UNAUTHENTICATED"):
            table_types(flight, options)
    with pytest.raises(grpc.RpcError) as caught:
        flight.call("DoGet", "FlightData", messages.new("Ticket"), token="x").result()
    assert caught.value.code() is StatusCode.UNAUTHENTICATED


def test_a_pool_of_connections_shares_a_login(flight: Flight, served: Served) -> None:
    user = {"username": "pool", "password": PASSWORD, "role": "viewer"}
    served.json("POST", "/users", status=201, json=user)
    login = {"username": "pool", "password": PASSWORD}
    for _ in range(15):  # more than the logins of a name in a minute
        with flight.connect(**login) as connection, connection.cursor() as cursor:
            assert asked(cursor, "SELECT 1 AS one") == [{"one": 1}]
    served.json("PATCH", "/users/pool", json={"password": "another long pass phrase"})
    with pytest.raises(ProgrammingError, match="UNAUTHENTICATED"):
        read(flight, login)
    with pytest.raises(ProgrammingError, match="INVALID_CREDENTIALS"):
        read(flight, login)
    assert read(flight, {**login, "password": "another long pass phrase"}) == CITIES


def read(flight: Flight, options: dict[str, str]) -> list[dict[str, Any]]:
    with flight.connect(**options) as connection, connection.cursor() as cursor:
        return asked(cursor, "FROM cities ORDER BY id")


def test_a_token_ends_here_when_it_ends_there(flight: Flight, served: Served) -> None:
    pair = served.json("POST", "/auth/token", json={"username": "viewer", "password": PASSWORD})
    bearer = {"authorization": f"Bearer {pair['access_token']}"}
    options = {DatabaseOptions.AUTHORIZATION_HEADER.value: bearer["authorization"]}
    with flight.connect(**options) as connection, connection.cursor() as cursor:
        assert asked(cursor, "FROM cities ORDER BY id") == CITIES
        served.json("POST", "/auth/logout", headers=bearer)
        with pytest.raises(ProgrammingError, match="UNAUTHENTICATED"):
            asked(cursor, "FROM cities")
