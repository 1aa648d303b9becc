"""The chains that this process writes: the day's file, and the head of its chain in the catalog.

A chain is in the catalog before its first line is in the file, and its head follows within ten seconds. Methods block,
and one thread calls them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from service.catalog.audit_heads import AuditHeads
from service.files import audit_file, audit_reader, disk
from service.files.audit_file import Head
from service.files.audit_reader import Position
from service.files.layout import flush

HEAD_SECONDS = 10.0
"""How old a head in the catalog gets while its chain grows."""

_log = structlog.get_logger("penstock.audit")


class AuditChain:
    """The chains of one process in ``folder``. ``sync`` writes a file to disk; files are kept for ``days`` days."""

    def __init__(self, folder: Path, heads: AuditHeads, *, days: int, sync: Callable[[int], None]) -> None:
        self._folder = folder
        self._heads = heads
        self._days = days
        self._sync = sync
        self._file: int | None = None
        self._head: Head | None = None
        self._stored: Head | None = None
        self._stored_at = 0.0

    @property
    def has_grown(self) -> bool:
        """Whether the chain is longer than its head in the catalog."""
        return self._head is not self._stored

    def start(self, today: date) -> tuple[dict[str, int], list[str]]:
        """Close the chains of processes that were killed, and drop files that are too old.

        Returns the bytes of lines that were not whole by file, and the files that were dropped. Raises ``OSError``.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        mended: dict[str, int] = {}
        for head in self._heads.open():
            path = audit_file.path(self._folder, head.day)
            closed, cut = audit_file.mend(path, head) if path.exists() else (head, 0)
            self._heads.put(msgspec.structs.replace(closed, closed=True))
            if cut:
                _log.warning("audit.mended", file=path.name, bytes=cut, hint="a line was not whole after a kill")
                mended[path.name] = cut
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise PermissionError(None, "Permission denied")
        return mended, self.drop(today)

    def drop(self, today: date) -> list[str]:
        """Remove files that are older than they are kept, and return their names. Their heads stay."""
        dropped = []
        for day in self._heads.before(today - timedelta(days=self._days)):
            path = audit_file.path(self._folder, day)
            self._heads.drop(day)
            with suppress(FileNotFoundError):
                path.unlink()
            _log.info("audit.dropped", file=path.name)
            dropped.append(path.name)
        return dropped

    def turn(self, day: date) -> bool:
        """Let the following lines go to the file of ``day``. Returns whether a chain was begun. Raises ``OSError``."""
        if self._file is not None and not os.fstat(self._file).st_nlink:
            _log.error("audit.file_removed", hint="somebody removed the file of the audit log that is being written")
            self.close()
        if self._head is not None and self._head.day == day:
            return False
        self.close()
        self._begin(day)
        return True

    def append(self, events: Sequence[bytes]) -> None:
        """Write events, JSON objects, and flush them. When it raises, nothing of them is in the file.

        Raises ``OSError``, ``errors.Unavailable`` (STORAGE_FULL).
        """
        assert self._file is not None
        assert self._head is not None
        head, lines = self._head, []
        for event in events:
            head, line = audit_file.line(head, event)
            lines.append(line)
        view = memoryview(b"".join(lines))
        try:
            while view:
                view = view[os.write(self._file, view) :]
            self._sync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._head.end)
            if disk.is_full(error):
                raise disk.storage_full() from error
            raise
        self._head = head

    def follow(self) -> None:
        """Store the head of the chain if the one in the catalog is old."""
        if self._head is not None and self.has_grown and time.monotonic() - self._stored_at >= HEAD_SECONDS:
            self._stored_at = time.monotonic()
            self._heads.put(self._head)
            self._stored = self._head

    def page(
        self, wanted: Callable[[bytes], bool], *, limit: int, since: datetime | None, until: datetime | None,
        cursor: str | None,
    ) -> tuple[list[bytes], str | None]:  # fmt: skip
        """At most ``limit`` lines that are ``wanted``, newest first, and the cursor of the next page, if there is one.

        Raises ``ValueError`` for a cursor that no page has, ``OSError``.
        """
        first, last = since.date() if since else None, until.date() if until else None
        before = Position.of(cursor) if cursor is not None else None
        page = audit_reader.read(self._folder, wanted, limit=limit, first=first, last=last, before=before)
        return page.lines, str(page.next) if page.next is not None else None

    def close(self) -> None:
        """Close the chain: its head is final."""
        if self._file is not None and self._head is not None:
            self._heads.put(msgspec.structs.replace(self._head, closed=True))
            os.close(self._file)
            self._file = self._head = self._stored = None

    def _begin(self, day: date) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(audit_file.path(self._folder, day), flags, 0o600)
        try:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":  # somebody cut it, which the check will name
                size += os.write(file, b"\n")
            head = Head(chain=self._heads.new_chain(), day=day, begin=size, end=size)
            self._heads.put(head)
            flush(self._folder)
        except BaseException:
            os.close(file)
            raise
        self._file, self._head, self._stored, self._stored_at = file, head, head, time.monotonic()
