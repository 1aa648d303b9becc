"""What the API knows of queries without reading their SQL: the tables of a statement, and the tables of late.

Which tables a statement names is what a worker reported when it judged the same text before. Texts are known by their
digests.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from service.kit import errors
from service.model.rights import Readable
from service.query.messages import Need, Resolved
from service.query.scope import Scope
from service.sandbox.quoting import same
from service.sandbox.source import TableSource

Resolve = Callable[[list[str] | None, Readable], Awaitable[Resolved]]
"""Finds the sources of tables by name (None: of all tables) among pipelines that the caller sees."""

SYSTEM = "penstock."
"""How the names of system tables begin."""
_MOST_STATEMENTS = 4_096
_MOST_TABLES, _MOST_FILES = 16, 64
_SECONDS = 120.0


class Statements:
    """The tables that statements name, for the statements of late; apart for callers of another scope."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Scope, bytes], Need] = OrderedDict()

    def need(self, scope: Scope, statement: str) -> Need | None:
        """What the statement needs, if a worker reported it."""
        return self._known.get((scope, _digest(statement)))

    def remember(self, scope: Scope, statement: str, need: Need) -> None:
        """Note what a worker reported."""
        self._known[scope, _digest(statement)] = need
        if len(self._known) > _MOST_STATEMENTS:
            self._known.popitem(last=False)


class RecentTables:
    """The sources that were read in the last minutes: what a new worker should have, too."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[Scope, str], tuple[TableSource, float]] = OrderedDict()

    def note(self, scope: Scope, sources: Iterable[TableSource]) -> None:
        """Note sources that a query reads."""
        for source in sources:
            if len(source.parts) <= _MOST_FILES:
                self._seen[scope, source.table] = source, time.monotonic()
                self._seen.move_to_end((scope, source.table))
        while len(self._seen) > _MOST_TABLES:
            self._seen.popitem(last=False)

    def of(self, scope: Scope) -> list[TableSource]:
        """The recent sources of callers of that scope."""
        oldest = time.monotonic() - _SECONDS
        return [source for (who, _), (source, seen) in self._seen.items() if who == scope and seen > oldest]

    def names(self) -> list[str]:
        """The names of the newest versions of all recent tables."""
        return list({table.partition("@")[0]: None for _, table in self._seen})

    def forget(self, chosen: Callable[[TableSource], bool]) -> None:
        """Forget the chosen sources."""
        for key in [key for key, (source, _) in self._seen.items() if chosen(source)]:
            del self._seen[key]

    def replace(self, newest: TableSource) -> None:
        """Put the newest source of a table in the place of the one before, and forget other versions of it."""
        for key, (source, seen) in list(self._seen.items()):
            if source.table == newest.table:
                self._seen[key] = key[0].filtered(newest), seen
            elif source.pipeline == newest.pipeline and source.version != newest.version:
                del self._seen[key]


def _digest(statement: str) -> bytes:
    return hashlib.sha256(statement.encode(errors="surrogatepass")).digest()


async def needed(need: Need, resolve: Resolve, scope: Scope) -> Resolved:
    """The sources of what a statement needs; a caller has no tables but those of the scope.

    Raises ``errors.Invalid`` (SQL_NOT_ALLOWED) for a name that is not that of a table.
    """
    everything = await resolve(None, scope.readable) if need.everything else Resolved([])
    found = await resolve(list(need.tables), scope.readable) if need.tables else Resolved([])
    missing, known = list(found.missing), found.known
    if scope.row_filters:  # system tables tell of all rows
        missing += [name for name in need.tables if same(name) in found.snapshots]
        known = [name for name in known if not name.startswith(SYSTEM)]
    if missing:
        name = missing[0]
        hint = errors.did_you_mean(name, known)
        stored = f" (stored: {', '.join(sorted(known)[:20])})" if known and not hint else ""
        raise errors.Invalid(
            f"no stored table '{name}'{hint}{stored}",
            code="SQL_NOT_ALLOWED",
            position=need.tables.get(name),
            table=name,
        )
    sources = {s.table: s for s in map(named, [*scope.listed(everything.sources), *found.sources])}
    return Resolved([scope.filtered(s) for s in sources.values()], snapshots=found.snapshots)


def named(source: TableSource) -> TableSource:
    """The source under the one name that all statements share, however they spell it."""
    name = same(source.table)
    return source if source.table == name else msgspec.structs.replace(source, table=name)


def pinned(source: TableSource, scope: Scope) -> TableSource:
    """The source under the name of its version, as callers of ``scope`` see it."""
    name = same(f"{source.table.partition('@')[0]}@{source.version}")
    return scope.filtered(msgspec.structs.replace(source, table=name))


def is_older(source: TableSource, newest: TableSource) -> bool:
    """Whether the source is not that of its table any more, or holds the native file of an earlier version."""
    if source.pipeline != newest.pipeline or msgspec.structs.replace(source, row_filter="") == newest:
        return False
    return source.table == newest.table or (source.native is not None and source.version < newest.version)
