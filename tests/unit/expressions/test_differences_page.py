"""The user page on what differs from DuckDB: it names every function that is refused."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from service.expressions import functions

PAGE = (resources.files("service") / "docs" / "sql-differences.md").read_text()
NAMED = set(re.findall(r"`(\w+)`", PAGE))


def test_every_refused_function_is_on_the_page() -> None:
    assert set() == functions.REFUSED - NAMED
    assert all(f"`{prefix}`" in PAGE for prefix in functions.REFUSED_PREFIXES)


def test_every_aggregate_is_on_the_page_and_no_allowed_function_is_called_refused() -> None:
    assert set() == functions.GROUP - NAMED
    refused = PAGE.split("## Functions that are refused", 1)[1]
    lists = [line for line in refused.splitlines() if not line.startswith("|")]
    rows = [line.split("|")[1] for line in refused.splitlines() if line.startswith("| `")]
    named = {name for text in (*lists, *rows) for name in re.findall(r"`(\w+)`", text)}
    assert named & functions.QUERY == set()


@pytest.mark.parametrize("name", sorted(functions.INSTEAD))
def test_what_to_write_instead_is_the_same_on_the_page(name: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1])
    assert functions.INSTEAD[name].removeprefix("use ") in row.replace("\\|", "|")
