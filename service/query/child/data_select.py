"""The SQL of the data route, built from column names, a filter and a sort.

Names are looked up in the table and quoted. The filter is parsed alone and must be one expression over the columns, so
that it means the same inside a WHERE. Rows with equal sort keys keep their stored order, so that pages neither repeat
nor miss a row.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import polars as pl

from service.kit import errors
from service.sandbox import bound_plan, logical_types, row_condition
from service.sandbox.confinement import Relation
from service.sandbox.quoting import literal, quoted

_FIELD = "filter"


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
    row_condition.check(connection, expression, known, _FIELD)
    where = row_condition.where(expression)
    try:
        with connection.cursor() as session:  # what does not bind is an error when it is executed
            bound_plan.check(session, f"SELECT 1 FROM {quoted(table)}{where}", [table])  # noqa: S608 - checked above
    except errors.Invalid as error:
        raise row_condition.refusal(_FIELD, error.message, code=error.error_code) from None
    return where
