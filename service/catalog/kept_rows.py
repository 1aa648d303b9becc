"""Rows that stay in memory until a transaction changes what they were read from.

This process is the only writer of the catalog. So a row of a pipeline (its newest run, its newest version) can be
answered from memory until a statement writes to its table about that pipeline. Which table that is, and which pipeline,
is read from the statement and its parameters: a writer cannot forget to say it.
"""

from __future__ import annotations

import functools
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Row = dict[str, Any]
Touched = tuple[str, str | None]
"""A table, and the pipeline (of ``RUN_STATES``: the run) whose rows a statement wrote; None for any."""

_MOST = 16_384
_WRITES = re.compile(r"\b(?:INSERT\s+(?:OR\s+\w+\s+)?INTO|UPDATE|DELETE\s+FROM)\s+\"?(\w+)", re.IGNORECASE)
_WITH = {"revisions": "pipelines", "deleted_versions": "versions"}
"""Tables whose rows are read with those of another one."""
_BY_NAME = frozenset({"pipelines", "deliveries"})
"""Their rows are kept by other keys than the pipeline's id, which statements have."""
_ANY = "*"
RUN_STATES = "run_states"
"""What is kept of single runs, by their ids; a statement that writes to ``runs`` concerns it, too."""


class KeptRows:
    """The rows, by table, pipeline and statement; at most some thousand pipelines. May be used in any thread."""

    def __init__(self) -> None:
        self._rows: OrderedDict[tuple[str, str], dict[str, Row | None]] = OrderedDict()
        # Clients bring stamps back after a restart: those of two processes must not be alike.
        self.changes = secrets.randbits(48)
        self._changed: dict[Touched, int] = {}
        self._forgotten = self.changes  # the changes up to here are not in ``_changed`` any more
        self._lock = threading.Lock()

    def has(self, table: str, key: str, sql: str) -> bool:
        """Whether ``get`` would answer from memory."""
        return sql in self._rows.get((table, key), {})

    def get(self, table: str, key: str, sql: str, read: Callable[[], Row | None]) -> Row | None:
        """The row of ``sql`` about the pipeline ``key``: from memory, or what ``read`` answers. Not to be changed."""
        with self._lock:
            known = self._rows.get((table, key))
            if known is not None and sql in known:
                self._rows.move_to_end((table, key))
                return known[sql]
            before = self.changes
        row = read()
        with self._lock:
            if self.changes == before:  # else it may be older than a commit
                self._keep(table, key, sql, row)
        return row

    def put(self, table: str, key: str, sql: str, row: Row) -> None:
        """Keep a row that a transaction has written; call it after ``forget``."""
        with self._lock:
            self._keep(table, key, sql, row)

    def _keep(self, table: str, key: str, sql: str, row: Row | None) -> None:
        self._rows.setdefault((table, key), {})[sql] = row
        if len(self._rows) > _MOST:
            self._rows.popitem(last=False)

    def stamp(self, tables: Iterable[str], key: str | None = None) -> int:
        """A number that is another one after a commit that concerns these tables, or their rows of one pipeline.

        What was read after it was asked for holds as long as it stays the same.
        """
        with self._lock:
            keys = (_ANY,) if key is None else (key, None)
            places = [(table, one) for table in tables for one in keys]
            return max([self._forgotten, *(self._changed.get(place, 0) for place in [*places, (_ANY, _ANY)])])

    def forget(self, touched: Iterable[Touched]) -> None:
        """Forget what a transaction has changed; call it after its commit, before the writer goes on."""
        with self._lock:
            for table, key in touched:
                self.changes += 1
                self._changed[table, key] = self._changed[table, _ANY] = self.changes
                if key is not None and table not in _BY_NAME:
                    self._rows.pop((table, key), None)
                    continue
                for one in [k for k in self._rows if table in (k[0], _ANY)]:
                    del self._rows[one]
            if len(self._changed) > _MOST:
                self._changed, self._forgotten = {}, self.changes


def touched(sql: str, parameters: Any) -> set[Touched]:
    """What a statement with these parameters writes."""
    given = parameters if isinstance(parameters, Mapping) else {}
    table = written_table(sql)
    written = {(table, given.get("pipeline_id"))}
    return written | {(RUN_STATES, given.get("run_id"))} if table == "runs" else written


def concerns(what: Iterable[Touched], table: str, key: str) -> bool:
    """Whether rows of ``table`` that are kept under ``key`` may be others after the statements that wrote ``what``."""
    return any(
        written == _ANY or (written == table and (written in _BY_NAME or of in (None, key))) for written, of in what
    )


@functools.lru_cache(maxsize=512)
def written_table(sql: str) -> str:
    """The table to which a statement writes, as ``KeptRows`` names it."""
    found = _WRITES.search(sql)
    return _WITH.get(found[1].lower(), found[1].lower()) if found else _ANY
