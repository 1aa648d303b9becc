"""The words that the console completes SQL with are those that the service answers."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from service.console import site
from service.sandbox.functions import ALLOWED
from service.sandbox.gate import TABLE_FUNCTIONS

WORDS = Path(site.__file__).parent / "static" / "parts" / "sql" / "words.js"
RARE = re.compile(r"__|collate_|has_|icu_|inet_|json_(de)?serialize|pg_|st_|txid_|variant_")
"""Functions that nobody wants to see in a list; they are answered all the same."""


def words(name: str) -> list[str]:
    found = re.search(rf"export const {name} = [^`]*`([^`]*)`", WORDS.read_text())
    assert found is not None, name
    return found[1].split()


@pytest.fixture(scope="module")
def many_rows() -> set[str]:
    """The functions over many rows of this DuckDB."""
    kinds = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('aggregate', 'window')"
    return {name for (name,) in duckdb.connect().execute(kinds).fetchall()}


def test_each_function_that_is_offered_is_answered_and_none_is_missing(many_rows: set[str]) -> None:
    wanted = sorted(name for name in ALLOWED if re.fullmatch(r"[a-z]\w*", name) and not RARE.match(name))
    assert words("AGGREGATES") == [name for name in wanted if name in many_rows]
    assert words("FUNCTIONS") == [name for name in wanted if name not in many_rows]
    assert words("TABLE_FUNCTIONS") == sorted(TABLE_FUNCTIONS)


def test_keywords_are_those_of_duckdb() -> None:
    known = duckdb.connect().execute("SELECT upper(keyword_name), keyword_category FROM duckdb_keywords()").fetchall()
    assert set(words("KEYWORDS")) <= {name for name, _ in known}
    assert set(words("RESERVED")) == {name for name, category in known if category == "reserved"}


def test_types_are_those_of_duckdb() -> None:
    known = duckdb.connect().execute("SELECT DISTINCT upper(type_name) FROM duckdb_types()").fetchall()
    assert set(words("TYPES")) - {"TIMESTAMPTZ"} <= {name for (name,) in known}
