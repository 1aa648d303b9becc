"""The lines of the audit log as rows of a catalog that outlives the data directory, in chains as in files.

A line and the head of its chain are committed together, so that nothing can vanish unseen after a kill, and any process
reads and checks the chains of all. The head of such a chain has no place in a file (``begin`` is -1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from service.catalog.audit_heads import head_of
from service.catalog.statements import load_sql
from service.catalog.store import Store, Transaction, naive
from service.files import audit_file
from service.files.audit_check import Fault
from service.files.audit_file import BEGIN, Head
from service.files.audit_reader import MOST_BYTES

_SQL = load_sql("audit_lines")
_PAGE = 500
_FIRST, _LAST = datetime(1, 1, 1), datetime(9999, 1, 1)
_MOST = 20  # faults of one chain that are named


class _Timed(msgspec.Struct):
    time: datetime


_decoder = msgspec.json.Decoder(_Timed)


class Page(NamedTuple):
    """Lines without their ends, newest first, and where the next page begins; None after the oldest line."""

    lines: list[bytes]
    next: Position | None


class Position(NamedTuple):
    """Where a page ended: older events follow."""

    time: datetime
    chain: str
    n: int

    def __str__(self) -> str:
        microseconds = (self.time - datetime(1970, 1, 1)) // timedelta(microseconds=1)
        return f"{microseconds}:{self.chain}:{self.n}"

    @classmethod
    def of(cls, text: str) -> Position:
        """The position in a text. Raises ``ValueError``."""
        microseconds, chain, n = text.split(":")
        try:
            time = datetime(1970, 1, 1) + timedelta(microseconds=int(microseconds))
        except OverflowError:
            raise ValueError("not a position") from None
        return cls(time, chain, int(n))


def page(
    store: Store, wanted: Callable[[bytes], bool], *, limit: int, since: datetime | None = None,
    until: datetime | None = None, before: Position | None = None,
) -> Page:  # fmt: skip
    """As ``audit_reader.read``, of all processes in the order of their times."""
    found: list[bytes] = []
    left = MOST_BYTES
    place = before or Position(_LAST, "", 0)
    bounds = {"first": naive(since) if since else _FIRST, "last": naive(until) if until else _LAST}
    while True:
        rows = store.rows(_SQL["page"], {**bounds, **place._asdict(), "limit": _PAGE})
        for row in rows:
            if len(found) == limit or left <= 0:
                return Page(found, place)
            line = row["line"].encode()
            left -= len(line)
            place = Position(row["time"], row["chain"], row["n"])
            if wanted(line):
                found.append(line)
        if len(rows) < _PAGE:
            return Page(found, None)


def add(transaction: Transaction, chain: str, lines: Sequence[tuple[int, datetime, bytes]]) -> None:
    """Add lines to a chain: their places, their times and their texts without line ends."""
    if lines:
        numbers, times, texts = zip(*lines, strict=True)
        values = {"chains": [chain] * len(lines), "numbers": [*numbers], "times": [*times]}
        transaction.execute(_SQL["insert"], {**values, "lines": [text.decode() for text in texts]})


def put(transaction: Transaction, head: Head) -> None:
    """Store the head of a chain whose lines are rows."""
    values = msgspec.structs.asdict(head)
    transaction.execute(
        _SQL["put"], {name: values[name] for name in ("chain", "day", "lines", "hash", "closed", "dropped")}
    )


def time_of(event: bytes) -> datetime:
    """When an event or a line says that it was written, as the catalog has times. Raises ``msgspec.MsgspecError``."""
    return naive(_decoder.decode(event).time)


def heads(store: Store) -> list[Head]:
    """The heads of all chains whose lines are rows."""
    return [head_of(row) for row in store.rows(_SQL["heads"])]


def lines(store: Store, chain: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a chain with their places, with line ends."""
    after = -1
    while rows := store.rows(_SQL["of_chain"], {"chain": chain, "after": after, "limit": _PAGE}):
        for row in rows:
            yield row["n"], row["line"].encode() + b"\n"
        after = rows[-1]["n"]


def faults(store: Store, folder: Path, go_on: Callable[[], None]) -> Iterator[Fault]:
    """What was changed in the rows since they were written. ``go_on`` is called before each line."""
    chains = {row["chain"] for row in store.rows(_SQL["chains"])}
    known = heads(store)
    for head in known:
        if not head.dropped:
            found = islice(_of_chain(store, head, go_on), _MOST)
            yield from (Fault(audit_file.path(folder, head.day), None, f"chain {head.chain}: {m}") for m in found)
    for chain in sorted(chains - {head.chain for head in known}):
        yield Fault(folder, None, f"chain {chain}: the catalog has lines of it and does not know it")


def _of_chain(store: Store, head: Head, go_on: Callable[[], None]) -> Iterator[str]:
    last, before = 0, BEGIN
    for n, text in lines(store, head.chain):
        go_on()
        line = audit_file.parsed(text)
        if line is None or (line.chain, line.n) != (head.chain, n):
            yield f"line {n} is not a line of the log"
            continue
        if n != last + 1:
            yield f"{n - last - 1} lines before line {n} are missing"
        elif audit_file.digest(before, line.hashed) != line.hash:
            yield f"line {n} was changed, or the line before it was"
        if n > head.lines:
            yield f"line {n} was added after the end"
        elif n == head.lines and line.hash != head.hash:
            yield f"line {n} is not the one that the catalog has the hash of: the chain was written again"
        last, before = n, line.hash
    if last < head.lines:
        yield f"{head.lines - last} of its {head.lines} lines are missing at its end"
