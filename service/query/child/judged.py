"""What a worker remembers of statements: the verdict of the gate and the types of the result, by a digest of the text.

Repeated statements are the rule: a program sends one text with other parameters. The text itself and its parameters
are not kept. Sources of a worker never change, so that neither do the verdict and the types.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

from service.query.child import encode
from service.sandbox import gate
from service.sandbox.confinement import Relation
from service.sandbox.quoting import quoted, same

_MOST = 512
_WHOLE = ((-(1 << 31), 1 << 31), (-(1 << 63), 1 << 63), (-(1 << 127), 1 << 127))  # DuckDB's types of whole numbers
_Shape = tuple[Any, ...]
Columns = tuple[list[str], list[DuckDBPyType]]
"""The names and types of a result."""


class Judged:
    """A statement that the gate accepted, without its text: the SELECT is from ``start`` to ``end`` in it.

    ``plain``: how many columns its results have, if all of them are plain (``encode.is_plain``); else 0. ``heads`` are
    what is written of such results before their rows. ``is_bound``: its plan was reviewed, too.
    """

    def __init__(self, accepted: gate.Accepted, statement: str) -> None:
        self.explain = accepted.explain
        self.tables = accepted.tables
        self.everything = accepted.everything
        self.only_names = accepted.only_names and accepted.everything and accepted.explain is None
        self.start = statement.find(accepted.select) if accepted.explain is None else -1
        self.end = self.start + len(accepted.select)
        self.takes_limit = accepted.takes_limit
        self.plain = 0
        self.columns: dict[_Shape, Columns] = {}
        self.heads: dict[_Shape, encode.Head] = {}
        self.parameters = accepted.parameters
        self.is_bound = False
        self._references = [] if accepted.names_rowid else sorted(accepted.references, key=lambda r: r.start)

    def over_tables(self, select: str, relations: Mapping[str, Relation]) -> str | None:
        """The SELECT with native tables in the place of their views, which DuckDB would bind anew; None if it cannot.

        It means the same: what a view of a native table has is what the table has, but for its ``rowid``.
        """
        text, at, parts = select.encode(), 0, []
        for found in self._references:
            relation = relations.get(same(found.name))
            written = text[found.start : found.start + found.length]
            token = next((t for t in (quoted(found.name), found.name) if written.startswith(t.encode())), None)
            if relation is None or not relation.is_table or token is None or found.start < at:
                return None
            alias = "" if found.has_alias else f" AS {quoted(found.name)}"
            parts += [text[at : found.start], f"{relation.sql}{alias}".encode()]
            at = found.start + len(token.encode())
        return b"".join([*parts, text[at:]]).decode() if parts else None

    def refuse_tables(self) -> None:
        """The SELECT was not understood so; keep to its views."""
        self._references = []


class Judgements:
    """The statements that were judged last."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Judged] = OrderedDict()

    def of(self, connection: duckdb.DuckDBPyConnection, statement: str) -> tuple[str, Judged]:
        """The SELECT that may run, and what is known of it. Raises as ``gate.accept``."""
        gate.measured(statement)
        digest = hashlib.sha256(statement.encode()).digest()
        judged = self._known.get(digest)
        if judged is not None:
            self._known.move_to_end(digest)
            return statement[judged.start : judged.end], judged
        accepted = gate.accept(connection, statement)
        judged = Judged(accepted, statement)
        if judged.start >= 0:
            self._known[digest] = judged
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        return accepted.select, judged


def shape(parameters: list[Any] | dict[str, Any] | None) -> _Shape | None:
    """What of the parameters decides the types of a result; None where their values may, too."""
    if not parameters:
        return ()
    named = parameters.items() if isinstance(parameters, dict) else enumerate(parameters)
    found: list[tuple[str | int, type, int]] = []
    for name, value in named:
        if not isinstance(value, int | float | None) or len(found) > 100:
            return None
        fits = sum(low <= value < high for low, high in _WHOLE) if isinstance(value, int) else 0
        found.append((name, type(value), fits))
    return tuple(found)
