"""The SQL of the data route, built from column names, a filter and a sort.

Names are looked up in the table and quoted. The filter is parsed alone and must be one expression over the columns, so
that it means the same inside a WHERE. Rows with equal sort keys keep their stored order, so that pages neither repeat
nor miss a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import polars as pl

from service.kit import errors
from service.sandbox import bound_plan, gate, logical_types
from service.sandbox.confinement import Relation
from service.sandbox.quoting import literal, quoted

# Functions that the parser takes for columns.
_WORDS = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
_BEFORE = "SELECT (\n"


def chosen(columns: list[str] | None, known: list[str]) -> list[str]:
    """The columns as the table spells them; None: all of them. Raises ``errors.Invalid``."""
    if columns is None:
        return known
    if not columns:
        raise errors.Invalid("columns: name at least one column", field="columns")
    return [_known(name, known, "columns") for name in columns]


def column(name: str, relation: Relation, *, as_stored: bool) -> str:
    """A column in a SELECT; ``as_stored`` with the value of the file where SQL has another type."""
    if as_stored and logical_types.is_read_as_stored(relation.logical.get(name)):
        return f"struct_extract({logical_types.STORED}, {literal(name)}) AS {quoted(name)}"
    return quoted(name)


def stored_types(logical: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """The types of the columns that ``column`` selects as they are stored."""
    return {name: dtype for name, dtype in logical.items() if logical_types.is_read_as_stored(dtype)}


def _known(name: str, known: list[str], field: str) -> str:
    if name in known:
        return name
    for column in known:
        if column.casefold() == name.casefold():
            return column
    hint = errors.did_you_mean(name, known)
    raise errors.Invalid(f"{field}: no column '{name}'{hint}", field=field, column=name)


def ordered(sort: str | None, known: list[str], relation: Relation) -> str:
    """``a,-b`` as ORDER BY, or an empty text; missing values come last. Raises ``errors.Invalid``."""
    if sort is None or not sort.strip():
        return ""
    terms = []
    for part in (p.strip() for p in sort.split(",")):
        if not part:
            raise errors.Invalid("sort: an empty column name; write it as 'a,-b'", field="sort")
        descending = part.startswith("-") and part not in known
        name = _known(part[1:] if descending else part, known, "sort")
        terms.append(f"{quoted(name)} {'DESC' if descending else 'ASC'} NULLS LAST")
    return " ORDER BY " + ", ".join([*terms, *relation.order])


def filtered(connection: duckdb.DuckDBPyConnection, expression: str | None, known: list[str], table: str) -> str:
    """The filter of ``table`` as WHERE, or an empty text; the table must have a stand-in (``bound_plan``).

    Raises ``errors.Invalid`` with field ``filter``, or ``duckdb.Error``.
    """
    if expression is None or not expression.strip():
        return ""
    try:
        gate.measured(expression)
        node = gate.tree(connection, f"{_BEFORE}{expression}\n)")
    except errors.Invalid as error:
        place = error.details.get("position")
        inside = place - len(_BEFORE) if isinstance(place, int) else None
        raise errors.Invalid(
            f"filter: {error.message}", code=error.error_code, field="filter", position=_within(inside, expression)
        ) from None
    items = node.get("select_list", [])
    extra = set(node) - {"type", "cte_map", "select_list", "from_table", "aggregate_handling"}
    if (
        node.get("type") != "SELECT_NODE"
        or len(items) != 1
        or extra
        or node.get("from_table", {}).get("type", "EMPTY") != "EMPTY"
        or node.get("cte_map")
        or not gate.is_closed(expression)
    ):
        raise _filter("write one boolean expression over the columns, as in a WHERE")
    _check(items[0], known)
    where = f" WHERE (\n{expression}\n)"
    try:
        with connection.cursor() as session:  # what does not bind is an error when it is executed
            bound_plan.check(session, f"SELECT 1 FROM {quoted(table)}{where}", [table])  # noqa: S608 - checked above
    except errors.Invalid as error:
        raise _filter(error.message, code=error.error_code) from None
    return where


def _within(place: int | None, expression: str) -> int | None:
    return place if place is not None and 0 <= place <= len(expression) else None


def _filter(message: str, **details: Any) -> errors.Invalid:
    return errors.Invalid(f"filter: {message}", field="filter", **details)


def _check(root: dict[str, Any], known: list[str]) -> None:
    names = {c.casefold() for c in known}
    pending: list[tuple[Any, frozenset[str]]] = [(root, frozenset())]
    while pending:
        value, local = pending.pop()
        if isinstance(value, list):
            pending.extend((item, local) for item in value)
        elif isinstance(value, dict):
            if value.get("class") == "SUBQUERY":
                raise _filter("a subquery is not allowed here; POST /query answers it")
            if value.get("class") in ("STAR", "WINDOW", "PARAMETER", "POSITIONAL_REFERENCE"):
                raise _filter(f"{value['class'].replace('_', ' ').lower()} is not allowed here")
            try:
                gate.check(value)
            except errors.Invalid as error:
                raise _filter(error.message, code=error.error_code) from None
            if value.get("class") == "LAMBDA":
                local = local | set(_parameters(value.get("lhs")))
            if value.get("class") == "COLUMN_REF":
                name = str(value["column_names"][0])
                if name.casefold() not in names | local | _WORDS:
                    raise _filter(f"there is no column '{name}'{errors.did_you_mean(name, known)}", column=name)
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
