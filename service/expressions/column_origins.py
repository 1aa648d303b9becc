"""The columns of a table from which a query makes each of its columns, as far as sqlglot can tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.kit import lazy

TABLE = "input"
sqlglot = lazy.module("sqlglot")
lineage = lazy.module("sqlglot.lineage")


def of_query(sql: str, columns: Sequence[str], made: Sequence[str]) -> dict[str, list[str]]:
    """For each column in ``made`` the ``columns`` of the table ``input`` that it comes from; all if that is unknown."""
    schema = {TABLE: dict.fromkeys(columns, "TEXT")}
    return {name: _of_column(name, sql, schema, columns) for name in made}


def _of_column(name: str, sql: str, schema: dict[str, dict[str, str]], columns: Sequence[str]) -> list[str]:
    try:
        found = lineage.lineage(f'"{name}"', sql, schema=schema, dialect="duckdb")
        nodes = list(found.walk())
        if any(_is_opaque(node.expression) for node in nodes):
            return list(columns)
        leaves = [node for node in nodes if not node.downstream]
        origins = {_column(leaf.name) for leaf in leaves if isinstance(leaf.expression, sqlglot.exp.Table)}
    except Exception:  # sqlglot does not promise which errors; what it does not understand is made from everything
        return list(columns)
    known = {column.casefold(): column for column in columns}
    if not origins <= known.keys():
        return list(columns)
    return [column for column in columns if column.casefold() in origins]


def _is_opaque(expression: Any) -> bool:
    """Whether a value depends on columns that sqlglot does not follow: EXISTS, a window by its name, a row as one."""
    exp = sqlglot.exp
    named = any(window.alias for window in expression.find_all(exp.Window))
    return named or expression.find(exp.Exists, exp.TableColumn) is not None


def _column(leaf: str) -> str:
    return leaf.rpartition(".")[2].strip('"').casefold()
