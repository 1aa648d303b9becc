"""Group commit: writes that arrive at the same time share one transaction, and so one flush to disk.

The first thread that may write does the work of all that wait, in the order of their arrival, and commits once. DuckDB
has no savepoints. So if one of several fails after it has changed something, the transaction is rolled back and each
is tried in its own: a write must read the catalog again each time, and have no other effect.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar, cast

T = TypeVar("T")


class Changes(Protocol):
    """A transaction that knows whether something was changed in it."""

    changed: bool


C = TypeVar("C", bound=Changes)


class _Write(Generic[C]):
    """A write that waits, then its result or its error."""

    def __init__(self, work: Callable[[C], Any]) -> None:
        self.work = work
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None

    def end(self, result: Any = None, error: BaseException | None = None) -> None:
        self.result, self.error, self.done = result, error, True


class GroupCommit(Generic[C]):
    """``begin`` opens a transaction that commits at the end of its context; one is open at a time (``writing``)."""

    def __init__(self, writing: threading.Lock, begin: Callable[[], AbstractContextManager[C]]) -> None:
        self._writing = writing
        self._begin = begin
        self._waiting: deque[_Write[C]] = deque()

    def write(self, work: Callable[[C], T]) -> T:
        """The result of ``work``, when it is on disk. Raises what it raises; then nothing of it was stored. Blocks."""
        mine = _Write(work)
        self._waiting.append(mine)
        with self._writing:
            if not mine.done:
                self._commit([self._waiting.popleft() for _ in range(len(self._waiting))])
        if mine.error is not None:
            raise mine.error
        return cast(T, mine.result)

    def _commit(self, writes: list[_Write[C]]) -> None:
        try:
            self._together(writes)
        except Exception as error:
            if len(writes) == 1 or self._is_everyones(error):
                for write in writes:
                    write.end(error=error)
            else:
                for write in writes:
                    self._commit([write])
        finally:
            for write in writes:
                if not write.done:  # this thread is being ended; the others must not wait
                    write.end(error=RuntimeError("the write was broken off"))

    def _is_everyones(self, error: Exception) -> bool:
        """Whether an error says nothing of the write that met it, so that no other one is tried by itself."""
        return False

    def _together(self, writes: list[_Write[C]]) -> None:
        ends: list[tuple[Any, Exception | None]] = []
        with self._begin() as transaction:
            for write in writes:
                transaction.changed = False
                try:
                    ends.append((write.work(transaction), None))
                except Exception as error:
                    if transaction.changed or len(writes) == 1:
                        raise
                    ends.append((None, error))
        for write, (result, failure) in zip(writes, ends, strict=True):
            write.end(result, failure)
