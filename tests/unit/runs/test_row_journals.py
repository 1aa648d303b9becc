"""Followers of runs whose events are rows get each event once, in order, in any process, also if the catalog fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from pathlib import Path

import msgspec
import pytest

from service.catalog.history import History
from service.catalog.leases import Lease
from service.catalog.run_events import Addition, RunEvents
from service.files.event_journal import Event
from service.files.layout import Layout
from service.kit.clock import FixedClock
from service.model.run import Run
from service.runs import attempt_records, event_writer, row_journals, shared_runs
from service.runs.row_journals import RowJournals
from tests import stores

LONG = 60.0
PATIENCE = 30.0


class Failing(RunEvents):
    """Rows that cannot be written for the first few tries."""

    failures = 0

    def add(self, additions: Collection[Addition]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the catalog does not answer")
        super().add(additions)


class Installation:
    """A run, the process that works on it, and another process."""

    def __init__(self, clock: FixedClock, tmp_path: Path) -> None:
        store = stores.new()
        self.clock = clock
        self.history = History(store, lease=Lease(store, clock, 15))
        run = Run(run_id="run_0", pipeline="p", revision=1, status="queued", queued_at=clock.now())
        self.history.add_run("id", run, [shared_runs.note_queued])
        found = self.history.queue.claim(clock.now(), attempt_records.begun)
        assert found is not None
        self.run, self.fence = found[1], found[2]
        self.rows = Failing(store)
        layout = Layout(tmp_path)
        self.owner = RowJournals(layout, self.rows, 15, clock)
        self.other = RowJournals(layout, RunEvents(store), 15, clock)
        self.journal = self.owner.journal("run_0", lambda: self.fence)

    def log(self, *numbers: int) -> None:
        for number in numbers:
            assert self.journal.append("log", b'{"n":%d}' % number) is None  # it has its id when it is written

    def end(self) -> None:
        ended = msgspec.structs.replace(self.run, status="completed", end_time=self.clock.now())
        if self.history.status("run_0") == "running":
            self.history.change_run(ended, self.fence)
        self.journal.append("status", b"{}")
        self.journal.append("end", b"{}")

    async def close(self) -> None:
        await self.owner.close()
        await self.other.close()


@pytest.fixture
def there(clock: FixedClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.setattr(event_writer, "_AGAIN", 0.01)
    monkeypatch.setattr(row_journals, "_LOOK", 0.01)
    return Installation(clock, tmp_path)


async def heard(batches: AsyncGenerator[Sequence[Event], None]) -> list[Event]:
    async with asyncio.timeout(PATIENCE):
        return [event async for batch in batches for event in batch]


def test_every_process_shows_the_same_events_to_all_followers(there: Installation) -> None:
    async def work() -> None:
        following = [
            asyncio.create_task(heard(journals.follow(there.run, None, 0, LONG)))
            for journals in (there.owner, there.other, there.other)
        ]
        there.log(*range(3))
        await there.owner.flush(there.run)
        there.log(*range(3, 1300))  # more than one transaction, one page, and what memory keeps
        there.end()
        found = await asyncio.gather(*following)
        assert [event.id for event in found[0]] == list(range(1, 1304))
        assert found[0] == found[1] == found[2]
        assert await heard(there.other.follow(there.run, None, 1299, LONG)) == found[0][1299:]
        assert await heard(there.other.follow(there.run, None, 1303, LONG)) == []
        assert not there.other._tails
        there.log(1300)  # as a native table that is loaded afterwards
        await there.close()
        lines = [line for part in there.other.log_lines("run_0") for line in part]
        assert lines == [b'{"n":%d}' % number for number in range(1301)]

    asyncio.run(work())


def test_events_wait_for_a_catalog_that_does_not_answer(there: Installation) -> None:
    async def work() -> None:
        there.rows.failures = 5
        following = asyncio.create_task(heard(there.owner.follow(there.run, None, 0, LONG)))
        there.log(*range(10))
        there.end()
        assert [event.kind for event in await following] == ["status", *["log"] * 10, "status", "end"]
        await there.close()

    asyncio.run(work())


def test_what_has_no_room_meanwhile_is_counted(there: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        monkeypatch.setattr(event_writer, "_MOST_WAITING", 20)
        monkeypatch.setattr("service.files.event_journal._RESERVE", 20)
        there.rows.failures = 3
        there.log(*range(10))
        there.end()
        found = await heard(there.owner.follow(there.run, None, 0, LONG))
        lines = [msgspec.json.decode(event.data) for event in found if event.kind == "log"]
        assert [line.get("n") for line in lines] == [0, 1, 2, None]
        assert (lines[-1]["event"], lines[-1]["lines"]) == ("log.incomplete", 7)
        assert [event.kind for event in found[-2:]] == ["status", "end"]
        await there.close()

    asyncio.run(work())


def test_a_follower_ends_a_run_whose_process_was_killed_before_it_did(there: Installation) -> None:
    async def work() -> None:
        ended = msgspec.structs.replace(there.run, status="completed", end_time=there.clock.now())
        there.history.change_run(ended, there.fence)
        following = there.other.follow(ended, None, 0, 0.1)
        assert [event.id for event in await anext(following)] == [1]
        assert await anext(following) == ()  # its process may still write
        there.clock.advance(16)
        assert [(event.id, event.kind) for event in await heard(following)] == [(2, "status"), (3, "end")]
        await there.close()

    asyncio.run(work())


def test_a_process_that_stops_ends_the_streams_of_runs_that_go_on_elsewhere(there: Installation) -> None:
    async def work() -> None:
        following = there.other.follow(there.run, None, 0, LONG)
        assert [event.id for event in await anext(following)] == [1]
        await there.other.close()
        assert await heard(following) == []
        await there.close()

    asyncio.run(work())


def test_the_stream_of_a_run_that_is_deleted_ends(there: Installation) -> None:
    async def work() -> None:
        following = there.other.follow(there.run, None, 0, LONG)
        await anext(following)
        there.rows._store.execute("DELETE FROM runs")
        assert await heard(following) == []
        await there.close()

    asyncio.run(work())


def test_the_log_of_a_run_that_ended_elsewhere_waits_for_its_last_lines(there: Installation) -> None:
    async def work() -> None:
        ended = msgspec.structs.replace(there.run, status="completed", end_time=there.clock.now())
        there.history.change_run(ended, there.fence)
        waiting = asyncio.create_task(there.other.flush(ended))
        there.log(1)
        there.end()
        await waiting
        assert [line for part in there.other.log_lines("run_0") for line in part] == [b'{"n":1}']
        there.clock.advance(16)
        await there.other.flush(ended)
        await there.close()

    asyncio.run(work())
