"""Rewriting: how the checked tokens of an expression are written for the engine.

Comments go, strings are quoted again, and a number with a point is a double, as in the rest of the product (the engine
alone would make ``price / 3.0`` a decimal). What counts or names a part of a date is widened to 64 bits, for the
engine's ``month(t) * 100`` would wrap around in 8, and so is a whole number after THEN or ELSE. Divisors are columns
(``_whole_column``), for the engine divides a column by a number by multiplying with its reciprocal: ``49 / 49`` would
be 0.9999999999999999 there, its ``floor`` 0, and 1 in a row alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot.tokenizer_core import Token, TokenType

QUOTES = {TokenType.STRING: "'", TokenType.IDENTIFIER: '"'}
NARROW = frozenset(
    {"bit_length", "char_length", "character_length", "length", "octet_length", "position", "strpos"}
    | {"year", "month", "day", "hour"}
)
PARTS = frozenset({"year", "quarter", "month", "week", "day", "dow", "doy", "hour", "minute", "second"})
_CALCULATED = frozenset(
    {TokenType.NUMBER, TokenType.L_PAREN, TokenType.R_PAREN, TokenType.DASH, TokenType.PLUS, TokenType.STAR}
    | {TokenType.SLASH}
)


def text(tokens: list[Token], column: str | None = None) -> str:
    """The tokens as text again, with every narrow call cast to BIGINT, and divisors as long as ``column`` is."""
    written: list[str] = []
    narrow: list[bool] = []
    divisors = _divisors(tokens) if column is not None else {}
    for at, token in enumerate(tokens):
        if column is not None and at in divisors:
            written.append(_whole_column(column, tokens[at : divisors[at] + 1]))
        if _is_narrow(tokens, at):
            written.append("CAST(")
        written.append(f"CAST({token.text} AS BIGINT)" if _is_branch(tokens, at) else _word(token))
        written.extend("))" for last in divisors.values() if last == at)
        if token.token_type is TokenType.L_PAREN:
            narrow.append(_is_narrow(tokens, at - 1))
        elif token.token_type is TokenType.R_PAREN and narrow.pop():
            written.append("AS BIGINT)")
    return " ".join(written)


def _divisors(tokens: list[Token]) -> dict[int, int]:
    """Where something is divided by a number, or by several in parentheses: the divisor's first token and its last."""
    found: dict[int, int] = {}
    for at, token in enumerate(tokens[:-1], 1):
        if token.token_type not in (TokenType.SLASH, TokenType.DIV):
            continue
        last, depth = at, 0
        while last < len(tokens) and tokens[last].token_type in _CALCULATED:
            depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(tokens[last].token_type, 0)
            if depth == 0 and tokens[last].token_type in (TokenType.NUMBER, TokenType.R_PAREN):
                found[at] = last
                break
            last += 1
    return found


def _whole_column(column: str, number: Sequence[Token]) -> str:
    """How a column begins that has ``number`` in every row of ``column``; ``))`` ends it."""
    whole = all(t.text.isdigit() for t in number if t.token_type is TokenType.NUMBER)
    return f"(CAST({quoted(column, chr(34))} IS NULL AS {'BIGINT' if whole else 'DOUBLE'}) * 0 + ("


def _is_narrow(tokens: list[Token], at: int) -> bool:
    """Whether a call begins here whose result the engine keeps in fewer than 64 bits."""
    if at < 0 or tokens[at].token_type in QUOTES or len(tokens) < at + 4:
        return False
    word, following, argument = tokens[at].text.lower(), tokens[at + 1].token_type, tokens[at + 2].text.lower()
    if following is not TokenType.L_PAREN:
        return False
    return word in NARROW or (word in ("extract", "date_part") and argument in PARTS)


def _is_branch(tokens: list[Token], at: int) -> bool:
    """Whether a whole number stands here that a CASE may answer."""
    if tokens[at].token_type is not TokenType.NUMBER or not tokens[at].text.isdigit() or not 0 < at < len(tokens) - 1:
        return False
    before, following = tokens[at - 1].token_type, tokens[at + 1].token_type
    return before in (TokenType.THEN, TokenType.ELSE) and following in (TokenType.WHEN, TokenType.ELSE, TokenType.END)


def _word(token: Token) -> str:
    quote = QUOTES.get(token.token_type)
    if quote is not None:
        return quoted(token.text, quote)
    if token.token_type is TokenType.NUMBER and not token.text.isdigit():
        return f"CAST({token.text} AS DOUBLE)"
    return token.text


def quoted(words: str, quote: str) -> str:
    return quote + words.replace(quote, quote * 2) + quote
