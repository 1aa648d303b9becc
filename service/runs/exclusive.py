"""Work that one process of an installation does at a time: a backup, a verification.

Whoever does it holds a named lease, and renews it beside the work. With a process alone nothing is written.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog

from service.catalog.named_lease import NamedLease
from service.catalog.store import Store
from service.kit import errors, ids
from service.kit.clock import Clock
from service.kit.settings import LEASE_SECONDS

BACKUP, VERIFICATION = "backup", "verification"
_log = structlog.get_logger("penstock.server")


@contextmanager
def exclusive(store: Store, clock: Clock, name: str) -> Iterator[None]:
    """Be the only process in a context of that name. Blocks; raises ``errors.Conflict`` if another one is."""
    if not store.shared:
        yield
        return
    lease, over = NamedLease(store, clock, name, ids.new(name), LEASE_SECONDS), threading.Event()
    if not lease.hold():
        raise errors.Conflict(f"another process makes a {name} now; try again when it has ended")

    def renew() -> None:
        while not over.wait(LEASE_SECONDS / 3):
            try:
                lease.hold()
            except errors.PenstockError as error:  # the catalog does not answer now
                _log.warning("lease.not_renewed", reason=error.message, lease=name)

    renewing = threading.Thread(target=renew, name=f"{name} lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()
        with suppress(errors.PenstockError):  # then it runs out
            lease.release()


def is_at_work(store: Store, clock: Clock, name: str) -> bool:
    """Whether a process is in a context of that name. Blocks."""
    return store.shared and NamedLease(store, clock, name, "", LEASE_SECONDS).is_held()
