"""The runs that this process has in memory: those that wait or are going, and ended ones whose events it can replay."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator

from service.catalog.pipelines import PipelineRecord
from service.kit import errors
from service.runs.live_run import LiveRun
from service.runs.run_errors import running

_REMEMBERED = 200  # ended runs whose events can still be replayed


class ActiveRuns:
    """At most one active run a pipeline. Belongs to the event loop.

    ``on_freed`` are called when a run has ended and its pipeline may run again.
    """

    def __init__(self) -> None:
        self._active: dict[str, LiveRun] = {}
        self._recent: OrderedDict[str, LiveRun] = OrderedDict()
        self._reserved: set[str] = set()
        self.on_freed: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._active)

    @property
    def all(self) -> list[LiveRun]:
        """The active runs."""
        return list(self._active.values())

    @property
    def known(self) -> list[LiveRun]:
        """All runs in memory, oldest first."""
        return list(self._recent.values())

    def find(self, run_id: str) -> LiveRun | None:
        """A run in memory, active or ended."""
        return self._recent.get(run_id)

    def of(self, pipeline_id: str) -> LiveRun | None:
        """The active run of a pipeline."""
        return self._active.get(pipeline_id)

    def is_busy(self, pipeline_id: str) -> bool:
        """Whether a run of the pipeline is active, or none may begin."""
        return pipeline_id in self._active or pipeline_id in self._reserved

    def refuse_second(self, record: PipelineRecord) -> None:
        """Raise ``errors.Conflict`` (PIPELINE_RUNNING) if no run of the pipeline may begin."""
        if record.id in self._active:
            raise running(record.name, self._active[record.id].run)
        if record.id in self._reserved:
            raise errors.Conflict(f"'{record.name}' is being deleted, or a version accepted", code="PIPELINE_RUNNING")

    @contextlib.contextmanager
    def reserved(self, record: PipelineRecord) -> Iterator[None]:
        """No run of the pipeline begins in the context. Raises as ``refuse_second``."""
        self.refuse_second(record)
        self._reserved.add(record.id)
        try:
            yield
        finally:
            self._reserved.discard(record.id)
            self.announce_freed()

    def add(self, live: LiveRun) -> None:
        """Let a run be the active one of its pipeline. Forgets ended runs, oldest first, beyond those that are kept."""
        self._active[live.pipeline_id] = self._recent[live.run.run_id] = live
        surplus = len(self._recent) - len(self._active) - _REMEMBERED
        for run_id in [i for i, known in self._recent.items() if known.run.ended][: max(0, surplus)]:
            del self._recent[run_id]

    def drop(self, live: LiveRun) -> None:
        """Forget a run that was not stored, or that another process may have taken."""
        if self._active.get(live.pipeline_id) is live:
            del self._active[live.pipeline_id]
        if self._recent.get(live.run.run_id) is live:
            del self._recent[live.run.run_id]

    def release(self, live: LiveRun) -> None:
        """Let the pipeline of a run run again."""
        if self._active.get(live.pipeline_id) is live:
            del self._active[live.pipeline_id]
            self.announce_freed()

    def forget(self, run_id: str) -> None:
        """From now on the catalog has the present state of a run."""
        self._recent.pop(run_id, None)

    def announce_freed(self) -> None:
        """Call ``on_freed``; after a run of another process may have ended, too."""
        for freed in self.on_freed:
            freed()
