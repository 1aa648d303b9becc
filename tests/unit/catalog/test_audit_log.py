"""The audit log: events are on disk when they should be, in chains that the catalog knows, on a full disk too."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.catalog import audit_chain, audit_log
from service.catalog.audit_chain import AuditChain
from service.catalog.audit_heads import AuditHeads
from service.catalog.audit_log import AuditLog
from service.catalog.duckdb_store import DuckDBStore
from service.catalog.store import Store
from service.files import audit_file
from service.files.audit_check import faults
from service.files.reserve import Reserve
from service.kit import errors
from service.kit.clock import FixedClock
from service.model.audit_event import AuditEvent
from tests import stores

DAY = date(2026, 1, 1)


class Disk:
    """What syncs files: it counts, and fails or waits when told."""

    def __init__(self) -> None:
        self.syncs = 0
        self.failure: OSError | None = None
        self.free = threading.Event()
        self.free.set()
        self.begun = threading.Event()

    def sync(self, file: int) -> None:
        self.begun.set()
        assert self.free.wait(30)
        self.syncs += 1
        if self.failure is not None:
            raise self.failure
        os.fdatasync(file)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def store() -> Iterator[Store]:
    store = stores.new()
    yield store
    store.close()


@pytest.fixture
def opened(
    tmp_path: Path, store: Store, clock: FixedClock, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., AuditLog]]:
    """Makes logs, which try again what failed only when the next event asks for it."""
    monkeypatch.setattr(audit_log, "AGAIN_SECONDS", 60.0)
    logs = []

    def opened(**values: Any) -> AuditLog:
        log = AuditLog(tmp_path / "audit", values.pop("store", store), clock, sync=disk.sync, **values)
        log.start()
        logs.append(log)
        return log

    yield opened
    disk.failure = None
    disk.free.set()
    for log in logs:
        log.close()


def record(log: AuditLog, event: AuditEvent) -> None:
    asyncio.run(log.record(event))


def lines(log: AuditLog, day: date = DAY) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in audit_file.path(log.folder, day).read_bytes().splitlines()]


def whole(log: AuditLog, store: Store) -> bool:
    return not [*faults(log.folder, AuditHeads(store).all())]


def test_an_event_is_on_disk_when_it_is_recorded(opened: Callable[..., AuditLog], store: Store, disk: Disk) -> None:
    log = opened()
    record(log, log.event("user.create", actor="ann", address="10.0.0.1", object="bob", request_id="req_1"))
    assert disk.syncs == 1
    (found,) = lines(log)
    assert {k: v for k, v in found.items() if k not in ("chain", "hash")} == {
        "n": 1, "time": "2026-01-01T00:00:00Z", "action": "user.create", "actor": "ann", "address": "10.0.0.1",
        "outcome": "ok", "object": "bob", "request_id": "req_1",
    }  # fmt: skip
    assert whole(log, store)
    assert audit_file.path(log.folder, DAY).stat().st_mode & 0o777 == 0o600


def test_events_that_wait_share_a_flush(opened: Callable[..., AuditLog], store: Store, disk: Disk) -> None:
    log = opened()

    async def several() -> None:
        disk.free.clear()
        first = asyncio.create_task(log.record(log.event("a")))
        await asyncio.to_thread(disk.begun.wait)
        others = [asyncio.create_task(log.record(log.event("b"))) for _ in range(50)]
        await asyncio.sleep(0)
        disk.free.set()
        await asyncio.gather(first, *others)

    asyncio.run(several())
    assert (disk.syncs, len(lines(log))) == (2, 51)
    assert whole(log, store)


def test_submitted_events_are_written_without_anybody_who_waits(
    opened: Callable[..., AuditLog], disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "DELAY_SECONDS", 0.01)
    log = opened()
    log.submit(log.event("query.run"))
    assert disk.begun.wait(30)
    log.close()
    assert [line["action"] for line in lines(log)] == ["query.run"]


def test_order_is_kept(opened: Callable[..., AuditLog]) -> None:
    log = opened()
    for number in range(20):
        log.submit(log.event(f"a{number}"))
    asyncio.run(log.flush())
    assert [line["action"] for line in lines(log)] == [f"a{number}" for number in range(20)]


def test_each_day_has_a_file(opened: Callable[..., AuditLog], store: Store, clock: FixedClock) -> None:
    log = opened()
    clock.set(datetime(2026, 1, 1, 23, 59, 59, 999_999, tzinfo=UTC))
    log.submit(log.event("late"))
    clock.set(datetime(2026, 1, 2, tzinfo=UTC))
    record(log, log.event("early"))
    assert [[line["action"] for line in lines(log, day)] for day in audit_file.days(log.folder)] == [
        ["late"],
        ["early"],
    ]
    assert [(h.day.day, h.lines, h.closed) for h in AuditHeads(store).all()] == [(1, 1, True), (2, 0, False)]
    clock.set(datetime(2026, 1, 1, 12, tzinfo=UTC))  # somebody sets the clock back
    record(log, log.event("again"))
    log.close()
    assert [(h.day.day, h.lines, h.closed) for h in AuditHeads(store).all()] == [
        (1, 1, True),
        (1, 1, True),
        (2, 1, True),
    ]
    assert whole(log, store)


def test_old_files_are_dropped_and_their_heads_kept(
    opened: Callable[..., AuditLog], store: Store, clock: FixedClock
) -> None:
    log = opened(days=2)
    for _ in range(5):
        record(log, log.event("a"))
        clock.advance(86400)
    asyncio.run(log.flush())
    assert [day.day for day in audit_file.days(log.folder)] == [3, 4, 5]
    assert [(h.day.day, h.dropped) for h in AuditHeads(store).all()] == [
        (1, True), (2, True), (3, False), (4, False), (5, False),
    ]  # fmt: skip
    assert [(line["action"], line.get("object")) for line in lines(log, date(2026, 1, 5))] == [
        ("a", None), ("audit.dropped", "2026-01-02.ndjson"),
    ]  # fmt: skip
    assert whole(log, store)
    log.close()
    clock.advance(86400 * 30)
    opened(days=2).close()
    assert audit_file.days(log.folder)[:-1] == []


def test_processes_append_chains(opened: Callable[..., AuditLog], store: Store) -> None:
    for number in range(3):
        log = opened()
        for _ in range(number):
            record(log, log.event("a"))
        log.close()
    assert [(h.lines, h.closed) for h in AuditHeads(store).all()] == [(1, True), (2, True)]
    assert [line["n"] for line in lines(log)] == [1, 1, 2]
    assert whole(log, store)


def test_a_kill_in_the_middle_of_a_line(opened: Callable[..., AuditLog], store: Store) -> None:
    log = opened()
    for _ in range(3):
        record(log, log.event("a"))
    file = audit_file.path(log.folder, DAY)
    file.write_bytes(file.read_bytes()[:-30])  # the process is gone: its head says that there are no lines yet
    assert whole(log, store)
    after = opened()
    record(after, after.event("b"))
    assert [line["action"] for line in lines(log)] == ["a", "a", "audit.mended", "b"]
    assert lines(log)[2]["details"]["bytes"] > 100
    assert whole(log, store)


def test_the_head_follows_and_closes(
    opened: Callable[..., AuditLog], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_chain, "HEAD_SECONDS", 0)
    log = opened()
    record(log, log.event("a"))
    record(log, log.event("a"))
    record(log, log.event("a"))
    assert AuditHeads(store).all()[0].lines >= 2  # that of the last write may follow
    log.close()
    (head,) = AuditHeads(store).all()
    assert (head.lines, head.closed, head.end) == (3, True, audit_file.path(log.folder, DAY).stat().st_size)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_what_the_disk_does_not_take_is_tried_again(
    opened: Callable[..., AuditLog], store: Store, disk: Disk, number: int
) -> None:
    log = opened()
    record(log, log.event("before"))
    disk.failure = OSError(number, os.strerror(number))
    with pytest.raises(errors.Unavailable, match="recorded later") as caught:
        record(log, log.event("full"))
    assert caught.value.error_code == "STORAGE_FULL"
    assert (len(lines(log)), log.broken is None) == (1, False)
    with pytest.raises(errors.Unavailable, match="nothing was done"):
        log.admit()
    with pytest.raises(errors.Unavailable):
        asyncio.run(log.flush())
    disk.failure = None
    record(log, log.event("after"))
    assert [line["action"] for line in lines(log)] == ["before", "full", "after"]
    log.admit()
    assert whole(log, store)


def test_events_beyond_what_is_kept_are_counted(
    opened: Callable[..., AuditLog], store: Store, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "MOST_WAITING", 3)
    log = opened()
    disk.failure = OSError(errno.EIO, "broken")
    with pytest.raises(errors.Unavailable):
        record(log, log.event("first"))
    for _ in range(5):
        log.submit(log.event("query"))
    disk.failure = None
    record(log, log.event("last"))
    disk.begun.clear()
    disk.free.clear()
    flushing = threading.Thread(target=lambda: asyncio.run(log.flush()))
    flushing.start()
    assert disk.begun.wait(30), "the count is written before the flush is over"
    flushing.join(0.05)
    assert flushing.is_alive()
    disk.free.set()
    flushing.join()
    found = lines(log)
    kept = sum(line["action"] == "query" for line in found)
    assert kept in (2, 3), "one more where the first is being tried again meanwhile"
    assert [line["action"] for line in found] == ["first", *["query"] * kept, "last", "audit.lost"]
    assert found[-1]["details"] == {"events": 5 - kept}
    assert whole(log, store)


def test_vital_events_use_the_reserve_of_a_full_disk_and_others_wait(
    tmp_path: Path, opened: Callable[..., AuditLog], disk: Disk
) -> None:
    store = DuckDBStore(None, Reserve(tmp_path / ".reserve"))
    log = opened(store=store)
    record(log, log.event("before"))
    left = [2]

    def sync(_: int) -> None:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")

    assert isinstance(log._chain, AuditChain)
    log._chain._sync = sync
    log.submit(log.event("query"))
    record(log, log.event("auth.login"))
    assert [line["action"] for line in lines(log)][:2] == ["before", "auth.login"]
    asyncio.run(log.flush())
    assert [line["action"] for line in lines(log)] == ["before", "auth.login", "query"]
    assert whole(log, store)
    log.close()
    store.close()


def test_a_folder_that_cannot_be_used(tmp_path: Path, opened: Callable[..., AuditLog]) -> None:
    (tmp_path / "audit").write_text("a file")
    log = opened()
    assert log.broken is not None
    with pytest.raises(errors.Unavailable, match="cannot be written"):
        record(log, log.event("a"))
    (tmp_path / "audit").unlink()
    (tmp_path / "audit").mkdir()
    record(log, log.event("b"))
    assert [line["action"] for line in lines(log)] == ["a", "b"]


def test_a_file_that_was_removed_is_missed(opened: Callable[..., AuditLog], store: Store) -> None:
    log = opened()
    record(log, log.event("a"))
    audit_file.path(log.folder, DAY).unlink()
    record(log, log.event("b"))
    assert [line["action"] for line in lines(log)] == ["b"]
    assert ["1 of the 1 lines" in fault.message for fault in faults(log.folder, AuditHeads(store).all())] == [True]


@pytest.mark.parametrize(
    ("queries", "shown"), [("hash", None), ("text", "SELECT 1"), ("off", None)]
)  # fmt: skip
def test_queries_are_hashed(opened: Callable[..., AuditLog], queries: str, shown: str | None) -> None:
    log = opened(queries=queries)
    record(log, log.event("query.run", query="SELECT 1"))
    (found,) = lines(log)
    assert found["query_sha256"] == "e004ebd5b5532a4b85984a62f8ad48a81aa3460c1ca07701f386135d72cdecf5"
    assert found.get("query") == shown


def test_a_log_that_is_closed_takes_nothing(opened: Callable[..., AuditLog]) -> None:
    log = opened()
    log.close()
    with pytest.raises(errors.Unavailable, match="stops"):
        record(log, log.event("a"))
