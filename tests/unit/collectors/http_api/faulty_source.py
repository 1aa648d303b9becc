"""A paged source on loopback whose pages fail by a schedule, and the kinds of fault."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from email.utils import formatdate

from tests.unit.network.site import Hit, Reply

ATTEMPTS = 4
FAULTS = (
    "busy", "later", "until", "torn", "reset", "reset at once", "short gzip", "damaged gzip", "cut", "gateway"
)  # fmt: skip
OF_JSON = (*FAULTS, "ended")  # what is cut without a word shows only where the form of the whole is known
ALWAYS = "always"
RETRY = {"max_attempts": ATTEMPTS, "initial_delay_seconds": 0, "max_delay_seconds": 1}


def faulty(kind: str, good: Reply) -> Reply:
    packed = gzip.compress(good.body)
    half = good.body[: len(good.body) // 2]
    match kind:
        case "busy":
            return Reply(b"busy", 503)
        case "later":
            return Reply(b"{}", 429, {"Retry-After": "0"})
        case "until":
            return Reply(b"{}", 429, {"Retry-After": formatdate(0, usegmt=True)})
        case "torn":  # ends before its length
            return Reply(headers={"content-length": str(len(good.body) + 1)}, chunks=iter([good.body]))
        case "reset":  # in the middle of the body
            return Reply(headers={"content-length": str(len(good.body))}, chunks=iter([half]), reset=True)
        case "ended":  # too early, and nothing said how long it would be
            return Reply(chunks=iter([half]))
        case "reset at once":
            return Reply(headers={"content-length": str(len(good.body))}, chunks=iter([]), reset=True)
        case "cut":
            return Reply(headers={"content-length": "100000"}, chunks=iter([]))
        case "short gzip":
            return Reply(packed[:-5], headers={"content-encoding": "gzip"})
        case "damaged gzip":
            return Reply(packed[:-5] + bytes([packed[-5] ^ 1]) + packed[-4:], headers={"content-encoding": "gzip"})
        case "drip":
            return Reply(headers={"content-length": str(len(good.body) + 1000)}, chunks=dripping())
        case _:
            return Reply(b"<html>", 502, {"content-encoding": "br"})


def dripping() -> Iterator[bytes]:
    """A byte now and then, until the client has had enough."""
    pause = threading.Event()
    while True:
        yield b" "
        pause.wait(0.05)


class Source:
    """Records behind offsets, cursors or links. Each page has its faults, one after another, or one for ever."""

    def __init__(self, count: int, faults: Mapping[int, Sequence[str]], sizes: Sequence[int]) -> None:
        self.records = [{"id": i} for i in range(count)]
        self.left = {begin: list(kinds) for begin, kinds in faults.items()}
        self.faults, self.sizes = faults, sizes
        self.lock = threading.Lock()
        self.spent = 0

    def page(self, begin: int) -> list[dict[str, int]]:
        """Pages may be shorter than asked for, anywhere."""
        return self.records[begin : begin + self.sizes[begin % len(self.sizes)]]

    def __call__(self, hit: Hit) -> Reply:
        begin = int(hit.query.get("offset", hit.query.get("cursor", 0)))
        page = self.page(begin)
        after = begin + len(page) if begin + len(page) < len(self.records) else None
        link = f"{hit.path}?cursor={after}" if after is not None else None
        body = {"items": page, "total": len(self.records), "next": after, "link": link}
        headers = {"link": f'<{link}>; rel="next"'} if link else {}
        good = Reply(json.dumps(body).encode(), headers=headers)
        with self.lock:
            left = self.left.get(begin)
            if not left:
                return good
            kind = left[0] if left[-1] == ALWAYS else left.pop(0)
            self.spent += 1
        return faulty(kind, good)

    def needed(self, *, to_the_end: bool) -> list[int]:
        """The beginnings of the pages that nobody can do without; where no total is known, of the empty one too."""
        begins, begin = [0], len(self.page(0))
        while begin < len(self.records):
            begins.append(begin)
            begin += len(self.page(begin))
        return [*begins, begin] if to_the_end and begin else begins

    def bearable(self, *, to_the_end: bool) -> bool:
        return not any(self.faults.get(b, [""])[-1] == ALWAYS for b in self.needed(to_the_end=to_the_end))
