"""What becomes of a message after a try, and that the end of a run is what makes messages."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from service.catalog.deliveries import Deliveries, Pending
from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.catalog.store import Store
from service.kit.clock import FixedClock
from service.model.hook import Hook, sign
from service.model.lifecycle import Status
from service.model.run import Run
from service.runs.notifications import outcome

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
URL = "https://example.org/hook"


def test_tries_end_after_a_day_and_their_pauses_grow_up_to_an_hour() -> None:
    pending = Pending(id="evt_1", run_id="run_1", event="failed", hook=Hook(url=URL), body="{}", created=NOON, tries=0)
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
    pending = Pending(id="evt_1", run_id="run_1", event="failed", hook=Hook(url=URL), body="{}", created=NOON, tries=3)
    ended = outcome(pending, None, NOON + timedelta(days=3))
    assert (ended.state, ended.tries, ended.next_try) == ("delivered", 4, None)


def test_the_signature_is_that_of_the_time_and_the_body() -> None:
    assert sign("secret", b'{"a":1}', 1767268800) == (
        "t=1767268800,v1=74202c07965d1b2482dfa68a9aada406bf539d8a99a02132b61f15c19ef518da"
    )


class Catalog:
    def __init__(self, *hooks: dict[str, Any]) -> None:
        store, self.clock = Store(None), FixedClock(NOON)
        self.history, self.deliveries = History(store), Deliveries(store, self.clock)
        self.id = Pipelines(store, self.clock).create("orders", "orders", {"notify": list(hooks)}, None).id

    def run(self, run_id: str, *statuses: Status) -> None:
        run = Run(run_id=run_id, pipeline="orders", revision=1, status="queued", queued_at=NOON)
        self.history.add_run(self.id, run)
        for status in statuses:
            write = self.history.amend_run if run.status == status else self.history.change_run
            run = msgspec.structs.replace(run, status=status, end_time=NOON if status != "running" else None)
            write(run)


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "interrupted"])
def test_each_end_that_a_hook_asks_for_makes_one_message(status: Status) -> None:
    catalog = Catalog({"url": URL}, {"url": f"{URL}/2", "events": [status]}, {"url": f"{URL}/3", "events": ["held"]})
    catalog.run("run_1", "running", status, status)  # stored again when its native table is ready
    found = catalog.deliveries.due(10)
    assert sorted((p.event, p.hook.url, p.run_id) for p in found) == [
        (status, URL, "run_1"), (status, f"{URL}/2", "run_1"),
    ]  # fmt: skip
    body = msgspec.json.decode(found[0].body)
    assert (body["event"], body["id"], body["time"]) == (status, found[0].id, "2026-01-01T12:00:00.000000Z")
    assert body["run"]["run_id"] == "run_1"


def test_what_is_recorded_is_listed_and_due_again_at_its_time() -> None:
    catalog = Catalog({"url": f"{URL}?key=abcdef", "secret": "hunter"})
    catalog.run("run_1", "running", "failed")
    (pending,) = catalog.deliveries.due(10)
    catalog.deliveries.record([outcome(pending, "refused", NOON)])
    (listed,), total = catalog.deliveries.of(catalog.id, limit=10, offset=0)
    assert (total, listed.state, listed.tries, listed.error, listed.url) == (
        1,
        "waiting",
        1,
        "refused",
        f"{URL}?key=***",
    )
    assert listed.next_try == catalog.deliveries.next_try()
    assert catalog.deliveries.due(10) == []
    catalog.clock.advance(10)
    assert [p.tries for p in catalog.deliveries.due(10)] == [1]
    catalog.deliveries.record([outcome(pending, None, catalog.clock.now())])
    catalog.deliveries.sweep()
    assert (catalog.deliveries.next_try(), catalog.deliveries.of(catalog.id, limit=1, offset=0)[1]) == (None, 1)
    catalog.clock.advance(31 * 86400)
    catalog.deliveries.sweep()
    assert catalog.deliveries.of(catalog.id, limit=1, offset=0) == ([], 0)
