"""A process that serves an installation: one with the API, or a worker."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

ProcessKind = Literal["serve", "worker"]


class ServiceProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process, as it said when it was ``last_seen``.

    It executes up to ``concurrency`` runs at once: those without a label unless ``only_labelled``, and those with one
    of its ``labels``. One that is ``draining`` begins none any more. ``running`` counts the runs that it executes.
    """

    id: str
    kind: ProcessKind
    host: str
    pid: int
    release: str
    labels: tuple[str, ...] = ()
    only_labelled: bool = False
    concurrency: int
    running: int = 0
    draining: bool = False
    started: datetime
    last_seen: datetime

    def fits(self, label: str | None) -> bool:
        """Whether its labels are those for runs with that label."""
        return label in self.labels if label is not None else not self.only_labelled

    def takes(self, label: str | None) -> bool:
        """Whether it begins runs with that label."""
        return bool(self.concurrency) and not self.draining and self.fits(label)
