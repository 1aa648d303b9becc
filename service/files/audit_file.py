"""A file of the audit log, ``audit/2026-11-30.ndjson``: the events of a day (UTC), a line each, chained by hashes.

::

    {"chain":"chn_…","n":1,"time":"…","action":"user.create",…,"hash":"…"}

``hash`` is the SHA-256 of the hash of the line before in the chain and of this line up to its own ``hash``. Each
process begins a chain of its own in each day's file, so a file holds chains one after the other. What each must be is
its head, which the catalog has (``catalog.audit_heads``).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

import msgspec

BEGIN = "0" * 64
"""The hash before the first line of a chain."""
MOST_BYTES = 256 * 1024
"""Of a line."""
SUFFIX = ".ndjson"
_NAME = re.compile(r"\d{4}-\d{2}-\d{2}")
_LINE = re.compile(rb'(\{"chain":"(\w+)","n":(\d{1,18}),.*),"hash":"([0-9a-f]{64})"\}\n', re.DOTALL)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """How far a chain goes: ``lines`` lines, the last with ``hash``, in the bytes from ``begin`` to ``end``.

    An open chain may be longer: its process writes the head some seconds after the lines. ``dropped`` says that the
    file was old enough to be removed.
    """

    chain: str
    day: date
    begin: int
    end: int
    lines: int = 0
    hash: str = BEGIN
    closed: bool = False
    dropped: bool = False


class Line(NamedTuple):
    """A line of a file: its chain, its place there, what is hashed of it, and the hash that it has."""

    chain: str
    n: int
    hashed: bytes
    hash: str


def path(folder: Path, day: date) -> Path:
    """The file of a day."""
    return folder / f"{day.isoformat()}{SUFFIX}"


def place(folder: Path, alone: str) -> str:
    """How the names of chains in the files of ``folder`` begin: ``alone``, unless the folder was given a name."""
    file = folder / ".place"
    return file.read_text().strip() if file.exists() else alone


def days(folder: Path) -> list[date]:
    """The days that have a file, oldest first."""
    found = []
    for file in folder.glob(f"*{SUFFIX}"):
        if _NAME.fullmatch(file.stem):
            try:
                found.append(date.fromisoformat(file.stem))
            except ValueError:  # 2026-02-31
                continue
    return sorted(found)


def digest(before: str, hashed: bytes) -> str:
    """The hash of a line after a line with the hash ``before``."""
    return hashlib.sha256(before.encode() + hashed).hexdigest()


def line(head: Head, event: bytes) -> tuple[Head, bytes]:
    """The next line of a chain for the JSON object ``event``, and the head with it."""
    hashed = b'{"chain":"%s","n":%d,%s' % (head.chain.encode(), head.lines + 1, event[1:-1])
    hash_ = digest(head.hash, hashed)
    text = b'%s,"hash":"%s"}\n' % (hashed, hash_.encode())
    longer = msgspec.structs.replace(head, lines=head.lines + 1, hash=hash_, end=head.end + len(text))
    return longer, text


def parsed(text: bytes) -> Line | None:
    """A line with its line end; None if it is not one of the log."""
    found = _LINE.fullmatch(text)
    return Line(found[2].decode(), int(found[3]), found[1], found[4].decode()) if found is not None else None


def lines(file: Path, offset: int = 0) -> Iterator[bytes]:
    """The lines of a file from ``offset`` on, with their ends; longer ones in pieces. Raises ``OSError``."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as opened:
        opened.seek(offset)
        while text := opened.readline(MOST_BYTES):
            yield text


def mend(file: Path, head: Head) -> tuple[Head, int]:
    """The head of a chain whose process was killed, with the lines that it wrote after its last head.

    A last line that is not whole is cut off; the number of its bytes is returned, too. Nothing is cut of what the head
    covers, nor of lines that do not fit the chain: these stay for ``penstock verify``. Raises ``OSError``.
    """
    cut = 0
    if file.stat().st_size >= head.end:
        for text in lines(file, head.end):
            if not text.endswith(b"\n"):
                cut = file.stat().st_size - head.end if len(text) < MOST_BYTES else 0
                break
            found = parsed(text)
            if found is None or (found.chain, found.n) != (head.chain, head.lines + 1):
                break
            if digest(head.hash, found.hashed) != found.hash:
                break
            head = msgspec.structs.replace(head, lines=found.n, hash=found.hash, end=head.end + len(text))
    if cut:
        os.truncate(file, head.end)
    return msgspec.structs.replace(head, closed=True), cut
