"""The journal of a run: its events on disk, one JSON object a line, ``{"id": 1, "kind": "log", "data": {…}}``.

Ids count from 1 over all attempts, also after a restart. A crash leaves at most one incomplete line at the end: readers
leave it out, and the next writer removes it. The size is bounded: beyond it, only what the writer calls vital is kept.
A line of an earlier release is a log line without a wrapper; it has no id, and nobody can follow it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

EventKind = Literal["status", "progress", "log", "end"]

MOST_BYTES = 16 * 1024 * 1024
"""Of a journal, before events that are not vital are left out."""
_RESERVE = 1024 * 1024
"""For vital events beyond that; the last status and the end are always written."""
_BLOCK = 64 * 1024
_LINE = re.compile(rb'\{"id":(\d+),"kind":"(status|progress|log|end)","data":(.*)\}', re.DOTALL)


class Event(NamedTuple):
    """One event of a run: its number, from 1, its kind, and a JSON object."""

    id: int
    kind: EventKind
    data: bytes


class EventJournal:
    """The writer of one run's journal. Without a path nothing is kept.

    ``last`` is the id of the newest event, ``complete`` whether the file has every event since this object was made.
    ``held`` says whether the file stays open between two events.
    """

    def __init__(self, path: Path | None, most_bytes: int = MOST_BYTES) -> None:
        self.path = path
        self.last = 0
        self.complete = path is not None
        self.held = False
        self.left_out = 0
        self._most = most_bytes
        self._file: int | None = None
        self._size = 0
        self._begun = False

    def append(self, kind: EventKind, data: bytes, *, vital: bool = False) -> Event | None:
        """Write an event. None if it was left out because the journal is full.

        An event that the disk does not take is an event all the same: a run does not fail because of its journal.
        """
        self._open()
        if not has_room(self._size, self._most, kind, vital=vital):
            self.left_out += 1
            return None
        self.last += 1
        event = Event(self.last, kind, data)
        self._write(line(event))
        return event

    def close(self) -> None:
        """Close the file; the next event opens it again."""
        self.held = False
        self._release()

    def read(self, after: int, place: int) -> tuple[list[Event], int]:
        """Some of the events behind ``place``, an offset, as the function ``read``, and the offset behind them."""
        return read(self.path, place) if self.path is not None else ([], place)

    def _open(self) -> None:
        if self.path is None or self._file is not None:
            return
        with contextlib.suppress(OSError):
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if not self._begun:
                self._size, self.last = _mend(self._file)
                self._begun = True

    def _write(self, line: bytes) -> None:
        try:
            if self._file is None or os.write(self._file, line) != len(line):
                raise OSError
            self._size += len(line)
        except OSError:
            self.complete = False
            if self._file is not None:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, self._size)
        if not self.held:
            self._release()

    def _release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def line(event: Event) -> bytes:
    """An event as a journal has it; one that nobody can follow is a line of an earlier release."""
    if event.id < 1:
        return event.data + b"\n"
    return b'{"id":%d,"kind":"%s","data":%s}\n' % (event.id, event.kind.encode(), event.data)


def has_room(size: int, most: int, kind: EventKind, *, vital: bool) -> bool:
    """Whether a journal of ``size`` bytes takes another event, if it should have ``most``."""
    return kind in ("status", "end") or size < most + (_RESERVE if vital else 0)


def read(path: Path, offset: int = 0) -> tuple[list[Event], int]:
    """Some of the events that follow ``offset``, and the offset after them; none at the end of the complete lines.

    Lines of an earlier release are log events with the id 0. Raises ``FileNotFoundError``.
    """
    with path.open("rb") as file:
        file.seek(offset)
        block = file.read(_BLOCK)
        while (end := block.rfind(b"\n")) < 0 and (more := file.read(_BLOCK)):
            block += more
    return [_event(line) for line in block[: end + 1].splitlines()], offset + end + 1


def log_lines(path: Path) -> Iterator[list[bytes]]:
    """The log lines of a journal, some at a time; nothing if there is no journal."""
    offset = 0
    with contextlib.suppress(FileNotFoundError):
        while True:
            events, offset = read(path, offset)
            if not events:
                return
            yield [event.data for event in events if event.kind == "log"]


def _event(line: bytes) -> Event:
    found = _LINE.fullmatch(line)
    if found is None:
        return Event(0, "log", line)
    return Event(int(found[1]), found[2].decode(), found[3])  # type: ignore[arg-type]


def _mend(file: int) -> tuple[int, int]:
    """Cut an incomplete line off the end. Returns the size and the id of the newest event."""
    size = os.fstat(file).st_size
    if not size:
        return 0, 0
    wanted = _BLOCK
    while True:
        start = max(0, size - wanted)
        tail = os.pread(file, size - start, start)
        end = tail.rfind(b"\n") + 1
        lines = tail[:end].splitlines()
        whole = lines if start == 0 else lines[1:]
        if whole or start == 0:
            break
        wanted *= 4
    if start + end < size:
        os.ftruncate(file, start + end)
    return start + end, _event(whole[-1]).id if whole else 0
