"""What PostgreSQL spells otherwise than DuckDB.

Statements are written in what both understand. Functions that only DuckDB has are made in PostgreSQL by
``sql/postgresql.sql``; what is left is the spelling of parameters and the types of columns, which are changed here.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

_PARAMETER = re.compile(r"\$([A-Za-z_]\w*)")
_JSON = re.compile(r"\$(\w+)::JSON\b")
_DEFINITION = re.compile(r"\b(?:CREATE|ALTER) TABLE\b")
_TYPES = {
    re.compile(r"\bVARCHAR\b"): 'text COLLATE "C"',  # DuckDB orders texts by their bytes
    re.compile(r"\bBLOB\b"): "bytea",
}


class Statement(NamedTuple):
    """A statement as psycopg takes it, and the names of its parameters that are JSON."""

    text: str
    json: frozenset[str]


@functools.lru_cache(maxsize=512)
def translated(sql: str) -> Statement:
    """A statement of ``sql/*.sql`` for PostgreSQL."""
    json = frozenset(_JSON.findall(sql))
    if _DEFINITION.search(sql):
        for pattern, name in _TYPES.items():
            sql = pattern.sub(name, sql)
    if _PARAMETER.search(sql):  # psycopg looks for its own marks only where there are parameters
        sql = _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%"))
    return Statement(sql, json)
