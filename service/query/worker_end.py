"""What the end of a query worker means that left its query unanswered."""

from __future__ import annotations

import signal

from service.kit import errors
from service.processes.child import Exit
from service.query.pool import PooledWorker
from service.sandbox.duckdb_errors import too_large


def explained(worker: PooledWorker, end: Exit, memory_bytes: int) -> errors.PenstockError:
    """The error of a query whose worker, with so much memory, ended without a message."""
    if end.ok:
        return errors.PenstockError("a query worker ended before its answer was complete")
    if end.lost or (end.signal is signal.SIGKILL and not worker.was_out_of_memory()):
        return errors.Unavailable("the query's process was killed from outside; try again", retry_after=1.0)
    if end.signal in (signal.SIGKILL, signal.SIGABRT) or end.signal is None:
        return too_large(memory_bytes)
    return errors.Invalid(
        f"the query ended its worker ({end}); nothing else was affected. Write the query another way",
        code="QUERY_TOO_LARGE",
    )
