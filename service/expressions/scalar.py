"""SQL expressions of users: checked to be one scalar, row-local, repeatable expression before the engine sees them.

The text is read twice, by tokens and as a tree, and only what both reviews let through is run:

* tree: exactly one expression; no subquery, aggregate, window, star, parameter or
  ``table.column``; every column exists;
* tokens: every word before a parenthesis is on ``FUNCTIONS``. The engine knows functions that look at other rows
  without an OVER (``row_number()``), that answer something else each time (``now()``), or that guess a format from
  the first value (``date(text)``); a list of what is allowed misses none of them.

What runs is written anew from the tokens (``render``), and small whole numbers count in 64 bits (``widening``). What
the engine does not answer as SQL does where values are missing is written anew from the tree (``about_nulls``).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import polars as pl
import sqlglot
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from service.expressions import comparisons, exact_division, render, widening
from service.kit import errors
from service.values import null_row, polars_errors

MAX_LENGTH = 4_000
MAX_TOKENS = 400
MAX_DEPTH = 24
_UNSUPPORTED = re.compile(r"supported|unable to parse|sql parser error|invalid expression")
_NODES = re.compile(r" \{.*|\(\w+\(.*", re.DOTALL)  # how the engine's parser shows what it has read
_REMEMBERED = 512  # what one job reads several times: when it is validated, rehearsed and run

_NUMBERS = """
    abs acos asin atan atan2 bitand bitor bitxor cbrt ceil ceiling cos cot degrees exp floor greatest least ln log log10
    log1p log2 mod pi pow power radians round sign sin sqrt tan trunc truncate
"""
_TEXTS = """
    bit_length char_length character_length concat concat_ws ends_with initcap left length lower lpad ltrim octet_length
    position regexp_like regexp_replace replace reverse right rpad rtrim split_part starts_with string_to_array strpos
    substr substring trim upper
"""
_TIMES = "date_part date_trunc day extract hour month strftime strptime year"
_ANY = "cast try_cast coalesce if ifnull nullif"
FUNCTIONS = frozenset(" ".join([_NUMBERS, _TEXTS, _TIMES, _ANY]).split())
"""The functions that an expression may call: row-local, and the same at every run."""

AGGREGATES = frozenset({"sum", "avg", "min", "max", "count", "median", "stddev", "variance", "first", "last"})
"""The functions over a group that ``aggregate`` takes beside those; ``count(*)`` and ``count(distinct x)`` too."""

_BEFORE_PAREN = frozenset(
    {"and", "or", "not", "in", "is", "when", "then", "else", "case", "like", "ilike", "between", "from", "distinct"}
    | {"both"}
)
_SIZED_TYPES = frozenset({"decimal", "numeric", "varchar", "char"})
CLOCKS = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
_GUESSED = (exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ, exp.DType.TIME, exp.DType.DATETIME)
FOREIGN_TOKENS = frozenset(
    {
        TokenType.SEMICOLON,
        TokenType.PARAMETER,
        TokenType.PLACEHOLDER,
        TokenType.BYTE_STRING,
        TokenType.HEREDOC_STRING,
        TokenType.RAW_STRING,
        TokenType.NATIONAL_STRING,
        TokenType.UNICODE_STRING,
        TokenType.L_BRACKET,
        TokenType.L_BRACE,
    }
)
"""What no SQL in a configuration may hold."""
_REFUSED_TOKENS = FOREIGN_TOKENS | {TokenType.DOT, TokenType.ARROW, TokenType.DARROW, TokenType.COLON}
_REFUSED_NODES: tuple[tuple[type[exp.Expr], str], ...] = (
    (exp.Query, "a subquery"),
    (exp.Subquery, "a subquery"),
    (exp.Window, "a window (OVER)"),
    (exp.AggFunc, "an aggregate, which needs other rows"),
    (exp.Star, "'*' as a column"),
    (exp.Lambda, "a lambda"),
    (exp.Alias, "an alias; the name stands before the expression"),
    (exp.Tuple, "a row of several values"),
)

_NULLS = (exp.Is, exp.NullSafeEQ, exp.NullSafeNEQ, exp.StrPosition)
"""Where the engine treats what is missing in a way of its own."""


class NoColumn(ValueError):
    """A column that is not there, which is certain as soon as the names of all columns are."""


@dataclass(frozen=True)
class Expression:
    """A checked expression: ``sql`` to run, and the columns it names in order of appearance.

    ``divided`` is the same where every number that something is divided by is a column; empty where none is.
    ``small`` are those of the columns that hold whole numbers of fewer than 64 bits.
    """

    sql: str
    columns: tuple[str, ...]
    divided: str = ""
    small: tuple[str, ...] = ()


def parse(text: str) -> Expression:
    """Check ``text`` without knowing the columns. Raises ``ValueError`` that says what may not stand there."""
    return _parse(text, FUNCTIONS)


@functools.lru_cache(_REMEMBERED)
def _parse(text: str, functions: frozenset[str]) -> Expression:
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the expression is longer than {MAX_LENGTH} characters")
    tokens = _tokens(text, functions)
    tree = _tree(text)
    grouped = "sum" in functions
    if grouped:
        _check_aggregates(tree)
    for node in tree.walk():
        if isinstance(node, exp.Tuple) and isinstance(node.parent, exp.In):
            continue
        if grouped and (isinstance(node, exp.AggFunc) or isinstance(node.parent, exp.Count)):
            continue
        for kind, what in _REFUSED_NODES:
            if isinstance(node, kind):
                raise ValueError(f"an expression over one row cannot hold {what}")
        if isinstance(node, exp.Cast) and node.to.this in _GUESSED and not isinstance(node.this, exp.Literal):
            raise ValueError(
                f"a cast to {node.to.this.value} would guess the format from the data; "
                "use strptime(text, '%Y-%m-%d'), or cast the column in a cleaner"
            )
    columns = tuple(dict.fromkeys(c.name for c in tree.find_all(exp.Column)))
    exact = about_nulls(tree)
    if exact != tree:
        tokens = _tokens(exact.sql(dialect="duckdb", identify=True, comments=False), functions)
    written = render.text(tokens)
    try:
        pl.sql_expr(written)
    except polars_errors.FOREIGN as error:
        if unsupported(error):
            raise ValueError(_NODES.sub("", polars_errors.translate(error, None).message)) from error
    divided = render.text(tokens, columns[0]) if columns and not grouped else written
    return Expression(written, columns, divided if divided != written else "")


def about_nulls(tree: exp.Expr) -> exp.Expr:
    """The same, said so that the engine treats missing values as SQL does.

    It takes all that follows ``IS [NOT] DISTINCT FROM``, ``AND`` and ``OR`` too, for its right side, so that stands in
    parentheses; and for ``IS [NOT] TRUE``, which it answers by null for what is missing. The place in a missing text
    is 0 to it, and null here.
    """
    whole = exp.Paren(this=tree.copy())
    for node in reversed(list(whole.find_all(*_NULLS))):  # from the innermost on
        right = node.expression
        if isinstance(node, exp.Is) and isinstance(right, exp.Boolean):
            node.replace(exp.Paren(this=exp.NullSafeEQ(this=node.this, expression=right)))
        elif isinstance(node, exp.StrPosition):
            if node.this.find(
                exp.StrPosition
            ):  # a place is no text; said twice at each depth, it would grow without end
                continue
            missing = exp.Is(this=node.this.copy(), expression=exp.Null())
            node.replace(exp.Case(ifs=[exp.If(this=missing, true=exp.Null())], default=node.copy()))
        elif not isinstance(node, exp.Is):
            node.replace(exp.Paren(this=node.copy()))
    made: exp.Expr = whole.this
    return made


def unsupported(error: BaseException) -> bool:
    """Whether the engine says that it does not know such SQL at all, whatever the types of the columns are."""
    return isinstance(error, pl.exceptions.SQLInterfaceError | pl.exceptions.SQLSyntaxError) and bool(
        _UNSUPPORTED.search(str(error))
    )


def aggregate(text: str) -> Expression:
    """Check an expression over the rows of a group. Raises ``ValueError`` that says what may not stand there."""
    return _parse(text, FUNCTIONS | AGGREGATES)


def grouped(text: str, schema: pl.Schema, by: Sequence[str]) -> tuple[Expression, pl.Expr]:
    """``aggregate`` over columns that are there, and what to hand to ``Frame.group``. Raises ``ValueError``."""
    expression = _known(aggregate(text), schema)
    comparisons.check(_tree(text), schema)
    try:
        made, dtype = _of_groups(expression.sql, schema, by)
    except polars_errors.FOREIGN as error:
        raise ValueError(polars_errors.translate(error, None).message) from error
    try:
        exactly, same = _of_groups(exact_division.exact(expression.sql, schema), schema, by)
    except polars_errors.FOREIGN:  # what can be divided by a number alone
        return expression, made
    return expression, exactly if same == dtype else made


def _of_groups(text: str, schema: pl.Schema, by: Sequence[str]) -> tuple[pl.Expr, pl.DataType]:
    made = pl.sql_expr(text)
    return made, null_row.row(schema).group_by(list(by)).agg(made.alias("\0")).collect().schema["\0"]


def _check_aggregates(tree: exp.Expr) -> None:
    """Every column stands in an aggregate, and no aggregate in another one."""
    if not tree.find(exp.AggFunc):
        raise ValueError(f"an aggregate is needed: one of {', '.join(sorted(AGGREGATES))}")
    for node in tree.find_all(exp.Column, exp.AggFunc):
        inside = node.find_ancestor(exp.AggFunc) is not None
        if isinstance(node, exp.AggFunc) and inside:
            raise ValueError("an aggregate cannot stand inside another one")
        if isinstance(node, exp.Column) and not inside:
            raise ValueError(f"'{node.name}' stands outside of an aggregate, where a group has many of it")


def check(text: str, known: Collection[str]) -> Expression:
    """``parse``, and every column it names is one of ``known``."""
    return _known(parse(text), known)


def _known(expression: Expression, known: Collection[str]) -> Expression:
    for column in expression.columns:
        if column not in known:
            raise NoColumn(f"no column '{column}' here{errors.did_you_mean(column, known)}")
    return expression


def typed(text: str, schema: pl.Schema) -> tuple[Expression, pl.DataType]:
    """``check``, and the type of the result, as the engine sees it. Raises ``ValueError``; reads no rows."""
    return _typed(text, tuple(schema.items()))


@functools.lru_cache(_REMEMBERED)
def _typed(text: str, columns: tuple[tuple[str, pl.DataType], ...]) -> tuple[Expression, pl.DataType]:
    schema = pl.Schema(columns)
    expression = check(text, schema)
    comparisons.check(_tree(text), schema)
    expression = replace(expression, small=tuple(c for c in expression.columns if widening.small(schema[c])))
    try:
        dtype = _type_of(expression, schema)
    except polars_errors.FOREIGN as error:
        raise ValueError(polars_errors.translate(error, None).message) from error
    if not expression.divided or any(isinstance(schema[c], pl.Decimal) for c in expression.columns):
        return expression, dtype
    exactly = replace(expression, sql=expression.divided)
    try:
        same = _type_of(exactly, schema) == dtype
    except polars_errors.FOREIGN:  # what can be divided by a number alone
        same = False
    return exactly if same else expression, dtype


def _type_of(expression: Expression, schema: pl.Schema) -> pl.DataType:
    return derive(null_row.row(schema), "\0", expression).collect().schema["\0"]


def derive(lf: pl.LazyFrame, name: str, expression: Expression) -> pl.LazyFrame:
    """``lf`` with the expression as its last column. The result type shows in the schema."""
    query = f"SELECT *, ({expression.sql}) AS {render.quoted(name, chr(34))} FROM self"  # noqa: S608 - checked above
    return widening.widely(lf, expression.small, lambda wide: wide.sql(query))


def where(lf: pl.LazyFrame, expression: Expression) -> pl.LazyFrame:
    """The rows for which the expression is true (neither false nor null)."""
    query = f"SELECT * FROM self WHERE ({expression.sql})"  # noqa: S608 - checked above
    return widening.widely(lf, expression.small, lambda wide: wide.sql(query))


def _tokens(text: str, functions: Collection[str]) -> list[Token]:
    try:
        tokens = DuckDB().tokenize(text)
    except SqlglotError as error:
        raise ValueError(f"cannot read the expression: {reason(error)}") from error
    if not tokens:
        raise ValueError("the expression is empty")
    if len(tokens) > MAX_TOKENS:
        raise ValueError(f"the expression has more than {MAX_TOKENS} words and signs; derive it in several columns")
    depth = 0
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.token_type in _REFUSED_TOKENS:
            raise ValueError(f"'{token.text}' cannot stand in an expression over one row")
        if token.token_type is TokenType.L_PAREN:
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"the expression is nested more than {MAX_DEPTH} deep")
        if token.token_type is TokenType.R_PAREN:
            depth -= 1
        if token.token_type not in render.QUOTES:
            _check_word(token, following, functions)
    return tokens


def _check_word(token: Token, following: Token | None, functions: Collection[str]) -> None:
    word = token.text.lower()
    if word in CLOCKS:
        raise ValueError(f"{word} answers something else each time; a version must come out the same")
    if not (word[:1].isalpha() or word[:1] == "_"):
        return
    if following is None or following.token_type is not TokenType.L_PAREN:
        return
    if word == "over":
        raise ValueError("an expression over one row cannot hold a window (OVER)")
    if word not in functions and word not in _BEFORE_PAREN and word not in _SIZED_TYPES:
        hint = errors.did_you_mean(word, functions) or f"; there are {', '.join(sorted(functions))}"
        raise ValueError(f"no row-local function '{word}'{hint}")


def _tree(text: str) -> exp.Expr:
    try:
        trees = sqlglot.parse(text, dialect="duckdb")
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"cannot read the expression: {reason(error)}") from error
    if len(trees) != 1 or trees[0] is None:
        raise ValueError("write exactly one expression")
    tree = trees[0]
    judged = exp.Star | exp.Alias | exp.Tuple | exp.Query  # by the review that follows, in better words
    if not isinstance(tree, exp.Condition | exp.Literal | exp.Interval | exp.Func | exp.Paren | judged):
        raise ValueError(f"write an expression such as price * quantity, not a {tree.key} statement")
    return tree


def reason(error: BaseException) -> str:
    """What the parser complained of, for a person."""
    found = getattr(error, "errors", None)
    if not found:
        return str(error).split("\n", 1)[0]
    first = found[0]
    said = str(first.get("description", "")).rstrip(".")
    if said.startswith("Required keyword"):  # names a class of the parser
        said = "something is missing"
    return f"{said} at character {first.get('col')}"
