"""Notifications: messages about ended runs, sent to hooks by children until each is accepted, for at most a day.

The service reads messages from the catalog and writes there what became of them; it opens no connection and sees no
answer. The messages for one receiver go to one child, side by side, and receivers do not wait for each other: those
that were slow have at most half of the places. No hook holds up a run or a request.
"""

from __future__ import annotations

import asyncio
import random
from datetime import datetime, timedelta

import msgspec
import structlog

from service.catalog.deliveries import Deliveries, Outcome, Pending
from service.jobs.tasks.task import Message, Notification
from service.kit import errors
from service.kit.clock import Clock, rest_until
from service.runs import task_runner
from service.runs.supervisor import Supervisor
from service.runs.task_runner import TaskRunner

_PATIENCE = timedelta(hours=24)
_FIRST_DELAY, _LONGEST_DELAY = 10.0, 3600.0  # seconds between two tries, doubled after each
_BATCH = 8  # messages for one receiver
_BATCH_SECONDS = 30.0
_SLOW_SECONDS = 5.0  # a receiver whose last batch took longer is slow
_MOST_SLOW = task_runner.MOST_BATCHES // 2
_LONGEST_SLEEP = timedelta(seconds=60)
_log = structlog.get_logger("penstock.notify")


class Notifications:
    """The messages of this process. Its methods belong to the event loop."""

    def __init__(self, supervisor: Supervisor, tasks: TaskRunner, deliveries: Deliveries, clock: Clock) -> None:
        self._supervisor, self._tasks, self._deliveries, self._clock = supervisor, tasks, deliveries, clock
        self._sending: dict[str, asyncio.Task[None]] = {}  # by receiver
        self._slow: set[str] = set()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send, first what an earlier process left."""
        self._supervisor.on_freed.append(self._woken.set)
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop; the next start sends what is left."""
        if self._task is not None:
            tasks = [self._task, *self._sending.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            now = self._clock.now()
            wake = now + _LONGEST_SLEEP
            try:
                if self._deliveries.none_waits:
                    await rest_until(self._clock, wake, self._woken)
                    continue
                is_due, later = await asyncio.to_thread(self._deliveries.outlook, now)
                wake = min(wake, later) if later is not None else wake
                for receiver, batch in (await asyncio.to_thread(self._next, now)).items() if is_due else ():
                    self._sending[receiver] = asyncio.create_task(self._serve(receiver, batch))
            except Exception as error:  # the catalog cannot be read now
                _log.error("notify.stopped", reason=str(error), exception=type(error).__name__)
            await rest_until(self._clock, wake, self._woken)

    def _next(self, now: datetime) -> dict[str, list[Pending]]:
        """The messages to send now, by receiver: of as many receivers as have a place."""
        places = task_runner.MOST_BATCHES - len(self._sending)
        slow_places = _MOST_SLOW - len(self._slow & self._sending.keys())
        chosen: dict[str, list[Pending]] = {}
        if places > 0:
            skipped = self._sending.keys() | (self._slow if slow_places <= 0 else set())
            for pending in self._deliveries.due(now, skipped, each=_BATCH, limit=_BATCH * places):
                if pending.receiver not in chosen:
                    is_slow = pending.receiver in self._slow
                    if len(chosen) == places or (is_slow and len(self._slow & chosen.keys()) >= slow_places):
                        continue
                chosen.setdefault(pending.receiver, []).append(pending)
        return chosen

    async def _serve(self, receiver: str, batch: list[Pending]) -> None:
        """Send the messages for one receiver."""
        began = self._clock.monotonic()
        try:
            await self._send(batch)
        except Exception as error:  # the catalog cannot be written now: the messages are sent again after a while
            _log.error("notify.stopped", reason=str(error), exception=type(error).__name__)
            await self._clock.sleep_until(self._clock.now() + _LONGEST_SLEEP)
        finally:
            is_slow = self._clock.monotonic() - began > _SLOW_SECONDS
            (self._slow.add if is_slow else self._slow.discard)(receiver)
            del self._sending[receiver]
            self._woken.set()

    async def _send(self, batch: list[Pending]) -> None:
        at = int(self._clock.now().timestamp())
        messages = [Message(id=p.id, url=p.hook.url, secret=p.hook.secret, body=p.body, at=at) for p in batch]
        named = [[p.hook.url, p.hook.secret] for p in batch]  # their placeholders are the secrets that the child gets
        try:
            answer = await self._tasks.ask(
                Notification(messages=messages), seconds=_BATCH_SECONDS, document=named, network=True
            )
            found = msgspec.json.decode(answer, type=dict[str, str | None])
        except errors.PenstockError as error:
            found = dict.fromkeys((p.id for p in batch), error.message)
        outcomes = [outcome(pending, found[pending.id], self._clock.now()) for pending in batch]
        await asyncio.to_thread(self._deliveries.record, outcomes)
        for pending, ended in zip(batch, outcomes, strict=True):
            _note(pending, ended)


def outcome(pending: Pending, error: str | None, now: datetime) -> Outcome:
    """What becomes of a message after a try: it is tried again with growing pauses, until 24 hours have passed."""
    tries, end = pending.tries + 1, pending.created + _PATIENCE
    if error is None or now >= end:
        return Outcome(id=pending.id, tries=tries, next_try=None, error=error)
    pause = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(pending.tries, 20))
    pause *= random.uniform(0.75, 1.0)  # noqa: S311 - it spreads load, it is not for security
    return Outcome(id=pending.id, tries=tries, next_try=min(now + timedelta(seconds=pause), end), error=error)


def _note(pending: Pending, ended: Outcome) -> None:
    fields = {"run_id": pending.run_id, "delivery": pending.id, "notified": pending.event, "tries": ended.tries}
    if ended.state == "delivered":
        _log.info("notify.delivered", **fields)
    elif ended.state == "waiting":
        _log.warning("notify.not_delivered", **fields, next_try=str(ended.next_try), reason=ended.error)
    else:
        _log.error("notify.given_up", **fields, reason=ended.error)
