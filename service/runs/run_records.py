"""Records of the ends of runs. A run ends in memory even if the catalog cannot be written; the write is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from service.catalog.history import History
from service.model import lifecycle
from service.model.run import Run
from service.telemetry import log_context

_PATIENCE = 5.0  # seconds that the end of a run waits for its write
_DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0)

_log = structlog.get_logger("penstock.run")


class RunRecords:
    """Writes the ends of runs; those that could not be written are tried again until they are.

    ``on_refused`` is called with the id of a run that has another state in the catalog.
    """

    def __init__(self, history: History) -> None:
        self.on_refused: Callable[[str], None] = lambda _: None
        self._history = history
        self._unwritten: dict[str, tuple[Run, int | None]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def unwritten(self) -> dict[str, Run]:
        """The runs whose end the catalog does not have yet, by id."""
        return {run_id: run for run_id, (run, _) in self._unwritten.items()}

    async def write(self, run: Run, fence: int | None = None) -> None:
        """Write the end of a run whose token is ``fence``.

        Never raises, and returns after a few seconds at the latest. An end that the catalog refuses (the run has ended
        otherwise, or belongs to another attempt) is not written.
        """
        self._unwritten[run.run_id] = run, fence
        if not await self._try(run, fence) and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._repeat(), context=log_context.nobody())

    async def close(self) -> None:
        """Try to write what is left a last time; the next start marks those runs as interrupted otherwise."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for run, fence in list(self._unwritten.values()):
            if not await self._try(run, fence):
                break

    async def _repeat(self) -> None:
        tries = 0
        while self._unwritten:
            await asyncio.sleep(_DELAYS[min(tries, len(_DELAYS) - 1)])
            tries += 1
            for run, fence in list(self._unwritten.values()):
                if not await self._try(run, fence):
                    break

    async def _try(self, run: Run, fence: int | None) -> bool:
        try:
            await asyncio.wait_for(asyncio.to_thread(self._history.change_run, run, fence), _PATIENCE)
        except (lifecycle.IllegalTransition, lifecycle.Superseded) as error:
            _log.warning("run.end_refused", run_id=run.run_id, status=run.status, reason=error.message)
            self.on_refused(run.run_id)
        except Exception as error:
            _log.error("run.not_written", run_id=run.run_id, status=run.status, reason=str(error))
            return False
        self._unwritten.pop(run.run_id, None)
        return True
