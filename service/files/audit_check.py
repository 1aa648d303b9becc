"""The check of the audit log: every file against the heads of its chains. Nothing is changed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from service.files import audit_file
from service.files.audit_file import BEGIN, Head, Line

_MOST = 20  # faults of one file that are named


class Fault(NamedTuple):
    """What is wrong with a file, and in which line (None: the whole file)."""

    file: Path
    line: int | None
    message: str


def faults(folder: Path, heads: Sequence[Head], go_on: Callable[[], None] = lambda: None) -> Iterator[Fault]:
    """What was changed in the files of ``folder`` since they were written. ``go_on`` is called before each line.

    A last line that is not whole, after the last whole line of a chain that is still open, is not a fault: its process
    is writing it, or was killed meanwhile.
    """
    kept = [head for head in heads if not head.dropped]
    by_day = {day: [h for h in kept if h.day == day] for day in {h.day for h in kept} | {*audit_file.days(folder)}}
    for day, chains in sorted(by_day.items()):
        file = audit_file.path(folder, day)
        if not file.exists():
            if any(head.lines for head in chains):
                lines = sum(head.lines for head in chains)
                yield Fault(file, None, f"the file is missing; it had {lines} lines")
            continue
        if not chains:
            if not any(head.day == day for head in heads):  # else it is too old, and about to be removed
                yield Fault(file, None, "the catalog knows no chain of this file")
            continue
        found = list(itertools.islice(_Check(file, chains).faults(go_on), _MOST + 1))
        yield from found[:_MOST]
        if len(found) > _MOST:
            yield Fault(file, None, f"more than {_MOST} lines are not as they were written; the first are named")


def unknown(folder: Path, heads: Sequence[Head]) -> list[Head]:
    """Heads of the chains that only the files know, for a catalog that was lost; none of a chain that does not hold."""
    known, found, broken = {head.chain for head in heads}, dict[str, Head](), set[str]()
    for day in audit_file.days(folder):
        offset = 0
        for text in audit_file.lines(audit_file.path(folder, day)):
            line = audit_file.parsed(text)
            if line is not None and line.chain not in known:
                before = found.get(line.chain) or Head(chain=line.chain, day=day, begin=offset, end=offset)
                holds = audit_file.digest(before.hash, line.hashed) == line.hash and line.n == before.lines + 1
                if not holds or (before.day, before.end) != (day, offset):
                    broken.add(line.chain)
                end = offset + len(text)
                found[line.chain] = msgspec.structs.replace(
                    before, end=end, lines=line.n, hash=line.hash, closed=True
                )  # fmt: skip
            offset += len(text)
    return [head for head in found.values() if head.chain not in broken]


class _Check:
    """The check of one file, line by line."""

    def __init__(self, file: Path, heads: Sequence[Head]) -> None:
        self._file = file
        self._heads = {head.chain: head for head in sorted(heads, key=lambda h: h.begin)}
        self._places = {chain: place for place, chain in enumerate(self._heads)}
        self._ends: dict[str, tuple[int, str]] = {}  # the last place and hash that were seen of each chain
        self._present = -1  # the place of the chain that the lines belong to now

    def faults(self, go_on: Callable[[], None]) -> Iterator[Fault]:
        number = 0
        for number, text in enumerate(audit_file.lines(self._file), 1):
            go_on()
            line = audit_file.parsed(text)
            if line is not None:
                message = self._fault(line)
            elif self._is_being_written(text):
                break
            else:
                message = "it is not a line of the log"
            if message is not None:
                yield Fault(self._file, number, message)
        for head in self._heads.values():
            last, _ = self._ends.get(head.chain, (0, BEGIN))
            if last < head.lines:
                part = f"{head.lines - last} of the {head.lines} lines"
                yield Fault(self._file, number, f"{part} of the chain {head.chain} are missing at its end")

    def _is_being_written(self, text: bytes) -> bool:
        return not text.endswith(b"\n") and len(text) < audit_file.MOST_BYTES and not [*self._heads.values()][-1].closed

    def _fault(self, line: Line) -> str | None:
        head = self._heads.get(line.chain)
        if head is None:
            return f"it was added: the catalog does not know its chain {line.chain}"
        place, moved = self._places[line.chain], False
        if place != self._present:
            moved = place < self._present
            self._present = max(place, self._present)
        last, before = self._ends.get(line.chain, (0, BEGIN))
        if moved or line.n <= last:
            return "it is out of order, or there twice"
        self._ends[line.chain] = (line.n, line.hash)
        if line.n > last + 1:
            return f"{line.n - last - 1} lines before it are missing"
        if audit_file.digest(before, line.hashed) != line.hash:
            return "it was changed, or the line before it was"
        if head.closed and line.n > head.lines:
            return "it was added after the end of its chain"
        if line.n == head.lines and line.hash != head.hash:
            return "it is not the line that the catalog has the hash of: its chain was written again"
        return None
