"""The review of a statement: one SELECT over stored tables passes, nothing else.

Runs in the worker, because the parser itself can be attacked. The statement is parsed by DuckDB, written as
JSON by DuckDB, and the tree is walked against lists of what is allowed: a node, reference or expression
that is not listed is refused, so that a new kind of statement (``WITH x AS (DELETE …)`` has the type SELECT)
does not slip through. EXPLAIN is taken off, and put back by us before a SELECT that was accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import duckdb
import msgspec

from service.kit import errors
from service.sandbox.duckdb_errors import characters
from service.sandbox.functions import ALLOWED, REFUSED, REFUSED_PREFIXES
from service.sandbox.quoting import same
from service.sandbox.snapshots import PREFIX, SCHEMA

MAX_BYTES = 64 * 1024

NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
REFERENCES = frozenset(
    {"BASE_TABLE", "JOIN", "SUBQUERY", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT", "SHOW_REF"}
)
MODIFIERS = frozenset({"ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"})
ORDERS = frozenset({"ORDER_DEFAULT", "ASCENDING", "DESCENDING"})
EXPRESSIONS = frozenset(
    [
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "LAMBDA",
        "OPERATOR",
        "PARAMETER",
        "POSITIONAL_REFERENCE",
        "STAR",
        "SUBQUERY",
        "TYPE",
        "WINDOW",
    ]
)
TABLE_FUNCTIONS = frozenset({"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"})
_BLANK = r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)"
_SHOW_TABLES = re.compile(rf"{_BLANK}*show{_BLANK}+tables{_BLANK}*", re.IGNORECASE | re.DOTALL)
_EXPLAIN = re.compile(rf"\A{_BLANK}*explain\b{_BLANK}*(?P<analyze>analy[sz]e\b)?", re.IGNORECASE | re.DOTALL)


class Reference(NamedTuple):
    """A place in a SELECT that names a stored table, or a parameter; in bytes from its beginning; -1: not known."""

    name: str
    start: int
    length: int
    has_alias: bool = False


@dataclass
class Accepted:
    """A statement that may run: the SELECT, how it is to be explained, and the tables it names.

    ``tables`` maps each name (as first written) to its place in the statement, in characters; ``references`` are all
    places, ``parameters`` those of parameters. ``everything``: the statement lists the tables; ``only_names``: it does
    nothing else. ``takes_limit``: a LIMIT may follow the text of the SELECT. ``names_rowid``: it has a column that a
    stored table has and its view has not.
    """

    select: str
    explain: str | None = None
    tables: dict[str, int | None] = field(default_factory=dict)
    everything: bool = False
    takes_limit: bool = False
    references: list[Reference] = field(default_factory=list)
    parameters: list[Reference] = field(default_factory=list)
    names_rowid: bool = False
    only_names: bool = False


def refused(message: str, position: int | None = None) -> errors.Invalid:
    """The error for a statement that is understood and not allowed."""
    return errors.Invalid(message, code="SQL_NOT_ALLOWED", position=position)


def invalid(message: str, position: int | None = None) -> errors.Invalid:
    """The error for a statement that cannot be understood."""
    return errors.Invalid(message, code="INVALID_SQL", position=position)


_ONLY = "only SELECT statements are answered (WITH, VALUES, FROM, DESCRIBE, SUMMARIZE, SHOW TABLES, EXPLAIN included)"


def accept(connection: duckdb.DuckDBPyConnection, statement: str) -> Accepted:
    """Judge ``statement``. Raises ``errors.Invalid`` (SQL_NOT_ALLOWED, INVALID_SQL) or ``duckdb.Error``."""
    measured(statement)
    found = connection.extract_statements(statement)
    if not found:
        raise invalid("the statement is empty; write one SELECT")
    if len(found) > 1:
        raise refused(f"{len(found)} statements were given; send one at a time")
    try:
        kind = found[0].type
    except ValueError:  # DuckDB has kinds that its Python module has no name for, such as UPDATE EXTENSIONS
        raise refused(_ONLY) from None
    text = without_end(found[0].query)
    if kind == duckdb.StatementType.EXPLAIN:
        match = _EXPLAIN.match(text)
        if match is None:
            raise refused(f"{_ONLY}; write EXPLAIN [ANALYZE] SELECT …")
        # Blanks keep every place in the statement where it was.
        inner = _judged(connection, " " * len(text[: match.end()].encode()) + text[match.end() :])
        inner.explain = "EXPLAIN ANALYZE" if match["analyze"] else "EXPLAIN"
        return inner
    if kind == duckdb.StatementType.MULTI:
        raise refused(f"{_ONLY}; a PIVOT is written as FROM t PIVOT (sum(x) FOR y IN (1, 2))")
    if kind != duckdb.StatementType.SELECT:
        raise refused(f"{_ONLY}; this is {kind.name}")
    return _judged(connection, text)


def without_end(statement: str) -> str:
    """The statement up to the semicolon that ends it: what may follow is blank, or a comment, and ends a subquery."""
    text = statement.encode()
    for place, kind in duckdb.tokenize(statement):
        if kind == duckdb.token_type.operator and text[place : place + 1] == b";":
            return text[:place].decode()
    return statement.rstrip()


def measured(text: str) -> None:
    """Refuse what must not even be parsed: more than 64 KiB, NUL, half surrogates."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise invalid("the statement is not valid Unicode text") from None
    if size > MAX_BYTES:
        raise refused(f"the statement has {size} bytes; the limit is {MAX_BYTES}")
    if "\x00" in text:
        raise invalid("the statement contains a NUL character")


def tree(connection: duckdb.DuckDBPyConnection, select: str) -> dict[str, Any]:
    """DuckDB's parse of one SELECT, as JSON. Raises ``errors.Invalid`` where it is not exactly that."""
    rows = connection.execute(
        "SELECT json_serialize_sql(?, skip_null := true, skip_empty := true, skip_default := true)", [select]
    ).fetchall()  # fetchone would leave the connection in use
    try:
        parsed = msgspec.json.decode(rows[0][0])
    except RecursionError:
        raise invalid("the statement is nested too deeply") from None
    if parsed.get("error"):
        if parsed.get("error_type") == "parser":
            place = characters(select, int(parsed["position"])) if "position" in parsed else None
            raise invalid(f"Parser Error: {parsed.get('error_message')}", place)
        raise refused(_ONLY)
    statements = parsed.get("statements", [])
    if len(statements) != 1:
        raise refused("exactly one statement is answered at a time")
    node: dict[str, Any] = statements[0]["node"]
    return node


def _judged(connection: duckdb.DuckDBPyConnection, select: str) -> Accepted:
    accepted, root = Accepted(select), tree(connection, select)
    accepted.takes_limit = (
        root.get("type") == "SELECT_NODE"
        and not any(str(m.get("type", "")).startswith("LIMIT") for m in root.get("modifiers", []))
        and root.get("from_table", {}).get("type") != "SHOW_REF"
    )
    accepted.only_names = _SHOW_TABLES.fullmatch(select) is not None
    seen: set[str] = set()
    try:
        for name, place in _tables(root, accepted):
            if same(name) not in seen:
                seen.add(same(name))
                accepted.tables[name] = characters(select, place)
    except errors.Invalid as error:
        place = characters(select, error.details.get("position"))
        raise errors.Invalid(error.message, code=error.error_code, position=place) from None
    return accepted


def _tables(root: dict[str, Any], accepted: Accepted) -> Iterator[tuple[str, int | None]]:
    """Walk the tree without recursion; yield the tables outside the scope of every CTE of that name."""
    pending: list[tuple[Any, frozenset[str]]] = [(root, frozenset())]
    while pending:
        value, scope = pending.pop()
        if isinstance(value, list):
            pending.extend((item, scope) for item in value)
        elif isinstance(value, dict):
            check(value)
            kind = value.get("type")
            if kind == "BASE_TABLE":
                name = value["table_name"]
                if _qualified(value) or same(name) not in scope:
                    accepted.references.append(_reference(_stored(value), value))
                    yield _stored(value), value.get("query_location")
            elif kind == "COLUMN_REF":
                accepted.names_rowid |= same(str(value["column_names"][-1])) == "rowid"
            elif value.get("class") == "PARAMETER":
                accepted.parameters.append(_reference(str(value.get("identifier", "")), value))
            elif kind == "SHOW_REF":
                yield from _shown(value, accepted)
            scope = _ctes(value, scope, pending)
            for key, item in value.items():
                if kind == "RECURSIVE_CTE_NODE" and key == "right":  # the part before it does not know the name
                    pending.append((item, scope | {same(str(value.get("cte_name", "")))}))
                elif key != "cte_map":
                    pending.append((item, scope))


def _reference(name: str, value: dict[str, Any]) -> Reference:
    return Reference(name, value.get("query_location", -1), value.get("query_location_length", 0), "alias" in value)


def _ctes(value: dict[str, Any], scope: frozenset[str], pending: list[tuple[Any, frozenset[str]]]) -> frozenset[str]:
    """Queue the CTEs of a node, each in the scope of those before it; answer the scope of the node itself."""
    for entry in (value.get("cte_map") or {}).get("map", []):
        pending.append((entry["value"], scope))
        scope = scope | {same(str(entry["key"]))}
    return scope


def _qualified(value: dict[str, Any]) -> bool:
    return len(value.get("qualified_name", {}).get("path", [])) > 1 or "schema_name" in value or "catalog_name" in value


def _stored(value: dict[str, Any]) -> str:
    if _qualified(value):
        parts = value.get("qualified_name", {}).get("path", [])
        path = ".".join(parts)
        if len(parts) == 2 and same(parts[0]) == SCHEMA and "at_clause" not in value:
            return path
        raise refused(
            f"'{path}': stored tables are named without a schema or database, system tables as {SCHEMA}.runs",
            value.get("query_location"),
        )
    if "at_clause" in value:
        raise refused(
            f"AT is not supported; version 3 of '{value['table_name']}' is the table \"{value['table_name']}@3\"",
            value.get("query_location"),
        )
    name = str(value["table_name"])
    if same(name).startswith(PREFIX):  # a stored table has no dot in its name, so that it would be taken for another
        raise refused(f"no stored table '{name}'; write system tables as {SCHEMA}.runs", value.get("query_location"))
    return name


def _shown(value: dict[str, Any], accepted: Accepted) -> Iterator[tuple[str, int | None]]:
    """DESCRIBE and SUMMARIZE carry their query; SHOW has a name."""
    if "query" in value:
        return
    name = str(value.get("table_name", ""))
    if _qualified(value):
        raise refused("only SHOW TABLES is answered, without a schema or database")
    if value.get("show_type") == "SHOW_SPECIAL":
        if name != '"tables"':
            raise refused("SHOW is answered for TABLES only; see also DESCRIBE <table>")
        accepted.everything = True
    elif name:
        yield name, value.get("query_location")
    else:
        raise refused("SHOW is answered for TABLES only; see also DESCRIBE <table>")


def check(value: dict[str, Any]) -> None:
    """Refuse a part of the tree that is not a listed node, reference, modifier or expression."""
    kind, expression, place = value.get("type"), value.get("class"), value.get("query_location")
    if expression is not None:
        if expression not in EXPRESSIONS:
            raise refused(f"{_ONLY}; {expression} is not allowed", place)
        if "function_name" in value:
            _function(value, place)
    elif isinstance(kind, str):
        if kind not in NODES | REFERENCES | MODIFIERS | ORDERS:
            raise refused(f"{_ONLY}; {kind.removesuffix('_NODE').replace('_', ' ')} is not allowed", place)
        if kind == "TABLE_FUNCTION":
            name = same(str(value.get("function", {}).get("function_name", "")))
            if name not in TABLE_FUNCTIONS:
                raise refused(
                    f"the table function '{name}' is not allowed; allowed are {', '.join(sorted(TABLE_FUNCTIONS))}",
                    place,
                )


def _function(value: dict[str, Any], place: int | None) -> None:
    path = value.get("qualified_name", {}).get("path", [])
    name = same(str(value["function_name"]))
    if len(path) > 1:
        raise refused(f"'{'.'.join(path)}': functions are named without a schema or database", place)
    if name in REFUSED or name.startswith(REFUSED_PREFIXES):
        raise refused(f"the function '{name}' is not allowed", place)
    if name not in ALLOWED and name not in TABLE_FUNCTIONS:
        raise invalid(f"there is no function '{name}'{errors.did_you_mean(name, ALLOWED)}", place)
