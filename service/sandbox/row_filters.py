"""Row filters: a reader sees the rows of a table for which a condition is true, and nothing tells of the others.

The condition is applied below all that a statement says. A LIMIT that cuts nothing keeps DuckDB from evaluating
anything of the statement on rows that the condition removes, so that no error text can show a value of them. The
condition itself is tried: a row for which it fails is not shown, and neither is a row of a version that lacks one of
its columns.
"""

# ruff: noqa: S608 - the condition was judged, names are quoted

from __future__ import annotations

import duckdb

from service.kit import errors
from service.sandbox import bound_plan, row_condition
from service.sandbox.quoting import quoted

_FIELD = "row_filter"
_ALL = " LIMIT 9223372036854775807"


def test(connection: duckdb.DuckDBPyConnection, relation: str, condition: str) -> str:
    """The test that ``filtered`` applies: whether the condition is true; false for all rows if it does not fit."""
    columns = [str(row[0]) for row in connection.execute(f"DESCRIBE FROM {relation}").fetchall()]
    return f"TRY((\n{condition}\n)) IS TRUE" if _is_sound(connection, relation, columns, condition) else "false"


def filtered(relation: str, test: str) -> str:
    """The rows of ``relation`` that pass, as a relation in SQL."""
    return f"(SELECT * FROM {relation} WHERE {test}{_ALL})"


def _is_sound(connection: duckdb.DuckDBPyConnection, relation: str, columns: list[str], condition: str) -> bool:
    """Whether the condition is one on these columns, as it is written and as DuckDB binds it."""
    try:
        row_condition.check(connection, condition, columns, _FIELD)
        with connection.cursor() as session, bound_plan.standing_in(connection, relation) as table:
            return bound_plan.check(session, f"SELECT 1 FROM {quoted(table)} WHERE TRY((\n{condition}\n))", [table])
    except (errors.Invalid, duckdb.Error):
        return False
