"""SQL queries of users over the current data: one SELECT from ``input``, checked before the engine sees it.

The text is read by tokens and as a tree, as ``expression`` does: every function is on a list (the engine knows some
that read files), every table is ``input`` or a CTE of the query itself, and nothing but a SELECT is in it. What runs
is written anew from the tree, so that no other reading of the same text is ever run. Numbers with a point are doubles,
divisors are columns (``exact_division``), and missing values come last in every order, unless NULLS FIRST is there.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import polars as pl
import sqlglot
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from service.expressions import comparisons, exact_division, render, scalar, widening
from service.kit import errors
from service.values import null_row, polars_errors

MAX_LENGTH = 16_000
MAX_TOKENS = 2_000
MAX_DEPTH = 32
TABLE = "input"
_REMEMBERED = 64

_WINDOWS = {"row_number", "rank", "dense_rank", "lag", "lead", "first_value", "last_value", "stddev", "variance"}
FUNCTIONS = scalar.FUNCTIONS | scalar.AGGREGATES | _WINDOWS
"""The functions that a query may call."""
_WHOLE = ("with_", "with", "joins", "group", "having", "distinct", "limit", "offset", "qualify", "windows", "laterals")
_NARROW = render.NARROW | {"str_position"}
_KEYWORDS = """
    and or not in is when then else case like ilike between from distinct both select where having on using by as over
    join exists all any union except intersect with limit offset filter decimal numeric varchar char end exclude rename
"""
_BEFORE_PAREN = frozenset(_KEYWORDS.split())
_NO_COLUMN = re.compile(
    r"""column "(?P<one>[^"]*)"; valid columns: \[(?P<known>.*)\]|no column named '(?P<other>.*)' found"""
)
_REFUSED_NODES = (exp.DML, exp.DDL, exp.Command, exp.Into, exp.Lateral, exp.Unnest, exp.Pivot, exp.TableSample)


class _Engine(DuckDB):
    """How the engine reads a query: as DuckDB, but for it null is the greatest value where a query does not say."""

    NULL_ORDERING = "nulls_are_large"


@functools.lru_cache(_REMEMBERED)
def parse(text: str) -> str:
    """The query as it may be run. Raises ``ValueError`` that says what may not stand there."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the query is longer than {MAX_LENGTH} characters")
    try:
        return _written(text)
    except RecursionError as error:
        raise ValueError("cannot read the query: it is nested too deep; write it in several steps") from error


def _written(text: str) -> str:
    _check_tokens(text)
    try:
        trees = sqlglot.parse(text, dialect="duckdb")
    except SqlglotError as error:
        raise ValueError(f"cannot read the query: {scalar.reason(error)}") from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise ValueError("write one SELECT … FROM input")
    tree = trees[0]
    if isinstance(tree, exp.Table | exp.Subquery) or not list(tree.find_all(exp.Table)):
        raise ValueError("write one SELECT … FROM input")
    for node in tree.walk():
        if isinstance(node, _REFUSED_NODES) and not isinstance(node, exp.Query):
            raise ValueError(f"a query over the current data cannot hold {node.key.upper()}")
        if isinstance(node, exp.With) and node.args.get("recursive"):
            raise ValueError("a query over the current data cannot be recursive")
    for table in tree.find_all(exp.Table):
        _check_table(table)
    exact = scalar.about_nulls(_widened(tree.transform(_as_doubles)))
    written = exact.sql(dialect=_Engine, identify=True, comments=False)
    try:
        run(pl.LazyFrame(schema={c.name: pl.Null for c in tree.find_all(exp.Column) if c.name}), written)
    except polars_errors.FOREIGN as error:
        if scalar.unsupported(error):
            raise ValueError(polars_errors.translate(error, None).message) from error
    return written


def typed(text: str, schema: pl.Schema) -> str:
    """``parse``, and the query fits the columns. Raises ``ValueError``; reads no rows."""
    return _typed(text, tuple(schema.items()))


@functools.lru_cache(_REMEMBERED)
def _typed(text: str, columns: tuple[tuple[str, pl.DataType], ...]) -> str:
    query, schema = parse(text), pl.Schema(columns)
    try:
        wanted = _schema(query, schema)
    except polars_errors.FOREIGN as error:
        raise _explained(error, schema) from error
    tree = sqlglot.parse_one(query, dialect="duckdb")
    plain = not tree.find(exp.With, exp.Subquery)
    if plain:
        comparisons.check(tree, schema)
    for star in tree.find_all(exp.Star) if plain else ():
        left_out = {c.name for part in ("except", "except_") for c in star.args.get(part) or ()}
        renamed = {c.this.name for c in star.args.get("rename") or ()}
        for name in sorted((left_out | renamed) - schema.keys()):  # which the engine does not mind
            raise scalar.NoColumn(f"no column '{name}' here{errors.did_you_mean(name, schema)}")
    exactly = exact_division.exact(query, schema, _Engine)
    try:
        return exactly if _schema(exactly, schema) == wanted else query
    except polars_errors.FOREIGN:  # what can be divided by a number alone
        return query


def _schema(query: str, schema: pl.Schema) -> pl.Schema:
    return run(null_row.row(schema), query).collect().schema


def _explained(error: BaseException, schema: pl.Schema) -> ValueError:
    found = _NO_COLUMN.search(str(error))
    if found is None:
        return ValueError(polars_errors.translate(error, None).message)
    name, known = found["one"] or found["other"], re.findall(r'"([^"]*)"', found["known"] or "")
    return scalar.NoColumn(f"no column '{name}' here{errors.did_you_mean(name, known or schema)}")


def run(lf: pl.LazyFrame, query: str) -> pl.LazyFrame:
    """The lazy result of a query that ``parse`` has written. Columns that go through as they are keep their type."""
    schema = lf.collect_schema()
    small = [name for name, dtype in schema.items() if widening.small(dtype)]
    wide = lf.with_columns(pl.col(small).cast(pl.Int64)) if small else lf
    with pl.SQLContext({TABLE: wide}, eager=False) as context:
        made = context.execute(query)
    if not small:
        return made
    kept = _kept(query)
    names = {n: kept.get(n, n if None in kept else "") for n, t in made.collect_schema().items() if t == pl.Int64}
    return made.with_columns(pl.col(n).cast(schema[c]) for n, c in names.items() if c in small)


@functools.lru_cache(_REMEMBERED)
def _kept(query: str) -> dict[str | None, str]:
    """Columns of the result to those of ``input`` that they are; None where all others are kept under their names.

    Nothing is known where a query looks at more than ``input``, as it is.
    """
    tree = sqlglot.parse_one(query, dialect="duckdb")
    if not isinstance(tree, exp.Select) or tree.args.get("with_") or tree.args.get("with"):
        return {}
    sources = [tree.args.get("from_") or tree.args.get("from"), *(tree.args.get("joins") or ())]
    if not all(isinstance(s, exp.Expr) and isinstance(s.this, exp.Table) for s in sources):
        return {}
    found: dict[str | None, str] = {}
    for output in tree.expressions:
        star = output.find(exp.Star) if isinstance(output, exp.Star | exp.Column) else None
        if star is not None:
            found[None] = ""
            changed = [*(star.args.get("replace") or ()), *(star.args.get("rename") or ())]
            found.update({e.alias: "" for e in changed})
        else:
            column = output.unalias()
            found[output.alias_or_name] = column.name if isinstance(column, exp.Column) else ""
    return found


@dataclass(frozen=True)
class Local:
    """A query over one row at a time: its text without its order, the same with one more column, and the order."""

    text: str
    marked: str
    ordered: bool


def local(query: str, mark: str) -> Local | None:
    """A query that ``parse`` has written, if it looks at one row at a time; ``mark`` is the column more.

    None for everything else: groups, windows, joins, distinct rows, a number of rows.
    """
    tree = sqlglot.parse_one(query, dialect="duckdb")
    if not isinstance(tree, exp.Select) or any(tree.args.get(part) for part in _WHOLE):
        return None
    inside = [n for n in tree.walk() if n is not tree]
    if any(isinstance(n, exp.AggFunc | exp.Window | exp.Query) for n in inside):
        return None
    if any(isinstance(n, exp.Func) and n.sql_name().lower() in _WINDOWS for n in inside):
        return None
    if not any(e.find(exp.Column, exp.Star) for e in tree.expressions):
        return None  # nothing but constants is one row, however many there are
    ordered = tree.args.get("order") is not None
    tree.set("order", None)
    text = tree.sql(dialect="duckdb", identify=True)
    if not any(e.find(exp.Star) for e in tree.expressions):
        tree.select(exp.column(mark, quoted=True), copy=False)
    return Local(text, tree.sql(dialect="duckdb", identify=True), ordered)


def _check_tokens(text: str) -> None:
    try:
        tokens = DuckDB().tokenize(text)
    except SqlglotError as error:
        raise ValueError(f"cannot read the query: {scalar.reason(error)}") from error
    if not tokens:
        raise ValueError("the query is empty")
    if len(tokens) > MAX_TOKENS:
        raise ValueError(f"the query has more than {MAX_TOKENS} words and signs")
    depth = 0
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.token_type in scalar.FOREIGN_TOKENS:
            raise ValueError(f"'{token.text}' cannot stand in a query over the current data")
        depth += (token.token_type is TokenType.L_PAREN) - (token.token_type is TokenType.R_PAREN)
        if depth > MAX_DEPTH:
            raise ValueError(f"the query is nested more than {MAX_DEPTH} deep")
        if token.token_type is not TokenType.STRING:
            _check_word(token, following)


def _check_word(token: Token, following: Token | None) -> None:
    word = token.text.lower()
    if token.token_type is not TokenType.IDENTIFIER and word in scalar.CLOCKS:
        raise ValueError(f"{word} answers something else each time; a version must come out the same")
    called = following is not None and following.token_type is TokenType.L_PAREN
    if not called or not (word[:1].isalpha() or word[:1] == "_" or token.token_type is TokenType.IDENTIFIER):
        return
    if word not in FUNCTIONS and word not in _BEFORE_PAREN:
        raise ValueError(f"no function '{word}' in a query over the current data{errors.did_you_mean(word, FUNCTIONS)}")


def _check_table(table: exp.Table) -> None:
    if not isinstance(table.this, exp.Identifier) or table.args.get("db") or table.args.get("catalog"):
        raise ValueError(f"only '{TABLE}' can be read here, not {table.sql(dialect='duckdb')}")
    name = table.name
    if name == TABLE:
        return
    scope: exp.Expr | None = table
    while scope is not None:
        found = scope.args.get("with_") or scope.args.get("with")
        if found is not None and any(c.alias == name for c in found.expressions):
            return
        scope = scope.parent
    raise ValueError(f"only '{TABLE}' can be read here, not '{name}'{errors.did_you_mean(name, [TABLE])}")


def _widened(tree: exp.Expr) -> exp.Expr:
    """The tree with calls that the engine answers in fewer than 64 bits cast to BIGINT."""
    for node in reversed(list(tree.find_all(exp.Func))):  # from the innermost on
        name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
        part = node.expressions[0].name if isinstance(node, exp.Anonymous) and node.expressions else node.name
        if name.lower() in _NARROW or (name.lower() in ("extract", "date_part") and part.lower() in render.PARTS):
            node.replace(exp.cast(node.copy(), "bigint"))
    return tree


def _as_doubles(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Literal) and not node.is_string and isinstance(node.parent, exp.If | exp.Case):
        wide = str(node.this).isdigit() and node.arg_key in ("true", "default")  # what a CASE answers
        return exp.cast(node.copy(), "bigint") if wide else _as_double(node)
    return _as_double(node)


def _as_double(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Literal) and not node.is_string and not str(node.this).isdigit():
        return exp.cast(node.copy(), "double")
    return node
