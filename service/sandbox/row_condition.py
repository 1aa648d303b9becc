"""A condition on rows that somebody wrote: one boolean expression over the columns of a table, as in a WHERE.

It is parsed alone, so that it means the same inside a WHERE, names columns of the table only, and is judged as SQL of
users is (``gate``), so that it reads nothing but the row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import duckdb

from service.kit import errors
from service.sandbox import gate

# Functions that the parser takes for columns.
_WORDS = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
_BEFORE = "SELECT\n"


def check(connection: duckdb.DuckDBPyConnection, expression: str, known: list[str], what: str) -> None:
    """Raise ``errors.Invalid`` (field ``what``) unless it is such a condition on the columns ``known``."""
    try:
        gate.measured(expression)
        node = gate.tree(connection, f"{_BEFORE}{expression}\n")
    except errors.Invalid as error:
        place = error.details.get("position")
        inside = place - len(_BEFORE) if isinstance(place, int) else None
        raise refusal(what, error.message, code=error.error_code, position=_within(inside, expression)) from None
    items = node.get("select_list", [])
    extra = set(node) - {"type", "cte_map", "select_list", "from_table", "aggregate_handling"}
    if (
        node.get("type") != "SELECT_NODE"
        or len(items) != 1
        or items[0].get("alias")
        or extra
        or node.get("from_table", {}).get("type", "EMPTY") != "EMPTY"
        or node.get("cte_map")
        or gate.without_end(expression) != expression.rstrip()  # a semicolon is an end of nothing in a WHERE
    ):
        raise refusal(what, "write one boolean expression over the columns, as in a WHERE")
    _check(items[0], known, what)


def where(expression: str) -> str:
    """The condition as WHERE; a comment at its end hides nothing."""
    return f" WHERE (\n{expression}\n)"


def refusal(what: str, message: str, **details: Any) -> errors.Invalid:
    """The error for a condition, which is the field ``what``."""
    return errors.Invalid(f"{what}: {message}", field=what, **details)


def _within(place: int | None, expression: str) -> int | None:
    return place if place is not None and 0 <= place <= len(expression) else None


def _check(root: dict[str, Any], known: list[str], what: str) -> None:
    names = {c.casefold() for c in known}
    pending: list[tuple[Any, frozenset[str]]] = [(root, frozenset())]
    while pending:
        value, local = pending.pop()
        if isinstance(value, list):
            pending.extend((item, local) for item in value)
        elif isinstance(value, dict):
            if value.get("class") == "SUBQUERY":
                raise refusal(what, "a subquery is not allowed here; POST /query answers it")
            if value.get("class") in ("STAR", "WINDOW", "PARAMETER", "POSITIONAL_REFERENCE"):
                raise refusal(what, f"{value['class'].replace('_', ' ').lower()} is not allowed here")
            try:
                gate.check(value)
            except errors.Invalid as error:
                raise refusal(what, error.message, code=error.error_code) from None
            if value.get("class") == "LAMBDA":
                local = local | set(_parameters(value.get("lhs")))
            if value.get("class") == "COLUMN_REF":
                name = str(value["column_names"][0])
                if name.casefold() not in names | local | _WORDS:
                    hint = errors.did_you_mean(name, known)
                    raise refusal(what, f"the table has no column '{name}'{hint}", column=name)
            pending.extend((item, local) for item in value.values())


def _parameters(value: Any) -> Iterable[str]:
    """The names before the colon of a lambda."""
    if isinstance(value, dict):
        if value.get("class") == "COLUMN_REF":
            yield str(value["column_names"][0]).casefold()
        for item in value.values():
            yield from _parameters(item)
    elif isinstance(value, list):
        for item in value:
            yield from _parameters(item)
