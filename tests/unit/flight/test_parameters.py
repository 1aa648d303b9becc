"""Parameters of prepared statements: where they are in a statement, and their values."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pyarrow import lib

from service.flight import parameters
from service.flight.errors import Refused
from service.flight.statements import Statement


def bound(sql: str, *values: Any) -> Statement:
    """The statement with values, which a driver names by their places."""
    columns = {str(place): value if isinstance(value, lib.Array) else [value] for place, value in enumerate(values)}
    return parameters.bound(Statement(sql), lib.table(columns))


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT 1", []),
        ("SELECT ?, ?::DATE, '?', \"a?\" -- ?\n /* ? */ FROM t WHERE x = $$ ? $$", ["1", "2"]),
        ("SELECT $2, $1, $2", ["1", "2"]),
        ("SELECT $to, $from, $to", ["to", "from"]),
        ("SELECT x->>'$.y' FROM t", []),
        ("SELECT 'not closed ?", []),
    ],
)
def test_the_parameters_of_a_statement(sql: str, names: list[str]) -> None:
    assert parameters.names(parameters.placeholders(sql)) == names


def test_values_that_json_has() -> None:
    assert bound("SELECT ?, ?, ?, ?, ?", 1, 1.5, True, "é", None) == Statement(
        "SELECT ?, ?, ?, ?, ?", [1, 1.5, True, "é", None]
    )


@pytest.mark.parametrize(
    ("value", "text", "kind"),
    [
        (date(2026, 1, 31), "2026-01-31", "DATE"),
        (time(6, 30, 0, 5), "06:30:00.000005", "TIME"),
        (datetime(2026, 1, 31, 6, 30), "2026-01-31 06:30:00.000000", "TIMESTAMP"),
        (datetime(2026, 1, 31, 6, 30, tzinfo=UTC), "2026-01-31 06:30:00.000000Z", "TIMESTAMPTZ"),
        (timedelta(seconds=90), "90000000 microseconds", "INTERVAL"),
        (Decimal("1.50"), "1.50", "DECIMAL(3,2)"),
        (b"\x00a", "\\x00\\x61", "BLOB"),
        (float("inf"), "inf", "DOUBLE"),
        (lib.array([None], lib.date32()), None, "DATE"),
        (lib.array(["x"]).dictionary_encode(), "x", None),
        (lib.array([5_000], lib.timestamp("ns", "Europe/Berlin")), "1970-01-01 00:00:00.000005Z", "TIMESTAMPTZ"),
    ],
)
def test_values_that_json_does_not_have_are_cast(value: Any, text: str | None, kind: str | None) -> None:
    place = "?" if kind is None else f"CAST(? AS {kind})"
    found = bound("SELECT 'é?', ? + 1", value)
    assert (found.sql, found.parameters) == (f"SELECT 'é?', {place} + 1", [text])


def test_other_values_take_the_place_of_the_first() -> None:
    statement = bound("SELECT ?", timedelta(seconds=90))
    for value, sql in [
        (date(2026, 1, 31), "SELECT CAST(? AS DATE)"),
        (7, "SELECT ?"),
        (b"a", "SELECT CAST(? AS BLOB)"),
    ]:
        statement = parameters.bound(Statement.of(statement.handle), lib.table({"0": [value]}))
        assert statement.sql == sql


def test_names_and_places() -> None:
    day = lib.array([date(2026, 1, 31)])
    given = Statement("SELECT $day, $id, $day")
    cast = "SELECT CAST($day AS DATE), $id, CAST($day AS DATE)"
    for values in ({"id": [1], "day": day}, {"0": day, "1": [1]}):  # by their names, in their order
        found = parameters.bound(given, lib.table(values))
        assert (found.sql, found.parameters) == (cast, {"day": "2026-01-31", "id": 1})
    numbered = parameters.bound(Statement("SELECT $2, $1"), lib.table({"0": [1], "1": ["x"]}))
    assert numbered.parameters == [1, "x"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "has 1 parameters; 0 values"),
        ([1, 2], "has 1 parameters; 2 values"),
        ([lib.array([1, 2])], "one row of parameters; 2 rows"),
        ([lib.array([], lib.int64())], "one row of parameters; 0 rows"),
        ([[1, 2]], "parameter 1: values of the type list<item: int64> are not taken"),
        ([lib.array([5], lib.timestamp("ns"))], "parameter 1: .* would lose data"),
    ],
)
def test_what_cannot_be_bound_is_refused(values: list[Any], message: str) -> None:
    table = lib.table({"x": [1]}).select([]) if not values else None
    with pytest.raises(Refused, match=message):
        parameters.bound(Statement("SELECT ?"), table) if table is not None else bound("SELECT ?", *values)


def test_too_many_parameters_are_refused() -> None:
    for sql in ("SELECT $99999999999", f"SELECT {'?,' * 10_001} 1"):
        with pytest.raises(Refused, match="10000 parameters at most"):
            parameters.names(parameters.placeholders(sql))


def test_nulls_for_a_statement_without_values() -> None:
    assert parameters.nulls([]) is None
    assert parameters.nulls(["1", "2"]) == [None, None]
    assert parameters.nulls(["day", "id"]) == {"day": None, "id": None}
