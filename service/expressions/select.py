"""SQL queries of users over the current data: one SELECT from ``input``, and what such a text may say.

The review here needs no engine and runs wherever a configuration is validated: sizes and function names by tokens
(``tokens``), and by sqlglot's tree that nothing but ``input`` and the query's own CTEs is read. It only refuses: DuckDB
reviews its own tree of the same text (``sandbox.gate``) and runs it (``engine.query_sql``).
"""

from __future__ import annotations

import functools

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from service.expressions import functions, tokens
from service.kit import errors

TABLE = "input"
"""The name of the current data in a query."""
ONE_SELECT = "write one SELECT … FROM input"
_CACHED = 64
_REFUSED_NODES = (exp.DML, exp.DDL, exp.Command, exp.Into, exp.TableSample)


@functools.lru_cache(_CACHED)
def parse(text: str) -> str:
    """Check a query, and return it. Raises ``ValueError`` that says what is not allowed in it."""
    try:
        tokens.check(text, tokens.QUERY, functions.QUERY)
        _check_tree(_tree(text))
    except RecursionError as error:
        raise ValueError("cannot read the query: it is nested too deep; write it in several steps") from error
    return text


def _tree(text: str) -> exp.Expr:
    try:
        trees = sqlglot.parse(text, dialect="duckdb")
    except SqlglotError as error:
        raise ValueError(f"cannot read the query: {tokens.reason(error)}") from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise ValueError(ONE_SELECT)
    return trees[0]


def _check_tree(tree: exp.Expr) -> None:
    if isinstance(tree, exp.Table) or not list(tree.find_all(exp.Table)):
        raise ValueError(ONE_SELECT)
    for node in tree.walk():
        if isinstance(node, _REFUSED_NODES) and not isinstance(node, exp.Query):
            raise ValueError(f"a query over the current data cannot hold {node.key.upper()}")
        if isinstance(node, exp.With) and node.args.get("recursive"):
            raise ValueError("a query over the current data cannot be recursive")
    for table in tree.find_all(exp.Table):
        _check_table(table)


def _check_table(table: exp.Table) -> None:
    if isinstance(table.this, exp.Func):  # its name is on the list of table functions
        return
    if not isinstance(table.this, exp.Identifier) or table.args.get("db") or table.args.get("catalog"):
        raise ValueError(f"only '{TABLE}' can be read here, not {table.sql(dialect='duckdb')}")
    name = table.name.casefold()
    if name == TABLE:
        return
    scope: exp.Expr | None = table
    while scope is not None:
        ctes = scope.args.get("with_") or scope.args.get("with")
        if ctes is not None and any(c.alias.casefold() == name for c in ctes.expressions):
            return
        scope = scope.parent
    raise ValueError(f"only '{TABLE}' can be read here, not '{table.name}'{errors.did_you_mean(name, [TABLE])}")
