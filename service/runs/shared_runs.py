"""The runs of an installation that several processes serve: the row of a run is its place in the queue.

Whichever process has a free slot claims the oldest run that is due, in one transaction with the beginning of its
attempt, its lease and its next fencing token. What others did is found by a look, each ``_LOOK`` seconds while the
catalog changes: a run that waits, one of this process that somebody cancelled or took over, one whose owner is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import structlog

from service.catalog import run_queue
from service.catalog.pipelines import Pipelines, missing
from service.catalog.run_queue import RunQueue
from service.catalog.store import ALL, Transaction
from service.kit import errors
from service.model.run import Run
from service.runs import attempt_records, leases
from service.runs.active_runs import ActiveRuns
from service.runs.driver import RunDriver
from service.runs.job_resources import JobResources
from service.runs.live_run import LiveRun
from service.runs.membership import Membership
from service.runs.run_errors import running
from service.runs.slots import Slots

_LOOK = 0.5
_PAUSE = 0.02
_LONGEST = 1.0
"""Seconds after which it looks although nothing changed: runs that wait to be tried again become due."""
_SHOW = 2.0
"""Seconds between two writes of how far the runs of this process are."""
_log = structlog.get_logger("penstock.run")


class SharedRuns:
    """The part of this process in the runs of all. Its methods belong to the event loop, except ``refuse``.

    ``on_changed`` are called when the catalog has changed, by whatever process.
    """

    def __init__(
        self, resources: JobResources, pipelines: Pipelines, slots: Slots, driver: RunDriver, runs: ActiveRuns,
        membership: Membership,
    ) -> None:  # fmt: skip
        self.on_changed: list[Callable[[], None]] = []
        from service.runs.pace_keeper import PaceKeeper  # only where services share an installation

        self._resources = resources
        self._history = resources.history
        self.pace = PaceKeeper.of(resources)
        self._pipelines = pipelines
        self._slots = slots
        self._driver = driver
        self._runs = runs
        self._membership = membership
        self._changed = asyncio.Event()
        self._seen: int | None = None
        self._strays: set[str] = set()
        self._told: int | None = None
        self._looked = self._swept = self._shown_at = self._told_at = float("-inf")
        self._shown: dict[str, tuple[float, str | None]] = {}
        self._task: asyncio.Task[None] | None = None
        runs.on_freed.append(self.look_soon)
        self._soon = asyncio.Event()
        self._hints = contextlib.ExitStack()

    def start(self) -> None:
        """Begin to claim runs, and to share the pace of hosts."""
        self.pace.start()
        loop = asyncio.get_running_loop()

        def hinted(hint: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the service has stopped
                loop.call_soon_threadsafe(self._hinted, hint)

        self._hints.enter_context(self._history.queue.hints(hinted))
        self._task = asyncio.create_task(self._run())

    def _hinted(self, hint: str) -> None:
        """Look at once at what another process did."""
        if hint in ("", ALL):
            self.look_soon()
        if hint:
            self._resources.journals.hinted(hint if hint != ALL else None)

    async def close(self) -> None:
        """Claim nothing any more. Safe to call again."""
        await asyncio.to_thread(self._hints.close)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def look_soon(self) -> None:
        """Look at once: a run was queued, or a slot became free."""
        self._soon.set()

    def refuse(self, pipeline_id: str, transaction: Transaction, run: Run) -> None:
        """Part of the transaction that stores a run: the pipeline has no other one, and the queue has a place for it.

        Raises ``errors.Conflict`` (PIPELINE_RUNNING), ``errors.Unavailable``.
        """
        _refuse_second(pipeline_id, transaction, run)
        if run.status == "queued" and run_queue.waiting(transaction) > self._resources.settings.max_queued_runs:
            raise errors.Unavailable("too many runs are waiting; try again later", retry_after=5, limit="runs")

    async def cancel(self, run_id: str) -> Run:
        """End a run that another process works on, or none. Its owner finds that it can store nothing any more."""
        now = self._resources.clock.now()
        await asyncio.to_thread(self._history.queue.end, run_id, lambda run: attempt_records.cancelled(run, now))
        run = await asyncio.to_thread(self._history.run, run_id)
        if self._resources.spark is not None and run.status == "cancelled":  # its owner may be gone
            self._resources.spark.end_taken([run])
        return run

    async def wait(self, run_id: str, seconds: float) -> Run:
        """A run of another process when it has ended, or its state after ``seconds``."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            changed = self._changed  # before the look, so that nothing is missed
            run = await asyncio.to_thread(self._history.run, run_id)
            if run.ended or asyncio.get_running_loop().time() >= deadline:
                return run
            await self.change(deadline - asyncio.get_running_loop().time(), changed)

    async def change(self, seconds: float, changed: asyncio.Event) -> bool:
        """Return true when the catalog has changed, or false after ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                return await changed.wait()
        except TimeoutError:
            return False

    async def _run(self) -> None:
        while True:
            self._soon.clear()
            try:
                await self._look()
                self._history.queue.read_at = time.monotonic()
            except Exception as error:  # the catalog does not answer now
                self._seen = None
                _log.warning("queue.not_read", reason=str(error), exception=type(error).__name__)
            try:
                async with asyncio.timeout(_LOOK):
                    await self._soon.wait()
                    await asyncio.sleep(_PAUSE)  # one look is for all hints of that time
            except TimeoutError:
                pass

    async def _look(self) -> None:
        now = time.monotonic()
        stamp = await asyncio.to_thread(lambda: self._history.queue.changes)
        if now - self._swept >= self._history.lease.seconds / 3:
            self._swept = now
            await asyncio.to_thread(leases.take_over, self._history, self._resources.clock.now(), alone=False)
            await self._give_up_strays()
            await asyncio.to_thread(self._note_waiting)
        if now - self._shown_at >= _SHOW:
            self._shown_at = now
            await self._show()
        if stamp != self._seen:
            self._seen = stamp
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()
            self._announce(now)
            await self._stop_lost()
        elif now - self._looked < _LONGEST and not self._soon.is_set():
            self._announce(now)
            return
        self._looked = now
        await self._claim()

    def _announce(self, now: float) -> None:
        """Tell who works on what changed; not as often as hints come."""
        if self._seen != self._told and now - self._told_at >= _LOOK:
            self._told, self._told_at = self._seen, now
            for call in self.on_changed:
                call()
            self._runs.announce_freed()

    async def _give_up_strays(self) -> None:
        """Let others go on with runs that belong to this process though it does not work on them for two looks.

        The answer to their claim was lost, which had been committed.
        """
        known = {live.run.run_id for live in self._runs.all} | self._driver.unwritten.keys()
        strays = await asyncio.to_thread(self._history.queue.owned) - known
        lost, self._strays = strays & self._strays, strays
        if lost:
            _log.warning("queue.given_up", run_ids=sorted(lost))
            await asyncio.to_thread(leases.give_up, self._history, self._resources.clock.now(), lost)

    async def _show(self) -> None:
        """Store how far the runs of this process are that went on since, for other processes."""
        going = [live for live in self._runs.all if live.run.status == "running" and not live.committing]
        seen = {live.run.run_id: (live.run.progress, live.run.step) for live in going}
        changed = [
            (live.view(), live.fence)
            for live in going
            if live.fence is not None and seen[live.run.run_id] != self._shown.get(live.run.run_id)
        ]
        self._shown = seen
        if changed:
            await asyncio.to_thread(self._history.queue.show, changed)

    async def _stop_lost(self) -> None:
        """Stop the runs of this process that the catalog gives to nobody or somebody else."""
        mine = [live for live in self._runs.all if live.run.status == "running" and not live.committing]
        if not mine:
            return
        owned = await asyncio.to_thread(self._history.queue.owned)
        for live in mine:
            if live.run.run_id not in owned and live.run.status == "running" and not live.committing:
                self._driver.stop(live, "superseded")

    async def _claim(self) -> None:
        while self._driver.resumes and self._leased and await self._slots.reserve():
            taking = asyncio.create_task(self._take())
            try:
                if not await asyncio.shield(taking):
                    return
            except asyncio.CancelledError:  # this process stops: a run that it was given must not wait for a lost lease
                await asyncio.gather(taking, return_exceptions=True)
                raise

    async def _take(self) -> bool:
        """Begin a run in the slot that was set aside. Returns whether there was one."""
        given = False
        try:
            found = await asyncio.to_thread(self._claimed)
            if found is None:
                return False
            pipeline_id, run, fence = found
            given = True
            self._slots.fill(run.run_id)
            await self._begin(pipeline_id, run, fence)
            return True
        finally:
            if not given:
                self._slots.give_back()

    @property
    def _leased(self) -> bool:
        """Whether others see this process as living. One that could not renew its lease claims no run until it can."""
        return self._history.lease.age < self._history.lease.seconds

    def _claimed(self) -> tuple[str, Run, int] | None:
        own, now = self._membership.own, self._resources.clock.now()
        return self._history.queue.claim(now, attempt_records.begun, own.labels, only_labelled=own.only_labelled)

    def _note_waiting(self) -> None:
        """Let runs say what they wait for that no living process takes. Blocks."""
        waiting = [run for _, run in self._history.queue.waiting()]
        lacking = {label: self._membership.lacking(label) for label in {run.label for run in waiting}}
        news = {run.run_id: lacking[run.label] for run in waiting if run.waiting_for != lacking[run.label]}
        if news:
            self._history.queue.note_waiting(news)
        for run in waiting:
            if news.get(run.run_id) is not None:
                _log.warning("queue.no_process", run_id=run.run_id, pipeline=run.pipeline, reason=news[run.run_id])

    async def _begin(self, pipeline_id: str, run: Run, fence: int) -> None:
        live = LiveRun.of(self._resources, pipeline_id, run)
        live.fence, live.stored_begin = fence, run
        self._runs.add(live)
        try:
            record = await asyncio.to_thread(self._pipelines.get, run.pipeline, run.revision)
            if record.id != pipeline_id:
                raise missing(run.pipeline)
        except errors.PenstockError as error:
            live.begin(run)
            await self._driver.fail(live, error)
            self._slots.free(run.run_id)
            return
        self._driver.start(live, record)


def note_queued(transaction: Transaction, run: Run) -> None:
    """Part of the transaction that stores a run which waits for some process: its first event."""
    from service.catalog import run_events

    run_events.append(transaction, run.run_id, run_events.state_of(run))


def idle(queue: RunQueue, pipeline_id: str) -> Callable[..., None]:
    """Part of a transaction: no run of the pipeline waits or is going in any process.

    It raises ``errors.Conflict`` (PIPELINE_RUNNING). A process that has the catalog alone finds its runs in memory.
    """

    def check(transaction: Transaction, *_: object) -> None:
        if queue.shared:
            _refuse_second(pipeline_id, transaction)

    return check


def _refuse_second(pipeline_id: str, transaction: Transaction, run: Run | None = None) -> None:
    active = run_queue.active(transaction, pipeline_id, besides=run.run_id if run is not None else None)
    if active is not None:
        raise running(active.pipeline, active)
