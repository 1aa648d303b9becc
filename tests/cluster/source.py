"""A source of numbered rows: what a run lost, doubled or mixed shows in them.

Each request is a batch of its own, whose number decides how many rows it has. ``/poll`` has records whose ids grow.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from tests.unit.network.site import Hit, Reply, serving

_LEAST_ROWS = 100
_GROWTH = 20
"""How many records ``/poll`` has more at each request."""


def rows_of(batch: int) -> int:
    """How many rows a batch has: so the number of rows names it."""
    return _LEAST_ROWS + batch


class NumberedSource:
    """``/batch/<pipeline>`` and ``/poll/<pipeline>?since=`` under ``address``."""

    def __init__(self, slowest: float) -> None:
        self.address = ""
        self.batches: dict[str, int] = defaultdict(int)
        """How many batches each pipeline has been given."""
        self.records: dict[str, int] = defaultdict(lambda: 1)
        """The last id that each pipeline has been given."""
        self._slowest = slowest
        self._lock = threading.Lock()

    def __call__(self, hit: Hit) -> Reply:
        time.sleep(random.random() * self._slowest)
        kind, _, name = hit.path.removeprefix("/").partition("/")
        with self._lock:
            if kind == "poll":
                self.records[name] += _GROWTH
                since = int(hit.query.get("since") or 1)
                return Reply.json([{"id": number} for number in range(since, self.records[name] + 1)])
            self.batches[name] += 1
            batch = self.batches[name]
        return Reply.json([{"id": number, "batch": batch} for number in range(rows_of(batch))])


@contextmanager
def numbered_source(slowest: float) -> Iterator[NumberedSource]:
    """A source whose answers take ``slowest`` seconds at most."""
    source = NumberedSource(slowest)
    with serving(source) as found:
        source.address = found.address
        yield source
