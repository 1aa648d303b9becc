"""The gate lets one SELECT over stored tables pass, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from service.kit import errors
from service.sandbox import functions, gate
from service.sandbox.duckdb_errors import Translator
from tests.unit.sandbox import attacks, statements


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    made = duckdb.connect(":memory:", config={"errors_as_json": True, "max_expression_depth": 250})
    yield made
    made.close()


def refusal(connection: duckdb.DuckDBPyConnection, statement: str) -> errors.PenstockError:
    try:
        accepted = gate.accept(connection, statement)
    except errors.Invalid as error:
        return error
    except duckdb.Error as error:
        return Translator(roots=(), memory_bytes=1, seconds=1)(error, statement=statement)
    raise AssertionError(f"passed: {statement} -> {accepted}")


def test_requirement_04_the_corpus_is_large() -> None:
    assert len(attacks.REFUSED) + len(attacks.UNSTORED) >= 200
    assert len(set(attacks.REFUSED)) == len(attacks.REFUSED)


@pytest.mark.parametrize(("statement", "tables"), statements.LEGAL, ids=[s for s, _ in statements.LEGAL])
def test_a_select_passes_with_its_tables(
    connection: duckdb.DuckDBPyConnection, statement: str, tables: set[str]
) -> None:
    accepted = gate.accept(connection, statement)
    assert set(accepted.tables) == tables
    assert accepted.explain is None
    assert not accepted.everything


@pytest.mark.parametrize("statement", statements.LISTING)
def test_show_tables_wants_everything(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    assert gate.accept(connection, statement).everything


@pytest.mark.parametrize(("statement", "explain", "tables"), statements.EXPLAINED)
def test_explain_is_taken_off(
    connection: duckdb.DuckDBPyConnection, statement: str, explain: str, tables: set[str]
) -> None:
    accepted = gate.accept(connection, statement)
    assert accepted.explain == explain
    assert set(accepted.tables) == tables
    assert not accepted.select.strip().casefold().startswith("explain")


@pytest.mark.parametrize("statement", attacks.REFUSED)
def test_requirement_04_anything_else_is_refused(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    error = refusal(connection, statement)
    assert isinstance(error, errors.Invalid)
    assert error.error_code in ("SQL_NOT_ALLOWED", "INVALID_SQL")


@pytest.mark.parametrize("statement", attacks.UNSTORED)
def test_files_and_variables_are_names_for_the_resolver(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    assert gate.accept(connection, statement).tables


@pytest.mark.parametrize("statement", attacks.UNPARSABLE)
def test_what_does_not_parse_is_invalid(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    assert refusal(connection, statement).error_code == "INVALID_SQL"


def test_places_are_counted_in_characters(connection: duckdb.DuckDBPyConnection) -> None:
    accepted = gate.accept(connection, "SELECT 'é', * FROM orders")
    assert accepted.tables == {"orders": 19}
    explained = gate.accept(connection, "EXPLAIN /* é */ SELECT 'é' FROM orders")
    assert explained.select[explained.tables["orders"] or 0 :] == "orders"
    assert refusal(connection, "SELECT 'é', getenv('x')").details["position"] == 12
    assert refusal(connection, "SELECT 'é' FRM x y").details["position"] == 15


def test_requirement_04_what_is_too_long_is_refused_before_it_is_parsed(connection: duckdb.DuckDBPyConnection) -> None:
    million = f"SELECT 1 IN ({', '.join(map(str, range(1_000_000)))})"
    for statement in ("-- " + "x" * 65_536, "SELECT '" + "é" * 33_000 + "'", "(" * 70_000, million):
        assert refusal(connection, statement).error_code == "SQL_NOT_ALLOWED"


def test_every_function_that_shows_the_server_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    """A macro of DuckDB may read what no user may name; each that does must be on the list."""
    rows = connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'macro' "
        "AND (macro_definition ILIKE '%FROM duckdb_%' OR macro_definition ILIKE '%FROM pragma_%')"
    ).fetchall()
    assert {name for (name,) in rows} <= functions.REFUSED


def test_table_functions_that_pass_touch_no_file(connection: duckdb.DuckDBPyConnection) -> None:
    known = {
        name
        for (name,) in connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro')"
        ).fetchall()
    }
    assert known >= gate.TABLE_FUNCTIONS
    assert not any(n.startswith(("read_", "duckdb_", "pragma_", "parquet_")) for n in gate.TABLE_FUNCTIONS)


def test_every_function_of_duckdb_was_looked_at(connection: duckdb.DuckDBPyConnection) -> None:
    """One of a newer release is refused until it is in one of the lists."""
    rows = connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() "
        "WHERE function_type IN ('scalar', 'aggregate', 'macro', 'window')"
    ).fetchall()
    known = functions.ALLOWED | functions.REFUSED
    new = {n for (n,) in rows if n not in known and " " not in n and not n.startswith(functions.REFUSED_PREFIXES)}
    assert new == set()
    assert not functions.ALLOWED & functions.REFUSED


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT uppr('a')", "INVALID_SQL"),
        ("SELECT ｇetenv('PATH')", "INVALID_SQL"),
        ("SELECT GETENV('PATH')", "SQL_NOT_ALLOWED"),
        ("SELECT setval('s', 1)", "SQL_NOT_ALLOWED"),
        ("SELECT finalize(1)", "SQL_NOT_ALLOWED"),
    ],
)
def test_functions_are_those_of_a_list(connection: duckdb.DuckDBPyConnection, statement: str, code: str) -> None:
    assert refusal(connection, statement).error_code == code


@pytest.mark.parametrize(
    "statement",
    [
        "WITH RECURSIVE duckdb_settings AS (FROM duckdb_settings UNION ALL FROM duckdb_settings) FROM duckdb_settings",
        "WITH RECURSIVE pg_tables AS (FROM pg_tables UNION SELECT * FROM pg_tables) FROM pg_tables",
        "WITH duckdb_ſettings AS (SELECT 1) FROM duckdb_settings",
        'WITH "DUCKDB_VİEWS" AS (SELECT 1) FROM duckdb_views',
    ],
)
def test_a_name_is_in_scope_only_where_duckdb_binds_it(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    assert gate.accept(connection, statement).tables
