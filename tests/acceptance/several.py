"""Several processes of one installation, with PostgreSQL and a folder as object store, and pipelines for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.acceptance.gated_source import Source
from tests.acceptance.served import PASSWORD, PATIENCE, Served, serving

LEASE = "2"


class Start:
    """Starts processes of one installation; each works on so many runs at once."""

    def __init__(self, environment: dict[str, str], folder: Path, stack: contextlib.ExitStack) -> None:
        self.environment = environment
        self._folder = folder
        self._stack = stack

    def __call__(self, name: str, runs: int) -> Served:
        more = {**self.environment, "PENSTOCK_MAX_CONCURRENT_RUNS": str(runs)}
        served = self._stack.enter_context(serving(self._folder / name, **more))
        served.login()
        return served


@contextlib.contextmanager
def starting(url: str, folder: Path) -> Iterator[Start]:
    """What starts processes of an installation whose catalog is at ``url``; they end with the context."""
    with contextlib.ExitStack() as stack:
        environment = {
            "PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_CATALOG_URL": url,
            "PENSTOCK_WAREHOUSE_URL": f"file://{folder}/store", "PENSTOCK_LEASE_SECONDS": LEASE,
            "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1", "PENSTOCK_SPARE_WORKERS": "0",
        }  # fmt: skip
        yield Start(environment, folder, stack)


def create(served: Served, name: str, source: Source, attempts: int = 1, **more: Any) -> None:
    collector = {"type": "api", "endpoint": source.address, "retry": {"max_attempts": 1}}
    execution = {"max_attempts": attempts, "retry_delay_seconds": 0}
    document = {
        "name": name,
        "collectors": [collector],
        "storage": [{"type": "parquet"}],
        "execution": execution,
        **more,
    }
    served.json("POST", "/pipeline/create", status=201, json=document | more)


def execute(served: Served, name: str) -> dict[str, Any]:
    found: dict[str, Any] = served.json("POST", f"/pipeline/{name}/execute?wait=0", status=202)
    return found


def ended(served: Served, run_id: str) -> dict[str, Any]:
    """The run at its end, as the process follows it."""
    with served.http.stream("GET", f"/runs/{run_id}/events", timeout=PATIENCE) as events:
        assert "event: end" in events.iter_lines()
    found: dict[str, Any] = served.json("GET", f"/runs/{run_id}")
    return found
