"""What becomes of a message after a try, and that the end of a run is what makes messages."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
import pytest

from service.catalog.deliveries import Deliveries, Outcome, Pending
from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.jobs.tasks.task import Notification
from service.kit.clock import FixedClock
from service.model.hook import Hook, sign
from service.model.lifecycle import Status
from service.model.run import Run
from service.runs.notifications import Notifications, outcome
from tests import stores

pytestmark = stores.BOTH

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
URL = "https://example.org/hook"
SENT: dict[str, Any] = {"receiver": "https://example.org", "body": "{}", "created": NOON}


def test_tries_end_after_a_day_and_their_pauses_grow_up_to_an_hour() -> None:
    pending = Pending(id="evt_1", run_id="run_1", event="failed", hook=Hook(url=URL), **SENT, tries=0)
    now, pauses = NOON, []
    while (ended := outcome(pending, "no answer", now)).next_try is not None:
        assert (ended.state, ended.error) == ("waiting", "no answer")
        pauses.append((ended.next_try - now).total_seconds())
        now, pending = ended.next_try, msgspec.structs.replace(pending, tries=ended.tries)
    assert (ended.state, now) == ("failed", NOON + timedelta(hours=24))
    assert 7.5 <= pauses[0] <= 10
    assert all(later > earlier for earlier, later in itertools.pairwise(pauses[:8]))
    assert max(pauses) <= 3600
    assert 30 <= len(pauses) <= 45


def test_a_message_that_is_accepted_is_done() -> None:
    pending = Pending(id="evt_1", run_id="run_1", event="failed", hook=Hook(url=URL), **SENT, tries=3)
    ended = outcome(pending, None, NOON + timedelta(days=3))
    assert (ended.state, ended.tries, ended.next_try) == ("delivered", 4, None)


def test_the_signature_is_that_of_the_time_and_the_body() -> None:
    assert sign("secret", b'{"a":1}', 1767268800) == (
        "t=1767268800,v1=74202c07965d1b2482dfa68a9aada406bf539d8a99a02132b61f15c19ef518da"
    )


class Catalog:
    def __init__(self, *hooks: dict[str, Any]) -> None:
        self.store, self.clock = stores.new(), FixedClock(NOON)
        self.history, self.deliveries = History(self.store), Deliveries(self.store, self.clock)
        self.id = Pipelines(self.store, self.clock).create("orders", "orders", {"notify": list(hooks)}, None).id

    def due(self, *without: str) -> list[Pending]:
        return self.deliveries.due(self.clock.now(), without, each=10, limit=100)

    def run(self, run_id: str, *statuses: Status) -> None:
        run = Run(run_id=run_id, pipeline="orders", revision=1, status="queued", queued_at=NOON)
        self.history.add_run(self.id, run)
        for status in statuses:
            again = run.status == status
            run = msgspec.structs.replace(run, status=status, end_time=NOON if status != "running" else None)
            if again:
                self.history.amend_run(self.id, run)
            else:
                self.history.change_run(run)


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "interrupted"])
def test_each_end_that_a_hook_asks_for_makes_one_message(status: Status) -> None:
    catalog = Catalog({"url": URL}, {"url": f"{URL}/2", "events": [status]}, {"url": f"{URL}/3", "events": ["held"]})
    catalog.run("run_1", "running", status, status)  # stored again when its native table is ready
    found = catalog.due()
    assert sorted((p.event, p.hook.url, p.run_id) for p in found) == [
        (status, URL, "run_1"), (status, f"{URL}/2", "run_1"),
    ]  # fmt: skip
    body = msgspec.json.decode(found[0].body)
    assert (body["event"], body["id"], body["time"]) == (status, found[0].id, "2026-01-01T12:00:00.000000Z")
    assert body["run"]["run_id"] == "run_1"


def test_what_is_recorded_is_listed_and_due_again_at_its_time() -> None:
    catalog = Catalog({"url": f"{URL}?key=abcdef", "secret": "hunter"})
    catalog.run("run_1", "running", "failed")
    (pending,) = catalog.due()
    catalog.deliveries.record([outcome(pending, "refused", NOON)])
    (listed,), total = catalog.deliveries.of(catalog.id, limit=10, offset=0)
    assert (total, listed.state, listed.tries, listed.error, listed.url) == (
        1,
        "waiting",
        1,
        "refused",
        f"{URL}?key=***",
    )
    assert catalog.deliveries.outlook(NOON) == (False, listed.next_try)
    assert catalog.due() == []
    catalog.clock.advance(10)
    assert [p.tries for p in catalog.due()] == [1]
    catalog.deliveries.record([outcome(pending, None, catalog.clock.now())])
    catalog.deliveries.sweep()
    assert (catalog.deliveries.outlook(NOON), catalog.deliveries.of(catalog.id, limit=1, offset=0)[1]) == (
        (False, None),
        1,
    )
    catalog.clock.advance(31 * 86400)
    catalog.deliveries.sweep()
    assert catalog.deliveries.of(catalog.id, limit=1, offset=0) == ([], 0)


def test_it_is_known_from_memory_that_no_message_waits(catalog_kind: str) -> None:
    in_memory = catalog_kind == "duckdb"  # others may write to another database
    catalog = Catalog({"url": URL, "events": ["failed"]})
    assert not catalog.deliveries.none_waits, "nobody has looked"
    assert not catalog.deliveries.waits()
    assert catalog.deliveries.none_waits == in_memory
    catalog.run("run_1", "running", "completed")
    assert catalog.deliveries.none_waits == in_memory
    catalog.run("run_2", "running", "failed")
    assert not catalog.deliveries.none_waits
    assert catalog.deliveries.waits()
    assert not catalog.deliveries.none_waits
    catalog.deliveries.record([outcome(pending, None, NOON) for pending in catalog.due()])
    assert not catalog.deliveries.waits()
    assert catalog.deliveries.none_waits == in_memory


def test_each_receiver_has_its_share_of_what_is_due() -> None:
    """A receiver is a scheme and host, whatever the path; what waits longest comes first."""
    busy = [{"url": f"{URL}/{place}"} for place in range(3)]
    catalog = Catalog(*busy, {"url": "HTTPS://Other.example/a?b"}, {"url": "https://${HOST}/x"})
    catalog.run("run_1", "running", "failed")
    due = catalog.deliveries.due(NOON, [], each=2, limit=100)
    receivers = sorted(pending.receiver for pending in due)
    assert receivers == ["https://${host}", *["https://example.org"] * 2, "https://other.example"]
    assert len(catalog.due("https://example.org")) == 2
    assert len(catalog.deliveries.due(NOON, [], each=2, limit=3)) == 3
    assert catalog.deliveries.outlook(NOON) == (True, None)
    assert catalog.deliveries.outlook(NOON - timedelta(seconds=1)) == (False, NOON)


class Receivers:
    """A supervisor and a task runner: receivers named ``slow…`` answer when ``answering`` is set, others at once."""

    def __init__(self) -> None:
        self.on_freed: list[Callable[[], None]] = []
        self.answering = asyncio.Event()
        self.busy: set[str] = set()
        self.accepted: list[str] = []
        self._news = asyncio.Condition()

    async def ask(self, task: Notification, **_: Any) -> bytes:
        (host,) = {urlsplit(message.url).netloc for message in task.messages}
        assert host not in self.busy
        self.busy.add(host)
        await self._tell()
        if host.startswith("slow"):
            await self.answering.wait()
        self.busy.remove(host)
        self.accepted += [message.url for message in task.messages]
        await self._tell()
        return msgspec.json.encode(dict.fromkeys(message.id for message in task.messages))

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(what)


def test_slow_receivers_delay_no_others() -> None:
    """One that is slow for the first time holds up its own messages; later all slow ones have half of the places."""
    slow = [f"https://slow{place}.example/hook" for place in range(7)]
    fast = [f"https://fast{place}.example/hook" for place in range(10)]
    later = [f"https://later{place}.example/hook" for place in range(10)]

    async def send() -> None:
        receivers = Receivers()
        events: dict[str, list[str]] = {"completed": slow, "failed": fast, "cancelled": later}
        catalog = Catalog(*({"url": url, "events": [event]} for event, urls in events.items() for url in urls))
        both = cast(Any, receivers)
        notifications = Notifications(both, both, catalog.deliveries, catalog.clock)
        await notifications.start()

        def end(run_id: str, status: Status) -> None:
            catalog.run(run_id, "running", status)
            for freed in receivers.on_freed:
                freed()

        end("run_1", "completed")
        await receivers.until(lambda: len(receivers.busy) == 7)
        end("run_2", "failed")  # while all seven are waited for
        await receivers.until(lambda: sorted(receivers.accepted) == fast)
        catalog.clock.advance(60)
        receivers.answering.set()
        await receivers.until(lambda: len(receivers.accepted) == 17)
        receivers.answering.clear()
        end("run_3", "completed")
        await receivers.until(lambda: len(receivers.busy) == 4)
        end("run_4", "cancelled")
        await receivers.until(lambda: len(receivers.accepted) == 27)
        assert len(receivers.busy) == 4
        await notifications.close()

    asyncio.run(send())


class Dozing(FixedClock):
    """``dozes`` gets the end of each sleep when it begins."""

    def __init__(self, at: datetime) -> None:
        super().__init__(at)
        self.dozes: asyncio.Queue[datetime] = asyncio.Queue()

    async def sleep_until(self, moment: datetime) -> None:
        self.dozes.put_nowait(moment)
        await super().sleep_until(moment)


class Unwritable(Deliveries):
    """The outcomes of the first try cannot be written."""

    tries = 0

    def record(self, outcomes: Iterable[Outcome]) -> None:
        self.tries += 1
        if self.tries == 1:
            raise OSError("the disk is full")
        super().record(outcomes)


def test_a_message_whose_outcome_cannot_be_written_is_sent_again_after_a_while() -> None:
    async def send() -> None:
        receivers, catalog, clock = Receivers(), Catalog({"url": URL}), Dozing(NOON)
        catalog.run("run_1", "running", "failed")
        both = cast(Any, receivers)
        notifications = Notifications(both, both, Unwritable(catalog.store, clock), clock)
        await notifications.start()
        async with asyncio.timeout(10):
            ends = [await clock.dozes.get() for _ in range(2)]  # of the loop and of the receiver
        assert (ends, receivers.accepted) == ([NOON + timedelta(minutes=1)] * 2, [URL])
        clock.advance(60)
        await receivers.until(lambda: receivers.accepted == [URL, URL])
        await notifications.close()

    asyncio.run(send())
