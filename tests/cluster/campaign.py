"""A campaign: work, kills and looks at once, until every run has ended; then the comparison, and a table of all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.installation import Installation, Size, installation
from tests.cluster.kills import Kills
from tests.cluster.members import PATIENCE
from tests.cluster.verdict import Catalog, Verdict
from tests.cluster.watch import Watch
from tests.cluster.work import SCHEDULED, Told, Work, names

_SLOWEST = 0.3
"""Seconds that the source takes at most for an answer."""


class Campaign:
    """``runs`` runs of ``pipelines`` pipelines, and ``kills`` kills among them, in an order that ``seed`` decides."""

    def __init__(
        self, folder: Path, size: Size, *, pipelines: int, runs: int, kills: int, seed: int, told: Told
    ) -> None:
        self.faults: list[str] = []
        self._folder = folder
        self._size = size
        self._pipelines = pipelines
        self._runs = runs
        self._most = kills
        self._seed = seed
        self._told = told

    def run(self) -> None:
        """Do it. ``faults`` has whatever is not as it must be."""
        began = time.monotonic()
        with installation(self._folder, self._size, _SLOWEST) as at:
            work = Work(at, self._pipelines, self._runs, self._seed)
            kills = Kills(at, work, self._most, self._runs, self._seed, self._told)
            watch = Watch(at, work, self._pipelines, self._seed)
            work.create()
            self._told(f"{self._size.apis} API processes and {self._size.workers} workers are ready")
            for part in (work, watch, kills):
                part.start()
            work.join()
            kills.join()
            self._settle(at)
            watch.stop()
            self.faults += [*work.faults, *kills.faults, *watch.faults]
            verdict = Verdict(at, work, watch.seen)
            self.faults += verdict.faults
            self._show(at, verdict, kills, watch, time.monotonic() - began)

    def _settle(self, at: Installation) -> None:
        """No schedule fires any more, and every run ends."""
        for name in names(SCHEDULED, self._pipelines):
            at.callers.ask(at.apis[0], "POST", f"/schedules/{name}/pause")
        deadline = time.monotonic() + PATIENCE
        quiet = 0
        while quiet < 3:  # a trigger may fire a moment after the run before has ended
            left = Catalog(at.url).unfinished
            quiet = 0 if left else quiet + 1
            if time.monotonic() > deadline:
                self.faults.append(f"runs do not end: {left}")
                return
            time.sleep(1)

    def _show(self, at: Installation, verdict: Verdict, kills: Kills, watch: Watch, seconds: float) -> None:
        size = self._size
        lines = [
            "",
            f"seed {self._seed}: {size.apis} API processes, {size.workers} workers, PostgreSQL, an S3-compatible "
            f"store; lease {size.lease:g} s; {seconds:.0f} s",
            "",
            f"{'killed, stopped, cut off':38} {'times':>5}  ready again after at most",
            *(f"{kind:38} {number:5}  {kills.back[kind]:.1f} s" for kind, number in sorted(kills.done.items())),
            f"{'all':38} {kills.done.total():5}",
            "",
            f"runs: {_listed(verdict.statuses)}",
            f"runs by their attempts: {_listed({f'with {count}': n for count, n in verdict.attempts.items()})}",
            f"compared: {_listed(verdict.compared)}",
            f"refused for a while: {_listed(at.callers.refused) or 'nothing'}",
            f"longest time without an answer to SQL from any process: {watch.longest:.1f} s",
            f"faults: {len(self.faults)}",
        ]
        self._told("\n".join(lines))


def _listed(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {what}" for what, number in sorted(numbers.items()))
