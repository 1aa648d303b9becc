"""Several processes that serve one installation, with its catalog in PostgreSQL and its versions on a shared path."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.acceptance.served import PASSWORD, Served, serving
from tests.postgresql import Cluster

LEASE = "4"
"""Seconds: what a busy machine may take to renew it, three times over."""


class Start:
    """Starts processes of one installation; each works on so many runs at once."""

    def __init__(self, environment: dict[str, str], folder: Path, stack: contextlib.ExitStack) -> None:
        self.environment = environment
        self._folder = folder
        self._stack = stack

    def __call__(self, name: str, runs: int, **more: str) -> Served:
        environment = {**self.environment, "PENSTOCK_MAX_CONCURRENT_RUNS": str(runs), **more}
        served = self._stack.enter_context(serving(self._folder / name, **environment))
        served.login()
        return served


@contextlib.contextmanager
def installation(cluster: Cluster, folder: Path) -> Iterator[Start]:
    """What starts the processes of a new installation; they end with the context."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(cluster.database())
        environment = {
            "PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_CATALOG_URL": url,
            "PENSTOCK_WAREHOUSE_URL": f"file://{folder}/store", "PENSTOCK_LEASE_SECONDS": LEASE,
            "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1", "PENSTOCK_SPARE_WORKERS": "0",
        }  # fmt: skip
        yield Start(environment, folder, stack)
