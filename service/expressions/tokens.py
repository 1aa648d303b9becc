"""Review of SQL by its tokens, before any parser builds a tree: size, depth, signs and function names.

Every word before a parenthesis must be a function of a closed list or a keyword that takes one. This review runs in the
API process, too; the tree of the engine is reviewed where the text is run (``sandbox.gate``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from service.expressions import functions
from service.kit import errors

_CLOCK_WORDS = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
_KEYWORDS = functions.names(
    """
    and or not in is when then else end case like ilike glob similar between from distinct both leading trailing escape
    any all some interval lambda for collate array
    decimal numeric dec varchar char bpchar text string bit struct time timestamp union enum
    """
)
"""Words other than functions that may come before a parenthesis in an expression; types with a size among them."""
_CLAUSES = functions.names(
    """
    select where having on using by as over join exists union except intersect with limit offset filter exclude
    rename replace values qualify order group sets rollup cube within partition rows groups columns recursive
    materialized desc asc first last
    """
)
_SIGNS = frozenset(
    {
        TokenType.SEMICOLON,
        TokenType.PARAMETER,
        TokenType.PLACEHOLDER,
        TokenType.BYTE_STRING,
        TokenType.HEREDOC_STRING,
        TokenType.RAW_STRING,
        TokenType.NATIONAL_STRING,
        TokenType.UNICODE_STRING,
    }
)


@dataclass(frozen=True)
class Limits:
    """What one kind of text may be: ``what`` names it in messages."""

    what: str
    characters: int
    tokens: int
    depth: int


EXPRESSION = Limits("expression", 4_000, 400, 24)
QUERY = Limits("query", 16_000, 2_000, 32)


def check(text: str, limits: Limits, allowed: Collection[str]) -> list[Token]:
    """The tokens of ``text``. Raises ``ValueError`` that says what is not allowed in it."""
    if len(text) > limits.characters:
        raise ValueError(f"the {limits.what} is longer than {limits.characters} characters")
    try:
        tokens = DuckDB().tokenize(text)
    except SqlglotError as error:
        raise ValueError(f"cannot read the {limits.what}: {reason(error)}") from error
    if not tokens:
        raise ValueError(f"the {limits.what} is empty")
    if len(tokens) > limits.tokens:
        raise ValueError(f"the {limits.what} has more than {limits.tokens} words and signs; write it in several steps")
    depth = 0
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.token_type in _SIGNS:
            raise ValueError(f"'{token.text}' is not allowed in this {limits.what}")
        depth += (token.token_type is TokenType.L_PAREN) - (token.token_type is TokenType.R_PAREN)
        if depth > limits.depth:
            raise ValueError(f"the {limits.what} is nested more than {limits.depth} deep")
        if token.token_type is not TokenType.STRING:
            _check_word(token, following, limits, allowed)
    return tokens


def _check_word(token: Token, following: Token | None, limits: Limits, allowed: Collection[str]) -> None:
    word, quoted = token.text.lower(), token.token_type is TokenType.IDENTIFIER
    if not quoted and word in _CLOCK_WORDS:
        raise ValueError(f"{word} is not allowed: {functions.INSTEAD[word]}")
    called = following is not None and following.token_type is TokenType.L_PAREN
    if not called or not (quoted or word[:1].isalpha() or word[:1] == "_"):
        return
    if word in _KEYWORDS and not quoted:
        return
    if limits is QUERY and word in _CLAUSES and not quoted:
        return
    if word == "over":
        raise ValueError("an expression over one row cannot hold a window (OVER)")
    check_function(word, limits, allowed)


def check_function(name: str, limits: Limits, allowed: Collection[str]) -> None:
    """Raise ``ValueError`` where a function is not on the list ``allowed``."""
    if name in allowed:
        return
    where = "row-local function" if limits is EXPRESSION else "function"
    if name in functions.REFUSED:
        raise ValueError(f"no {where} '{name}'{functions.reason(name)}")
    if name in functions.SETS | functions.WINDOWS:
        raise ValueError(f"no {where} '{name}': it needs other rows")
    raise ValueError(f"no {where} '{name}'{errors.did_you_mean(name, allowed)}")


def reason(error: BaseException) -> str:
    """What the parser complained of, for a person."""
    found = getattr(error, "errors", None)
    if not found:
        return str(error).split("\n", 1)[0]
    first = found[0]
    description = str(first.get("description", "")).rstrip(".")
    if description.startswith("Required keyword"):  # it names a class of the parser
        description = "something is missing"
    return f"{description} at character {first.get('col')}"
