"""SQL expressions of users over one row: what such a text may say.

The review here needs no engine and runs wherever a configuration is validated: sizes and function names by tokens
(``tokens``), and one expression without subqueries, aggregates, windows, stars and parameters by sqlglot's tree. It
only refuses: what an expression means is decided by DuckDB alone, which reviews its own tree of the same text and runs
it (``engine.row_sql``).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from service.expressions import functions, tokens

_CACHED = 512  # one job validates, rehearses and runs the same texts

_REFUSED_NODES: tuple[tuple[type[exp.Expr], str], ...] = (
    (exp.Query, "a subquery"),
    (exp.Subquery, "a subquery"),
    (exp.Window, "a window (OVER)"),
    (exp.Star, "'*' as a column"),
    (exp.Placeholder, "a parameter"),
    (exp.Parameter, "a parameter"),
)


class NoColumn(ValueError):
    """A column that does not exist, which is certain as soon as the names of all columns are known."""


@functools.lru_cache(_CACHED)
def parse(text: str) -> str:
    """Check an expression over one row, and return it. Raises ``ValueError`` that says what is not allowed in it."""
    tokens.check(text, tokens.EXPRESSION, functions.ROW)
    _check_tree(_tree(text))
    return text


@functools.lru_cache(_CACHED)
def aggregate(text: str) -> str:
    """Check an expression over the rows of a group, and return it. Raises ``ValueError``."""
    tokens.check(text, tokens.EXPRESSION, functions.ROW | functions.GROUP)
    tree = _tree(text)
    _check_tree(tree)
    if not any(_is_aggregate(node) for node in tree.walk()):
        raise ValueError(f"an aggregate is needed: one of {', '.join(sorted(functions.GROUP))}")
    for node in tree.walk():
        outside = not any(_is_aggregate(above) or isinstance(above, exp.Filter) for above in _above(node))
        if _is_aggregate(node) and any(_is_aggregate(above) for above in _above(node)):
            raise ValueError("an aggregate cannot contain another one")
        if isinstance(node, exp.Column) and outside and not node.find_ancestor(exp.Lambda):
            raise ValueError(f"'{node.name}' stands outside of an aggregate, where a group has many values of it")
    return text


def _above(node: exp.Expr) -> Iterator[exp.Expr]:
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def _is_aggregate(node: exp.Expr) -> bool:
    if isinstance(node, exp.Anonymous):
        return node.name.lower() in functions.GROUP
    return isinstance(node, exp.AggFunc) or (isinstance(node, exp.Func) and node.sql_name().lower() in functions.GROUP)


def _check_tree(tree: exp.Expr) -> None:
    if isinstance(tree, exp.Alias):
        raise ValueError("an expression cannot hold an alias; the name of the new column is its key in the setting")
    if isinstance(tree, exp.Tuple):
        raise ValueError("an expression has one value, not a row of several values")
    for node in tree.walk():
        if isinstance(node, exp.Star) and isinstance(node.parent, exp.Count):
            continue
        for kind, what in _REFUSED_NODES:
            if isinstance(node, kind):
                raise ValueError(f"an expression over one row cannot hold {what}")


def _tree(text: str) -> exp.Expr:
    try:
        trees = sqlglot.parse(text, dialect="duckdb")
    except SqlglotError as error:
        raise ValueError(f"cannot read the expression: {tokens.reason(error)}") from error
    except RecursionError as error:
        raise ValueError("cannot read the expression: it is nested too deep") from error
    if len(trees) != 1 or trees[0] is None:
        raise ValueError("write exactly one expression")
    tree = trees[0]
    if isinstance(tree, exp.DDL | exp.DML | exp.Command | exp.Set | exp.Use | exp.Drop | exp.Describe):
        raise ValueError(f"write an expression such as price * quantity, not a {tree.key} statement")
    return tree
