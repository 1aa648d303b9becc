"""DuckDB inside a job's own process: no files but those that are given, settings locked, memory and threads bounded.

A job evaluates expressions and runs ``sql`` steps with it. The process is confined already (Landlock, RLIMITs); the
settings are those of the query workers (``confinement.LOCKED``), and are read back before anything is run.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb

from service.kit import process_memory
from service.sandbox import confinement
from service.sandbox.quoting import literal

_LEAST = 64 << 20
_MOST = 1 << 44
_BESIDE = 128 << 20
"""What counts for RLIMIT_DATA and not for DuckDB: stacks of threads, what allocators keep, values in flight. Bytes
(measured: 34 to 45 MiB; 92 to 217 with an allocator that keeps addresses, see ``forkserver``, and all its threads)."""
_SHARE = 0.7
"""Of what is left after that. Measured with sorts of 3 and 10 million rows under 512 MiB to 1.2 GiB."""
_BESIDE_ONE = 80 << 20
"""The same of a single thread. Bytes."""
_FEW = 160 << 20
"""With less than this one thread does the work: each has its own buffers."""


def connect(
    *, threads: int, memory_bytes: int, zone: str = "UTC", spill: Path | None = None, files: Iterable[Path] = ()
) -> duckdb.DuckDBPyConnection:
    """A closed connection that may read and write exactly ``files`` and spill into the folder ``spill``."""
    allowed = ", ".join(literal(str(f)) for f in files)
    connection = duckdb.connect(
        ":memory:",
        config={
            **confinement.CLOSED,
            "threads": threads if memory_bytes >= _FEW else 1,
            "memory_limit": f"{memory_bytes}B",
            "temp_directory": "" if spill is None else str(spill),
            "arrow_output_version": "1.4",
            "produce_arrow_string_view": True,
            "async_threads": 1 if allowed else 0,  # the usual eight have 64 MiB of stacks, and make nothing faster
            "disabled_optimizers": "in_clause",  # a long IN list would become a join, which does not keep the order
        },
    )
    connection.execute(f"SET GLOBAL TimeZone = {literal(zone)}")
    if allowed:
        connection.execute(f"SET allowed_paths = [{allowed}]")
    confinement.close(connection)
    return connection


def free_memory(*, most: bool = False) -> int:
    """How much memory DuckDB's buffers may take in this process now: what RLIMIT_DATA leaves, less a reserve. Bytes.

    ``most`` is what a single thread may have at all.
    """
    left = process_memory.limit() - process_memory.held()
    size = left - _BESIDE_ONE if most else int((left - _BESIDE) * _SHARE)
    return min(max(size, _LEAST), _MOST)
