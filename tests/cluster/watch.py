"""Looks at the tables all the time: each answer is of one whole version, and none is older than the one before."""

from __future__ import annotations

import random
import threading
import time
from typing import NamedTuple

from tests.cluster.installation import Installation
from tests.cluster.members import code_of
from tests.cluster.source import rows_of
from tests.cluster.work import APPENDED, POLLED, REPLACED, SCHEDULED, Work, names

_PAUSE = 0.1
_EARLY = "SQL_NOT_ALLOWED"
"""The code of an answer about a table that has no version yet."""


class Seen(NamedTuple):
    """An answer: the newest batch (or id) in a table, and the version that was known when it was asked for."""

    table: str
    top: int
    known: int


class Watch:
    """A thread that asks for one table after another. ``seen`` are the answers."""

    def __init__(self, at: Installation, work: Work, pipelines: int, seed: int) -> None:
        self.seen: list[Seen] = []
        self.faults: list[str] = []
        self.longest = 0.0
        """The longest time without a right answer from any process."""
        self._at = at
        self._work = work
        self._tables = [n for kind in (REPLACED, APPENDED, POLLED, SCHEDULED) for n in names(kind, pipelines)]
        self._chance = random.Random(seed)
        self._newest: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        answered = time.monotonic()
        while not self._stop.wait(_PAUSE):
            try:
                if self._look(self._chance.choice(self._tables)):
                    answered = time.monotonic()
                self.longest = max(self.longest, time.monotonic() - answered)
            except Exception as error:
                self.faults.append(f"SQL: {error!r}")

    def _look(self, table: str) -> bool:
        """Ask a process for a table. Returns whether there was a right answer."""
        known = self._work.newest.get(table, 0)
        polled = table.startswith(POLLED.name)
        column = "id" if polled else "batch"
        sql = f"SELECT count(*) AS n, max({column}) AS top, count(DISTINCT {column}) AS parts FROM {table}"
        member = self._chance.choice(self._at.apis)
        answer = self._at.callers.once(member, "POST", "/query", json={"sql": sql})
        if answer is None or self._at.callers.is_refusal(answer):
            return False
        if answer.status_code != 200:
            if known or code_of(answer) != _EARLY:
                self.faults.append(f"SQL of {table} (version {known}): {answer.status_code} {answer.text[:300]}")
            return False
        row = answer.json()["data"][0]
        self._check(table, row["n"], row["top"], row["parts"])
        self.seen.append(Seen(table, row["top"], known))
        return True

    def _check(self, table: str, rows: int, top: int, parts: int) -> None:
        if top < self._newest.get(table, 0):
            self.faults.append(f"SQL of {table} went back from {self._newest[table]} to {top}")
        self._newest[table] = max(top, self._newest.get(table, 0))
        if table.startswith(POLLED.name):
            right = rows == parts == top
        elif table.startswith(APPENDED.name):
            right = rows >= rows_of(top)
        else:
            right = rows == rows_of(top) and parts == 1
        if not right:
            self.faults.append(f"SQL of {table}: {rows} rows up to {top}, {parts} parts")
