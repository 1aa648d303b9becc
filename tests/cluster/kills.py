"""The order of kills, which a seed decides: who is killed, frozen or cut off after how many runs."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

from tests.acceptance.served import children_of
from tests.cluster.installation import Installation
from tests.cluster.members import Member
from tests.cluster.work import Told, Work

_AWAY = (0.5, 3.0)
"""Seconds for which something that is stopped stays so."""


class Kills:
    """Kills all kinds in an order that ``seed`` decides, evenly over ``runs`` runs. ``done`` counts them."""

    def __init__(self, at: Installation, work: Work, kills: int, runs: int, seed: int, told: Told) -> None:
        self.done: Counter[str] = Counter()
        self.back: dict[str, float] = {}
        """The longest time in seconds after which each kind was made good: everything is ready."""
        self.faults: list[str] = []
        self._at = at
        self._work = work
        self._runs = runs
        self._told = told
        self._chance = random.Random(seed)
        self._kinds: dict[str, Callable[[], str]] = {
            "kill -9 of a worker": self._kill_worker,
            "kill -9 of an API process": self._kill_api,
            "kill -9 of a run's process": self._kill_child,
            "PostgreSQL restarted (immediate)": self._restart_catalog,
            "store stopped (SIGSTOP)": self._stop_store,
            "store cut off (connections end)": self._cut_store,
            "worker frozen beyond its lease": lambda: self._freeze(self._at.workers),
            "API process frozen beyond its lease": lambda: self._freeze(self._at.apis),
            "catalog cut off from one process": self._part,
            "worker drained (SIGTERM)": self._drain,
        }
        rounds = -(-kills // len(self._kinds))
        order = [kind for _ in range(rounds) for kind in self._chance.sample(list(self._kinds), len(self._kinds))]
        self._order = [(number * runs // (kills + 1), kind) for number, kind in enumerate(order[:kills], 1)]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            bounds = [*(after for after, _ in self._order[1:]), self._runs]
            for (after, kind), bound in zip(self._order, bounds, strict=True):
                self._work.bound = bound
                while self._work.started < after and not self._work.ended:
                    time.sleep(0.05)
                began = time.monotonic()
                whom = self._kinds[kind]()
                healed = time.monotonic()
                for member in self._at.members:
                    member.ready()
                ready = time.monotonic() - healed
                self.back[kind] = max(self.back.get(kind, 0.0), ready)
                self.done[kind] += 1
                self._told(
                    f"{self._work.started:5} runs  {kind}: {whom} ({healed - began:.1f} s, ready {ready:.1f} s later)"
                )
        except BaseException as error:
            self.faults.append(f"a kill: {error!r}")
            raise
        finally:
            self._work.bound = self._runs

    def _away(self) -> None:
        time.sleep(self._chance.uniform(*_AWAY))

    def _kill_worker(self) -> str:
        return self._ended(self._chance.choice(self._at.workers), signal.SIGKILL)

    def _kill_api(self) -> str:
        return self._ended(self._chance.choice(self._at.apis), signal.SIGKILL)

    def _drain(self) -> str:
        return self._ended(self._chance.choice(self._at.workers), signal.SIGTERM)

    def _ended(self, member: Member, how: signal.Signals) -> str:
        member.end(how)
        self._away()
        member.spawn()
        return member.name

    def _kill_child(self) -> str:
        member = self._chance.choice(self._at.workers)
        below = children_of(member.pid)
        if below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._chance.choice(below), signal.SIGKILL)
        return f"one of {len(below)} of {member.name}"

    def _restart_catalog(self) -> str:
        self._at.cluster.stop("immediate")
        self._away()
        self._at.cluster.start()
        return "the server"

    def _stop_store(self) -> str:
        self._at.store.process.send_signal(signal.SIGSTOP)
        try:
            self._away()
        finally:
            self._at.store.process.send_signal(signal.SIGCONT)
        return "moto"

    def _cut_store(self) -> str:
        with self._at.to_store.cut():
            self._away()
        return "all connections"

    def _freeze(self, members: list[Member]) -> str:
        member = self._chance.choice(members)
        with member.frozen():
            time.sleep(1.5 * self._at.size.lease)
        return member.name

    def _part(self) -> str:
        member = self._chance.choice(self._at.members)
        with member.catalog.hanging():
            time.sleep(1.5 * self._at.size.lease)
        return member.name
