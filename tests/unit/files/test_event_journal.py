"""The journal of a run on disk: complete lines, ids that go on, a bounded size."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
import pytest

from service.files import event_journal
from service.files.event_journal import Event, EventJournal


def everything(path: Path) -> list[Event]:
    events: list[Event] = []
    offset = 0
    while found := event_journal.read(path, offset):
        if not found[0]:
            return events
        events += found[0]
        offset = found[1]
    return events


def test_what_was_written_is_read(tmp_path: Path) -> None:
    journal = EventJournal(tmp_path / "run.ndjson")
    long = msgspec.json.encode({"text": "x" * 200_000})
    written = [journal.append("status", b"{}"), journal.append("log", long), journal.append("log", b'{"a":"\\u0000}"}')]
    assert everything(tmp_path / "run.ndjson") == written
    assert [event.id for event in written if event] == [1, 2, 3]
    lines = (tmp_path / "run.ndjson").read_bytes().splitlines()
    assert [set(msgspec.json.decode(line)) for line in lines] == [{"id", "kind", "data"}] * 3
    assert [line for lines in event_journal.log_lines(tmp_path / "run.ndjson") for line in lines] == [
        long, b'{"a":"\\u0000}"}'
    ]  # fmt: skip


@pytest.mark.parametrize("torn", [b'{"id":3,"ki', b"{", b'{"id":3,"kind":"log","data":{}}', b"x" * 300_000])
def test_a_torn_line_is_not_read_and_goes_with_the_next_event(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "run.ndjson"
    first = EventJournal(path)
    whole = [first.append("log", b'{"n":1}'), first.append("log", b'{"n":2}')]
    with path.open("ab") as file:
        file.write(torn)
    assert everything(path) == whole
    again = EventJournal(path)
    assert again.append("status", b"{}") == Event(3, "status", b"{}")
    assert everything(path) == [*whole, Event(3, "status", b"{}")]


def test_only_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    path.write_bytes(b'{"id":1,')
    assert everything(path) == []
    assert EventJournal(path).append("log", b"{}") == Event(1, "log", b"{}")
    assert everything(path) == [Event(1, "log", b"{}")]


def test_lines_of_an_earlier_release_are_log_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    path.write_bytes(b'{"event":"run.started"}\n')
    EventJournal(path).append("log", b'{"event":"native.loaded"}')
    wanted = [b'{"event":"run.started"}', b'{"event":"native.loaded"}']
    assert [line for lines in event_journal.log_lines(path) for line in lines] == wanted
    assert [event.id for event in everything(path)] == [0, 1]


def test_the_size_is_bounded_and_the_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    journal = EventJournal(path, most_bytes=1000)
    for number in range(100):
        journal.append("log", b'{"number":%d}' % number)
    size = path.stat().st_size
    assert 1000 <= size < 1100
    assert journal.left_out == 100 - len(everything(path))
    kept = [journal.append("log", b'{"level":"error"}', vital=True), journal.append("end", b"{}")]
    assert everything(path)[-2:] == kept
    assert [event.id for event in everything(path)] == list(range(1, len(everything(path)) + 1))


def test_no_log_where_there_is_no_journal(tmp_path: Path) -> None:
    assert list(event_journal.log_lines(tmp_path / "run.ndjson")) == []


def test_a_full_disk_costs_the_file_but_no_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.ndjson"
    journal = EventJournal(path)
    journal.append("log", b"{}")

    def full(file: int, data: bytes) -> int:
        os.pwrite(file, data[:5], os.fstat(file).st_size)
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        assert journal.append("log", b'{"lost":1}') == Event(2, "log", b'{"lost":1}')
    assert not journal.complete
    journal.append("end", b"{}")
    assert everything(path) == [Event(1, "log", b"{}"), Event(3, "end", b"{}")]
