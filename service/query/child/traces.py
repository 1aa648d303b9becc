"""What a query leaves in its worker: spill files, and memory that does not come back.

DuckDB's buffers hold blocks of stored tables, which the next query may use; they do not count, since their limit is
part of the worker's memory. What Python, Arrow, Polars and the allocators keep counts against the next query.
"""

from __future__ import annotations

import ctypes
import os
import resource
from pathlib import Path

import duckdb

_GROWTH = 96 << 20
"""Bytes that a worker may hold more than before its first query."""
_STEP = 8 << 20
_TRUSTED = 64
"""How many queries, and what change of the memory of the process, DuckDB is not asked for the size of its buffers for:
the question takes as long as half of a query for one row.
"""
_STATM = "/proc/self/statm"
_PAGE = resource.getpagesize()


class Traces:
    """The traces that the queries of a connection leave, if there is one. ``spill`` is its temporary directory."""

    def __init__(self, connection: duckdb.DuckDBPyConnection | None, spill: Path) -> None:
        self._connection = connection
        self._spill = str(spill)
        self._before = 0
        self._seen = 0  # bytes of the process when DuckDB was asked last, and nothing was left
        self._trusted = 0  # queries until it is asked again

    def begin(self) -> None:
        """Compare with what is held now, from now on."""
        self._before = self._held()

    def are_gone(self) -> bool:
        """Whether nothing is left that the next query could find or would have to do without."""
        if os.listdir(self._spill):  # noqa: PTH208 - a few microseconds, after each query
            return False
        data = _data_bytes()
        if data <= self._before + _GROWTH:
            return True
        self._trusted -= 1
        if self._trusted > 0 and abs(data - self._seen) <= _STEP:
            return True
        if self._held() > self._before + _GROWTH:
            ctypes.CDLL(None).malloc_trim(0)
            if self._held() > self._before + _GROWTH:
                return False
        self._seen, self._trusted = _data_bytes(), _TRUSTED
        return True

    def _held(self) -> int:
        """Bytes of this process that count against its limit, without DuckDB's buffers."""
        if self._connection is None:
            return _data_bytes()
        cursor = self._connection.cursor()
        try:
            rows = cursor.execute("SELECT CAST(sum(memory_usage_bytes) AS BIGINT) FROM duckdb_memory()").fetchall()
        finally:
            cursor.close()
        return _data_bytes() - int(rows[0][0] or 0)


def _data_bytes() -> int:
    handle = os.open(_STATM, os.O_RDONLY)
    try:
        return int(os.read(handle, 256).split()[5]) * _PAGE
    finally:
        os.close(handle)
