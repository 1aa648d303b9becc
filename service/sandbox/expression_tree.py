"""The review of an expression by DuckDB's own tree of it, and small changes to such a tree.

Where a text is run, this review decides: the tree is what DuckDB is going to execute. It is a dictionary as
``json_serialize_sql`` writes it; ``sql`` turns it back into text, by DuckDB, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import msgspec

from service.kit import errors
from service.sandbox import gate

Node = dict[str, Any]
_ALLOWED = gate.EXPRESSIONS - {"PARAMETER", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "WINDOW"}
_WHAT = {
    "SUBQUERY": "a subquery",
    "WINDOW": "a window (OVER)",
    "STAR": "'*' as a column",
    "PARAMETER": "a parameter",
    "DEFAULT": "DEFAULT",
}
_FRAME = frozenset({"type", "cte_map", "select_list", "from_table", "aggregate_handling"})


def read(connection: duckdb.DuckDBPyConnection, text: str) -> Node:
    """The tree of one expression. Raises ``ValueError`` where it cannot be read or is not exactly that."""
    try:
        gate.measured(text)
        select = gate.tree(connection, f"SELECT (\n{text}\n) FROM input")  # noqa: S608 - it is only parsed
    except errors.Invalid as error:
        raise ValueError(f"cannot read the expression: {error.message.removeprefix('Parser Error: ')}") from error
    columns = select.get("select_list") or []
    table = select.get("from_table") or {}
    plain = select.get("type") == "SELECT_NODE" and set(select) <= _FRAME and not select.get("cte_map")
    if not plain or len(columns) != 1 or table.get("table_name") != "input" or table.get("type") != "BASE_TABLE":
        raise ValueError("write exactly one expression")
    node: Node = columns[0]
    if node.get("alias"):
        raise ValueError("an expression cannot hold an alias")
    return node


def review(node: Node, check_function: Callable[[str], None]) -> None:
    """Raise ``ValueError`` where the tree holds what is not an expression over one row."""
    for part in walk(node):
        kind = part.get("class")
        if kind is None:
            if part.get("type") in gate.NODES | gate.REFERENCES:
                raise ValueError("an expression over one row cannot hold a subquery")
            continue
        if kind not in _ALLOWED:
            raise ValueError(f"an expression over one row cannot hold {_WHAT.get(kind, kind)}")
        if "function_name" in part:
            if len(part.get("qualified_name", {}).get("path", [])) > 1:
                raise ValueError(f"the function '{part['function_name']}' is named without a schema")
            if not part.get("is_operator"):
                check_function(str(part["function_name"]).lower())


def walk(node: Any) -> Iterator[Node]:
    """Every dictionary of the tree, each before what is in it."""
    pending = [node]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(reversed(value))
        elif isinstance(value, dict):
            yield value
            pending.extend(reversed(list(value.values())))


def sees_width(node: Any) -> bool:
    """Whether a tree asks in how many bits a whole number is, so that wider ones would answer something else."""
    for part in walk(node):
        name = str(part.get("function_name", "")).lower()
        target = str(part.get("type_expr", {}).get("type_name", "")).lower() if part.get("class") == "CAST" else ""
        if name in ("bit_count", "typeof") or target in ("bit", "bitstring", "blob", "bytea"):
            return True
    return False


def columns(node: Node) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The names of each column that is referred to, with its qualifier or fields, in order.

    The flag says that a lambda has a parameter of that name.
    """
    pending: list[tuple[Any, frozenset[str]]] = [(node, frozenset())]
    while pending:
        value, parameters = pending.pop()
        if isinstance(value, list):
            pending.extend((item, parameters) for item in reversed(value))
        elif isinstance(value, dict):
            if value.get("class") == "LAMBDA":
                names = [p["column_names"][-1] for p in walk(value.get("lhs")) if p.get("class") == "COLUMN_REF"]
                parameters = parameters | {n.casefold() for n in names}
            if value.get("class") == "COLUMN_REF":
                path = tuple(str(n) for n in value["column_names"])
                yield path, path[0].casefold() in parameters
            pending.extend((item, parameters) for item in reversed(list(value.values())))


def sql(connection: duckdb.DuckDBPyConnection, *nodes: Node) -> list[str]:
    """Each tree as the text of an expression."""
    texts = []
    for node in nodes:
        select = {
            "type": "SELECT_NODE",
            "cte_map": {},
            "select_list": [{k: v for k, v in node.items() if k != "alias"}],
            "from_table": {"type": "EMPTY"},
            "aggregate_handling": "STANDARD_HANDLING",
        }
        document = msgspec.json.encode({"error": False, "statements": [{"node": select}]}).decode()
        ((text,),) = connection.execute("SELECT json_deserialize_sql(?)", [document]).fetchall()
        texts.append(str(text).removeprefix("SELECT ").rstrip(";"))
    return texts


def column(*names: str) -> Node:
    """A reference to a column."""
    return {"class": "COLUMN_REF", "type": "COLUMN_REF", "column_names": list(names)}


def cast(child: Node, type_name: str) -> Node:
    """A cast of ``child`` to a plain type."""
    kind = {"class": "TYPE", "type": "TYPE", "type_name": type_name, "qualified_name": {"path": [type_name]}}
    return {"class": "CAST", "type": "OPERATOR_CAST", "child": child, "type_expr": kind}
