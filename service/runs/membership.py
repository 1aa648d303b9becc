"""Membership: this process among those that serve the installation.

Others see it from ``begin`` to ``end``: for which runs it is there, and that it lives. With the catalog in a file, or
with one process alone, nothing is written.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import structlog

import service
from service.catalog.store import Transaction
from service.kit import errors
from service.model.service_process import ProcessKind, ServiceProcess
from service.runs.job_resources import JobResources

_log = structlog.get_logger("penstock.server")


class Membership:
    """The process of ``resources``. Methods that block say so."""

    def __init__(self, resources: JobResources) -> None:
        settings, now = resources.settings, resources.clock.now()
        self.own = ServiceProcess(
            id=resources.history.lease.owner, kind="serve", host=socket.gethostname(), pid=os.getpid(),
            release=service.__version__, labels=settings.worker_labels, only_labelled=settings.only_labelled,
            concurrency=settings.max_concurrent_runs, started=now, last_seen=now,
        )  # fmt: skip
        self._resources = resources
        self._list = resources.history.processes
        self._shared = resources.history.queue.shared
        self._serves = False

    def begin(self, kind: ProcessKind) -> None:
        """Serve from now on. Blocks."""
        self.own = msgspec.structs.replace(self.own, kind=kind, started=self._resources.clock.now())
        self._serves = self._shared
        self._write()

    def drain(self) -> None:
        """Begin no run any more. Blocks."""
        self.own = msgspec.structs.replace(self.own, draining=True)
        with self._until_lease_is_over():
            self._write()

    def renew(self, transaction: Transaction) -> None:
        """Part of the transaction that renews leases: the process lives."""
        if self._serves:
            self._list.note(transaction, self._present())

    def end(self) -> None:
        """Serve no more. Blocks. Safe to call again."""
        if self._serves:
            self._serves = False
            with self._until_lease_is_over():
                self._list.remove(self.own.id, self._resources.clock.now())

    def all(self) -> list[ServiceProcess]:
        """The processes that serve the installation, oldest first. Blocks."""
        return self._list.living(self._resources.clock.now()) if self._shared else [self._present()]

    def lacking(self, label: str | None) -> str | None:
        """What runs with that label lack, if no living process begins them; else None. Blocks."""
        if not self._shared:
            return self.misfit(label)
        if any(process.takes(label) for process in self.all()):
            return None
        if label is None:
            return "no living process executes runs without a label; start 'penstock worker'"
        return (
            f"no living process has the label '{label}'; start 'penstock worker --label {label}', or set "
            "PENSTOCK_WORKER_LABELS where one should have it"
        )

    def misfit(self, label: str | None) -> str | None:
        """Why a process that serves alone never executes runs with that label; None if it does, or others may."""
        if self._shared or self.own.fits(label):
            return None
        if label is None:
            return "this process executes no runs without a label; unset PENSTOCK_ONLY_LABELLED"
        return (
            f"execution.label: this process does not have the label '{label}'; set PENSTOCK_WORKER_LABELS={label} "
            "for it, or leave execution.label out"
        )

    @contextmanager
    def _until_lease_is_over(self) -> Iterator[None]:
        """Go on if the catalog does not answer: what others see of this process is right when its lease is over."""
        try:
            yield
        except errors.PenstockError as error:
            _log.warning("process.not_written", reason=error.message)

    def _write(self) -> None:
        if self._serves:
            self._list.write(self._present())

    def _present(self) -> ServiceProcess:
        return msgspec.structs.replace(self.own, last_seen=self._resources.clock.now())
