"""One installation of several processes: its catalog in PostgreSQL, its versions in a folder that all of them see."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.acceptance.gated_source import Source
from tests.acceptance.served import PASSWORD, PATIENCE, Served, listening_as, serving, spawned
from tests.postgresql import Cluster

LEASE = "4"


class Installation:
    """Starts processes, which are killed in the end if they still run. Each works on so many runs at once."""

    def __init__(self, environment: dict[str, str], folder: Path, stack: contextlib.ExitStack) -> None:
        self.environment = environment
        self._folder = folder
        self._stack = stack

    def __call__(self, name: str, runs: int, **more: str) -> Served:
        """A process with the API."""
        environment = {**self.environment, "PENSTOCK_MAX_CONCURRENT_RUNS": str(runs), **more}
        served = self._stack.enter_context(serving(self._folder / name, **environment))
        served.login()
        return served

    def worker(self, name: str, *flags: str, runs: int = 1, **more: str) -> Served:
        """A worker; ``address`` is that of its health port."""
        data = self._folder / name
        command = ("worker", "--health-port", "0", "--concurrency", str(runs), *flags)
        process = spawned(data, command=command, **{**self.environment, **more})
        return self._stack.enter_context(listening_as(process, data))


@contextlib.contextmanager
def installed(cluster: Cluster, folder: Path, lease: str = LEASE) -> Iterator[Installation]:
    """A new installation, whose leases last so many seconds: few where a process is killed, else more than a busy
    machine lets anybody wait."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(cluster.database())
        environment = {
            "PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_CATALOG_URL": url,
            "PENSTOCK_WAREHOUSE_URL": f"file://{folder}/store", "PENSTOCK_LEASE_SECONDS": lease,
            "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1", "PENSTOCK_DRAIN_SECONDS": "0",
        }  # fmt: skip
        yield Installation(environment, folder, stack)


def create(served: Served, name: str, source: Source, attempts: int = 1, **more: Any) -> None:
    """Create a pipeline that collects from ``source``; ``execution`` adds to how it is executed."""
    collector = {"type": "api", "endpoint": source.address, "retry": {"max_attempts": 1}}
    execution = {"max_attempts": attempts, "retry_delay_seconds": 0, **more.pop("execution", {})}
    document = {"name": name, "collectors": [collector], "storage": [{"type": "parquet"}], "execution": execution}
    served.json("POST", "/pipeline/create", status=201, json=document | more)


def execute(served: Served, name: str) -> dict[str, Any]:
    """The run that was queued, or has begun."""
    found: dict[str, Any] = served.json("POST", f"/pipeline/{name}/execute?wait=0", status=202)
    return found


def ended(served: Served, run_id: str) -> dict[str, Any]:
    """The run at its end, as the process follows it."""
    with served.http.stream("GET", f"/runs/{run_id}/events", timeout=PATIENCE) as events:
        assert "event: end" in events.iter_lines()
    found: dict[str, Any] = served.json("GET", f"/runs/{run_id}")
    return found
