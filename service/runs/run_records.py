"""Records of the ends of runs. A run ends in memory even if the catalog cannot be written; the write is repeated."""

from __future__ import annotations

import asyncio

import structlog

from service.catalog.history import History
from service.model.run import Run

_PATIENCE = 5.0  # seconds that the end of a run waits for its write
_DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0)

_log = structlog.get_logger("penstock.run")


class RunRecords:
    """Writes the ends of runs; those that could not be written are tried again until they are."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._unwritten: dict[str, Run] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def unwritten(self) -> dict[str, Run]:
        """The runs whose end the catalog does not have yet, by id."""
        return dict(self._unwritten)

    async def write(self, run: Run) -> None:
        """Write the end of a run. Never raises, and returns after a few seconds at the latest."""
        self._unwritten[run.run_id] = run
        if not await self._try(run) and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._repeat())

    async def close(self) -> None:
        """Try to write what is left a last time; the next start marks those runs as interrupted otherwise."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for run in list(self._unwritten.values()):
            if not await self._try(run):
                break

    async def _repeat(self) -> None:
        tries = 0
        while self._unwritten:
            await asyncio.sleep(_DELAYS[min(tries, len(_DELAYS) - 1)])
            tries += 1
            for run in list(self._unwritten.values()):
                if not await self._try(run):
                    break

    async def _try(self, run: Run) -> bool:
        try:
            await asyncio.wait_for(asyncio.to_thread(self._history.update_run, run), _PATIENCE)
        except Exception as error:
            _log.error("run.not_written", run_id=run.run_id, status=run.status, reason=str(error))
            return False
        self._unwritten.pop(run.run_id, None)
        return True
