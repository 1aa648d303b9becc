"""Every DuckDB exception becomes one of ours, and no message shows where the server keeps things."""

from __future__ import annotations

import duckdb
import pytest

from service.kit import errors
from service.sandbox import duckdb_errors
from service.sandbox.duckdb_errors import Translator

CLASSES = sorted(
    {value for value in vars(duckdb).values() if isinstance(value, type) and issubclass(value, duckdb.Error)},
    key=lambda c: c.__name__,
)
translate = Translator(roots=("/data/warehouse", "/data"), memory_bytes=640 << 20, seconds=2, spill_bytes=64 << 20)


def test_the_table_is_complete() -> None:
    assert {c.__name__ for c in CLASSES} == set(duckdb_errors.TABLE)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda c: c.__name__)
def test_each_class_is_translated(kind: type[duckdb.Error]) -> None:
    error = translate(kind("it broke at /data/warehouse/orders/v000001/x.parquet"))
    assert isinstance(error, errors.PenstockError)
    assert "/data" not in error.message
    codes = {"INVALID_SQL", "SQL_NOT_ALLOWED", "QUERY_TIMEOUT", "QUERY_TOO_LARGE", "INTERNAL_ERROR"}
    assert error.error_code in codes


@pytest.mark.parametrize(
    ("statement", "code", "position"),
    [
        ("selec 1", "INVALID_SQL", 0),
        ("SELECT 'é', nope FROM range(1)", "INVALID_SQL", 12),
        ("SELECT 'a'::INTEGER", "INVALID_SQL", 10),
        ("SELECT nope(1)", "INVALID_SQL", 7),
    ],
)
def test_the_place_is_in_characters(statement: str, code: str, position: int) -> None:
    with duckdb.connect(config={"errors_as_json": True}) as connection, pytest.raises(duckdb.Error) as raised:
        connection.execute(statement).fetchall()
    error = translate(raised.value, statement=statement)
    assert (error.error_code, error.details["position"]) == (code, position)
    assert "{" not in error.message
    assert "LINE" not in error.message


def test_a_message_that_looks_like_json_is_kept() -> None:
    assert translate(duckdb.InvalidInputException('Invalid Input Error: {"a": 1}')).message.endswith('{"a": 1}')
    assert "{broken}" in translate(duckdb.InvalidInputException("bad {broken}")).message


def test_a_limit_is_named() -> None:
    assert "640 MiB" in translate(duckdb.OutOfMemoryException("x")).message
    assert "2 s" in translate(duckdb.InterruptException("x")).message


def spilled(used: str, most: str) -> duckdb.Error:
    """What DuckDB says when it may spill no more."""
    return duckdb.OutOfMemoryException(
        f'Out of Memory Error: {{"exception_type":"Out of Memory","exception_message":"failed to offload data block of '
        f"size 160.0 KiB ({used}/{most} used).\\nThis limit was set by the 'max_temp_directory_size' setting.\"}}"
    )


@pytest.mark.parametrize(
    "error",
    [
        spilled("35.9 MiB", "36.0 MiB"),
        spilled("0 bytes", "0 bytes"),
        spilled("800.1 KiB", "900.9 KiB"),
        duckdb.IOException('IO Error: Could not write file "/data/spill/x.tmp": No space left on device'),
    ],
)
def test_a_full_disk_is_not_want_of_memory(error: duckdb.Error) -> None:
    found = translate(error)
    assert found.error_code == "STORAGE_FULL"
    assert "free space" in found.message


@pytest.mark.parametrize("most", ["64.0 MiB", "61.1 MiB", "1.0 GiB", "1.0 TiB"])
def test_a_query_that_has_spilled_what_it_may_is_too_large(most: str) -> None:
    assert translate(spilled(most, most)).error_code == "QUERY_TOO_LARGE"


def test_a_statement_cannot_say_that_the_disk_is_full() -> None:
    error = duckdb.InvalidInputException("Invalid Input Error: No space left on device")  # error('No space …')
    assert translate(error).error_code == "INVALID_SQL"
