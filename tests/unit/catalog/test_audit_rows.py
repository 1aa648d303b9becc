"""The audit log in a catalog that outlives the data directory: chains of all processes, in order, and checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.catalog import audit_files, audit_log, audit_rows
from service.catalog.audit_heads import AuditHeads
from service.catalog.audit_log import AuditLog
from service.catalog.store import Transaction
from service.files import audit_check, audit_file
from service.files.audit_check import Fault
from service.kit import errors
from service.kit.clock import FixedClock
from tests import stores
from tests.unit.files import audit_lines

pytestmark = stores.BOTH


class Installation:
    """The logs of processes, each with a data directory of its own, in one catalog."""

    def __init__(self, tmp_path: Path, clock: FixedClock) -> None:
        self.store = stores.new()
        self.store.remote = True
        self.clock = clock
        self._folder = tmp_path
        self._logs: list[AuditLog] = []

    def log(self, name: str, **values: Any) -> AuditLog:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        found = AuditLog(folder, self.store, self.clock, **values)
        found.start()
        self._logs.append(found)
        return found

    def record(self, log: AuditLog, *actions: str) -> None:
        for action in actions:
            self.clock.advance(1)
            asyncio.run(log.record(log.event(action)))

    def shown(self, log: AuditLog, **values: Any) -> list[str]:
        lines, _ = log.page(lambda line: True, limit=100, **values)
        return [msgspec.json.decode(line)["action"] for line in lines]

    def faults(self) -> list[Fault]:
        return [*audit_rows.faults(self.store, self._folder, lambda: None)]

    def close(self) -> None:
        for log in self._logs:
            log.close()


@pytest.fixture
def there(
    tmp_path: Path, clock: FixedClock, catalog_kind: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    monkeypatch.setattr(audit_log, "AGAIN_SECONDS", 60.0)
    found = Installation(tmp_path, clock)
    yield found
    found.close()


def test_every_process_reads_the_events_of_all_in_order(there: Installation) -> None:
    one, two = there.log("one"), there.log("two")
    for number in range(4):
        there.record((one, two)[number % 2], f"a.{number}")
    two.submit(two.event("b.0"))
    asyncio.run(two.flush())
    for log in (one, two, there.log("three")):
        assert there.shown(log) == ["b.0", "a.3", "a.2", "a.1", "a.0"]
    found: list[bytes] = []
    cursor: str | None = None
    while True:
        lines, cursor = one.page(lambda line: True, limit=2, cursor=cursor)
        found += lines
        if cursor is None:
            break
    assert found == one.page(lambda line: True, limit=100)[0]
    since = msgspec.json.decode(found[2])["time"]
    moment = msgspec.convert(since, datetime)
    assert there.shown(one, since=moment) == ["b.0", "a.3", "a.2"]
    assert there.shown(one, until=moment) == ["a.1", "a.0"]
    with pytest.raises(ValueError, match="unpack"):
        one.page(lambda line: True, limit=1, cursor="2026-01-01:5")
    assert there.faults() == []
    heads = audit_rows.heads(there.store)
    assert sorted(head.lines for head in heads) == [2, 3]
    assert not [*(one.folder).iterdir()]  # no file


CHANGES = [
    ("UPDATE audit_lines SET line = replace(line, 'a.1', 'a.9') WHERE n = 2", "line 2 was changed"),
    ("DELETE FROM audit_lines WHERE n = 2", "1 lines before line 3 are missing"),
    ("DELETE FROM audit_lines WHERE n > 1", "2 of its 3 lines are missing at its end"),
    ("DELETE FROM audit_lines", "3 of its 3 lines are missing at its end"),
    ("UPDATE audit_lines SET n = 9 WHERE n = 3", "line 9 is not a line of the log"),
    ("UPDATE audit_heads SET hash = 'x'", "the chain was written again"),
    ("UPDATE audit_heads SET lines = 2", "line 3 was added after the end"),
    ("DELETE FROM audit_heads", "does not know it"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_what_was_changed_is_found_by_any_process(there: Installation, change: str, message: str) -> None:
    there.record(there.log("one"), "a.0", "a.1", "a.2")
    assert there.faults() == []
    there.store.execute(change)
    assert any(message in fault.message for fault in there.faults()), there.faults()


def test_nothing_is_lost_or_doubled_when_the_answer_of_a_commit_is(there: Installation) -> None:
    log, kept = there.log("one"), there.store.append

    def fails(work: Callable[[Transaction], Any]) -> Any:
        kept(work)
        raise errors.Unavailable("the catalog is not available", code="CATALOG_UNAVAILABLE")

    there.record(log, "a.0")
    there.store.append = fails  # type: ignore[method-assign]
    with pytest.raises(errors.Unavailable) as refusal:
        there.record(log, "a.1")
    assert refusal.value.error_code == "CATALOG_UNAVAILABLE"
    with pytest.raises(errors.Unavailable):
        log.admit()
    there.store.append = kept  # type: ignore[method-assign]
    there.record(log, "a.2")
    log.admit()
    assert there.shown(log) == ["a.2", "a.1", "a.0"]
    assert there.faults() == []


def test_old_days_are_dropped_whole_and_their_heads_stay(there: Installation) -> None:
    one, two = there.log("one", days=2), there.log("two", days=2)
    for _ in range(5):
        there.record(one, "a")
        there.record(two, "b")
        there.clock.advance(24 * 3600)
    asyncio.run(one.flush())
    shown = there.shown(one)
    assert (shown.count("a"), shown.count("b")) == (3, 3)
    assert "audit.dropped" in shown
    heads = audit_rows.heads(there.store)
    assert {head.day.day for head in heads if head.dropped} == {1, 2}
    assert there.faults() == []


def test_files_are_taken_over_and_given_back_line_for_line(
    there: Installation, tmp_path: Path, clock: FixedClock
) -> None:
    folder, store = tmp_path / "one", there.store
    day = date(2025, 12, 30)
    for head in audit_lines.written(folder, 3, 2500, day=day):
        AuditHeads(store).put(head)
    before = audit_file.path(folder, day).read_bytes()
    log = there.log("one")
    assert audit_file.days(folder) == []
    assert there.faults() == []
    assert len(log.page(lambda line: True, limit=9999)[0]) == 2503
    there.record(log, "after")
    log.close()
    store.remote = False
    audit_files.give_back(store, folder)
    assert audit_file.path(folder, day).read_bytes() == before
    assert [*audit_check.faults(folder, AuditHeads.of(store, folder).all())] == []
    assert store.rows("SELECT * FROM audit_lines") == []
    again = AuditLog(folder, store, clock)
    again.start()
    assert msgspec.json.decode(again.page(lambda line: True, limit=1)[0][0])["action"] == "after"
    again.close()


def test_a_file_that_was_changed_stays_where_it_is(there: Installation, tmp_path: Path) -> None:
    heads = audit_lines.written(tmp_path / "one", 5)
    for head in heads:
        AuditHeads(there.store).put(head)
    file = audit_file.path(tmp_path / "one", audit_lines.DAY)
    file.write_bytes(file.read_bytes().replace(b'"number":2', b'"number":7'))
    log = there.log("one")
    there.record(log, "a")
    assert there.shown(log) == ["a"]
    assert [*audit_check.faults(tmp_path / "one", AuditHeads.of(there.store, tmp_path / "one").all())]
    assert there.faults() == []
