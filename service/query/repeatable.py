"""Whether an expression or a statement has the same answer tomorrow: only then may it be given again."""

from __future__ import annotations

import re

VOLATILE = (
    "age", "ago", "array_shuffle", "currval", "error", "gen_random_uuid", "getvariable", "in_search_path",
    "list_shuffle", "localtime", "localtimestamp", "nextval", "now", "random", "setseed",
    "setval", "sleep_ms", "stats", "today", "transaction_timestamp", "txid_current", "uuid", "uuidv4", "uuidv7",
    "vector_type", "write_log",
)  # fmt: skip
"""Functions whose value depends on more than their arguments; so do those that begin with ``current_``."""
_WORDS = re.compile(rf"\b(?:{'|'.join(VOLATILE)}|(?:get_)?current_\w+)\b", re.IGNORECASE)

_BY_CHANCE = re.compile(r"\b(?:(?:table)?sample|explain)\b", re.IGNORECASE)


def is_repeatable(expression: str | None) -> bool:
    """Whether a filter has one value for one row at all times.

    The text is searched for words, since the API process does not parse users' SQL: a column or a string with such a
    word only costs the ETag.
    """
    return expression is None or _WORDS.search(expression) is None


def is_repeatable_statement(statement: str) -> bool:
    """Whether a SELECT has one answer over the same tables at all times, as far as its words tell."""
    return is_repeatable(statement) and _BY_CHANCE.search(statement) is None
