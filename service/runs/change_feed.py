"""Who follows what changes in the installation.

While somebody follows, each commit wakes one task, which looks once for all commits and followers of that time. Of each
pipeline only the newest change is kept, under the next number: so a follower has nothing but a position, and one that
is slow, or comes back, gets each pipeline that changed once. A position is of one process (its ``epoch``); that of
another one, or from before the first look, leads on only if nothing changed since it was given (its ``stamp``).
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import msgspec
import structlog

from service.catalog import changes
from service.catalog.changes import Audience, Change, Part, State
from service.catalog.store import Store
from service.kit import errors
from service.telemetry import log_context

_PAUSE, _LONGEST_PAUSE = 0.25, 2.0
"""Seconds between two looks, in which commits gather: the more follow, the longer."""
_SENDS = 500
"""Answers a second that all followers get together, about."""
_GATHER = 0.02
_AGAIN = 1.0
"""Seconds after which it looks again when the catalog did not answer."""
_MOST = 10_000
"""Pipelines whose changes are kept; then those who come back read everything again."""
_POSITION = re.compile(r"([0-9a-f]{8})-(\d{1,15})-(\d{1,20})")
_log = structlog.get_logger("penstock.changes")


class Position(NamedTuple):
    """A place in the changes, as ``Last-Event-ID`` has it."""

    epoch: str
    number: int
    stamp: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}-{self.stamp}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Raises ``errors.Invalid``."""
        found = _POSITION.fullmatch(text.strip())
        if found is None:
            raise errors.Invalid("Last-Event-ID: the id of an event of this route", field="Last-Event-ID")
        return cls(found[1], int(found[2]), int(found[3]))


class Batch(NamedTuple):
    """Changes up to ``position``; ``missed`` is whether there may be earlier ones that nobody knows any more.

    ``audiences`` are those who saw each of these pipelines at some time since the batch before.
    """

    position: Position
    changes: Sequence[Change]
    missed: bool = False
    audiences: Mapping[str, Collection[Audience]] = {}


class _Newest(NamedTuple):
    """The newest change of a pipeline, and the number of the last change of each of its parts and to each audience."""

    parts: dict[Part, int]
    change: Change
    audiences: dict[Audience, int]

    def after(self, number: int) -> Change | None:
        """What changed since that number."""
        changed = [part for part, since in self.parts.items() if since > number]
        return msgspec.structs.replace(self.change, changed=changed) if changed else None

    def seen_by(self, number: int) -> list[Audience]:
        """Who saw the pipeline since that number."""
        return [audience for audience, since in self.audiences.items() if since > number]


class ChangeFeed:
    """The changes that followers of this process get. Belongs to the event loop, except ``position``.

    ``on_changed`` are called in the loop when another process may have changed the catalog.
    """

    def __init__(self, store: Store, on_changed: list[Callable[[], None]]) -> None:
        self._store = store
        self._on_changed = on_changed
        self._followers = 0
        self._epoch, self._number = "00000000", 0
        self._newest: dict[str, _Newest] = {}
        self._forgotten = 0  # changes with a number up to this one are not in ``_newest`` any more
        self._state: State | None = None
        self._first: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._woken, self._changed = asyncio.Event(), asyncio.Event()
        self._closed = False

    def position(self) -> Position:
        """The present one: what is read afterwards has every change up to it. Blocks."""
        return Position(self._epoch, self._number, changes.stamp(self._store))

    def close(self) -> None:
        """End what follows, since the service stops."""
        self._closed = True
        self._show()

    async def follow(self, after: Position | None, quiet_seconds: float) -> AsyncGenerator[Batch, None]:
        """First the position that changes follow, then the changes; an empty batch after each quiet time.

        Raises ``errors.Unavailable`` if the service stops or the catalog does not answer, before the first batch.
        """
        if self._closed:
            raise errors.Unavailable("the service is stopping", retry_after=2)
        self._followers += 1
        try:
            await asyncio.shield(self._begin())
            number, missed = self._resumed(after)
            yield Batch(self._here, (), missed)
            while not self._closed:
                changed = self._changed  # before the look, so that nothing is missed
                if number < self._forgotten:
                    number = self._number
                    yield Batch(self._here, (), missed=True)
                elif number < self._number:
                    since, number = number, self._number
                    yield self._since(since)
                else:
                    try:
                        async with asyncio.timeout(quiet_seconds):
                            await changed.wait()
                    except TimeoutError:
                        yield Batch(self._here, ())
        finally:
            self._followers -= 1
            if not self._followers and self._task is not None:
                self._task.cancel()
                self._task = self._first = None

    @property
    def _here(self) -> Position:
        assert self._state is not None
        return Position(self._epoch, self._number, self._state.stamp)

    def _since(self, number: int) -> Batch:
        found = [change for one in self._newest.values() if (change := one.after(number)) is not None]
        audiences = {change.pipeline: self._newest[change.pipeline].seen_by(number) for change in found}
        return Batch(self._here, found, audiences=audiences)

    def _resumed(self, after: Position | None) -> tuple[int, bool]:
        """The number after which a follower goes on, and whether earlier changes are lost to it."""
        assert self._state is not None
        if after is not None and after.epoch == self._epoch and self._forgotten <= after.number <= self._number:
            return after.number, False
        return self._number, after is None or after.stamp != self._state.stamp

    def _begin(self) -> asyncio.Future[None]:
        """The first look; nobody may have looked since the last follower went."""
        if self._first is None or (self._first.done() and self._first.exception() is not None):
            self._first = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._run(self._first), context=log_context.nobody())
        return self._first

    async def _run(self, first: asyncio.Future[None]) -> None:
        with self._woken_by_commits():
            try:
                self._note(await asyncio.to_thread(self._look))
            except Exception as error:  # the followers answer it
                return first.set_exception(error)
            first.set_result(None)
            while True:
                await asyncio.sleep(min(_LONGEST_PAUSE, max(_PAUSE, self._followers / _SENDS)))
                await self._woken.wait()
                await asyncio.sleep(_GATHER)
                self._woken.clear()
                try:
                    self._note(await asyncio.to_thread(self._look))
                except Exception as error:  # the catalog does not answer now
                    _log.warning("changes.not_read", reason=str(error), exception=type(error).__name__)
                    self._woken.set()
                    await asyncio.sleep(_AGAIN)

    def _look(self) -> State:
        """The present state; the one before if nothing was written. Blocks."""
        if self._state is not None and changes.stamp(self._store) == self._state.stamp:
            return self._state
        return changes.state(self._store)

    def _note(self, state: State) -> None:
        if self._state is None:
            self._epoch = secrets.token_hex(4)
        before = self._state or state
        found = changes.between(before, state)
        self._state = state
        for change in found:
            self._number += 1
            parts, _, audiences = self._newest.get(change.pipeline, _Newest({}, change, {}))
            seen_by = changes.audiences(before, state, change.pipeline)
            self._newest[change.pipeline] = _Newest(
                {**parts, **dict.fromkeys(change.changed, self._number)}, change,
                {**audiences, **dict.fromkeys(seen_by, self._number)},
            )  # fmt: skip
        if len(self._newest) > _MOST:
            self._newest, self._forgotten = {}, self._number
        if found:
            self._show()

    def _show(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @contextmanager
    def _woken_by_commits(self) -> Iterator[None]:
        if self._store.shared:  # the look at what others did, which is there already, finds the own commits, too
            self._on_changed.append(self._woken.set)
            try:
                yield
            finally:
                self._on_changed.remove(self._woken.set)
            return
        loop = asyncio.get_running_loop()

        def committed(_: str) -> None:
            with suppress(RuntimeError):  # the loop is closed: the service has stopped
                loop.call_soon_threadsafe(self._woken.set)

        with self._store.hints(committed):
            yield
