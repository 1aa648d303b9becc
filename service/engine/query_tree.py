"""What DuckDB's tree of a query shows: whether it may run, which columns go through as they are, and whether it looks
at one row at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import msgspec
import polars as pl

from service.expressions import functions, scalar, select, tokens
from service.kit import errors
from service.sandbox import expression_tree
from service.sandbox.expression_tree import Node
from service.sandbox.gate import Accepted

_PLAIN = frozenset({"type", "cte_map", "select_list", "from_table", "where_clause", "aggregate_handling", "modifiers"})


@dataclass(frozen=True)
class Local:
    """A query over one row at a time: its text without its order, the same with one more column, and whether it had
    an order."""

    text: str
    marked: str
    ordered: bool


def check(accepted: Accepted, tree: Node, schema: pl.Schema) -> None:
    """Raise ``ValueError`` where a query that passed the gate reads more than ``input`` or may come out differently."""
    if accepted.explain is not None or accepted.everything:
        raise ValueError(select.ONE_SELECT)
    for name in accepted.tables:
        if name.casefold() != select.TABLE:
            hint = errors.did_you_mean(name, [select.TABLE])
            raise ValueError(f"only '{select.TABLE}' can be read here, not '{name}'{hint}")
    if not accepted.tables:
        raise ValueError(select.ONE_SELECT)
    folded = [name.casefold() for name in schema]
    twins = [name for name in schema if folded.count(name.casefold()) > 1]
    if twins:
        raise ValueError(f"the columns {', '.join(twins)} differ in case only; rename one of them before")
    for node in expression_tree.walk(tree):
        kind = node.get("type")
        if kind == "SHOW_REF":
            raise ValueError(select.ONE_SELECT)
        if kind == "RECURSIVE_CTE_NODE":
            raise ValueError("a query over the current data cannot be recursive")
        if "sample" in node:
            raise ValueError("a query over the current data cannot hold TABLESAMPLE; a version must come out the same")
        if "function_name" in node and not node.get("is_operator") and kind != "TABLE_FUNCTION":
            tokens.check_function(str(node["function_name"]).lower(), tokens.QUERY, functions.QUERY)
        if node.get("class") == "COLUMN_REF" and len(node["column_names"]) == 1:
            name = str(node["column_names"][0]).casefold()
            if name in functions.CLOCKS and name not in folded:
                raise ValueError(f"{name} is not allowed: {functions.INSTEAD[name]}")


def check_renamed(tree: Node, schema: pl.Schema) -> None:
    """Raise ``scalar.NoColumn`` where ``* RENAME`` names a column that does not exist, which DuckDB does not mind."""
    if tree.get("type") != "SELECT_NODE" or (tree.get("cte_map") or {}).get("map") or not _plain_tables(tree):
        return
    known = {name.casefold() for name in schema}
    for output in tree["select_list"]:
        for entry in output.get("rename_list", ()) if output.get("class") == "STAR" else ():
            name = _last(entry.get("key"))
            if name.casefold() not in known:
                raise scalar.NoColumn(f"no column '{name}' here{errors.did_you_mean(name, schema)}")


def kept(tree: Node, schema: pl.Schema, names: Sequence[str]) -> dict[str, str]:
    """Columns of the result to the columns of ``input`` that they are.

    Nothing is known where a query looks at more than ``input``, as it is.
    """
    if tree.get("type") != "SELECT_NODE" or (tree.get("cte_map") or {}).get("map") or not _plain_tables(tree):
        return {}
    columns, tables = {name.casefold(): name for name in schema}, _table_names(tree)
    found: dict[str, str] = {}
    changed: set[str] = set()
    for output in tree["select_list"]:
        if output.get("class") == "STAR":
            changed |= {_last(e.get("key")).casefold() for e in output.get("replace_list", ())}
            found |= {name: name for name in names if name in schema and name.casefold() not in changed}
            found = _renamed(output, found, columns)
        elif output.get("class") == "COLUMN_REF":
            *table, last = (str(part) for part in output["column_names"])
            whole = not table or (len(table) == 1 and table[0].casefold() in tables - columns.keys())
            column = columns.get(last.casefold()) if whole else None
            name = str(output.get("alias") or column)
            if column is not None and name in names:
                found[name] = column
        else:
            found.pop(str(output.get("alias", "")), None)
    return found


def _renamed(star: Node, found: dict[str, str], columns: dict[str, str]) -> dict[str, str]:
    for entry in star.get("rename_list", ()):
        new, old = str(entry.get("value", "")), columns.get(_last(entry.get("key")).casefold())
        if old is not None and new:
            found = {**{n: s for n, s in found.items() if n != new}, new: old}
    return found


def _last(key: Any) -> str:
    if isinstance(key, dict):
        path = key.get("path") or [key.get("column", "")]
        return str(path[-1])
    return str(key)


def _table_names(tree: Node) -> set[str]:
    nodes = (n for n in expression_tree.walk(tree.get("from_table")) if n.get("type") == "BASE_TABLE")
    return {str(n.get("alias") or n.get("table_name")).casefold() for n in nodes}


def _plain_tables(tree: Node) -> bool:
    """Whether it reads ``input`` alone, perhaps joined with itself."""
    pending = [tree.get("from_table") or {}]
    while pending:
        table = pending.pop()
        if table.get("type") == "JOIN":
            pending += [table["left"], table["right"]]
        elif table.get("type") != "BASE_TABLE":
            return False
    return True


def local_tree(connection: duckdb.DuckDBPyConnection, tree: Node, mark: str) -> Local | None:
    """A query that looks at one row at a time; ``mark`` is the column more.

    None for everything else: groups, windows, joins, distinct rows, a number of rows.
    """
    if tree.get("type") != "SELECT_NODE" or set(tree) - _PLAIN or (tree.get("cte_map") or {}).get("map"):
        return None
    if tree.get("aggregate_handling") != "STANDARD_HANDLING":
        return None
    modifiers = tree.get("modifiers", [])
    if any(m.get("type") != "ORDER_MODIFIER" for m in modifiers):
        return None
    if (tree.get("from_table") or {}).get("type") != "BASE_TABLE":
        return None
    whole = functions.SETS | functions.WINDOWS | functions.TABLES
    for node in expression_tree.walk([tree["select_list"], tree.get("where_clause")]):
        if node.get("class") in ("SUBQUERY", "WINDOW") or str(node.get("function_name", "")).lower() in whole:
            return None
    outputs = tree["select_list"]
    refers = [any(n.get("class") in ("COLUMN_REF", "STAR") for n in expression_tree.walk(o)) for o in outputs]
    if not any(refers):
        return None  # nothing but constants is one row, however many there are
    plain = {k: v for k, v in tree.items() if k != "modifiers"}
    star = any(n.get("class") == "STAR" for o in outputs for n in expression_tree.walk(o))
    marked = plain if star else {**plain, "select_list": [*outputs, expression_tree.column(mark)]}
    return Local(_text(connection, plain), _text(connection, marked), bool(modifiers))


def _text(connection: duckdb.DuckDBPyConnection, tree: Node) -> str:
    document = msgspec.json.encode({"error": False, "statements": [{"node": {"cte_map": {}, **tree}}]}).decode()
    ((text,),) = connection.execute("SELECT json_deserialize_sql(?)", [document]).fetchall()
    return str(text)
